"""Sorting and searching."""

from .find import binary_search
from .sorts import merge_sort, quick_sort

__all__ = ["binary_search", "merge_sort", "quick_sort"]
