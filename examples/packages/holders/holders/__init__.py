"""Containers."""

from .bag import Bag
from .heap import Heap
from .ring import Ring

__all__ = ["Bag", "Heap", "Ring"]
