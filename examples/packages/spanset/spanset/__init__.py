"""Spans and sets of spans."""

from .span import Span
from .spans import SpanSet

__all__ = ["Span", "SpanSet"]
