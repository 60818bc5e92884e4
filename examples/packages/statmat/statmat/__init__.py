"""Matrices and statistics."""

from .matrix import Matrix

__all__ = ["Matrix"]
