"""Ways to write numbers."""

from .roman import from_roman, to_roman
from .words import in_words

__all__ = ["from_roman", "in_words", "to_roman"]
