"""Readers for small text formats."""

from .calc import calculate
from .settings import parse_settings

__all__ = ["calculate", "parse_settings"]
