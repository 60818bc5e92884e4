"""Rules of board games."""

from .life import step
from .three import winner

__all__ = ["step", "winner"]
