"""Graphs and the ways through them."""

from .graph import Graph

__all__ = ["Graph"]
