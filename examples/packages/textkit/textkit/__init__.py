"""Helpers for plain text."""

from .wrap import fill, wrap
from .names import snake_case, camel_case

__all__ = ["camel_case", "fill", "snake_case", "wrap"]
