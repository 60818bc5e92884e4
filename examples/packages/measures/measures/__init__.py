"""Units of measurement."""

from .units import convert

__all__ = ["convert"]
