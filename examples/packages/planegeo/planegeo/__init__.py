"""Plane geometry with plain numbers."""

from .vector import Vector
from .shapes import Circle, Rectangle, Triangle

__all__ = ["Vector", "Circle", "Rectangle", "Triangle"]
