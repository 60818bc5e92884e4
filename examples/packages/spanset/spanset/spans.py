"""Sets of numbers held as sorted spans."""

from .span import Span


def merge(spans):
    """Sort spans and join those that overlap or touch."""
    merged = []
    for span in sorted(spans, key=lambda s: s.start):
        if span.is_empty():
            continue
        if merged and span.start <= merged[-1].end:
            merged[-1] = merged[-1].hull(span)
        else:
            merged.append(span)
    return merged


class SpanSet:
    """A set of numbers made of spans that lie apart."""

    def __init__(self, spans=()):
        self.spans = merge(spans)

    def __contains__(self, value):
        return any(value in span for span in self.spans)

    def add(self, start, end):
        self.spans = merge(self.spans + [Span(start, end)])

    def discard(self, start, end):
        """Take the numbers from start to end out of the set."""
        removed = Span(start, end)
        kept = []
        for span in self.spans:
            kept.extend(span.minus(removed))
        self.spans = kept

    def size(self):
        return sum(span.size() for span in self.spans)

    def union(self, other):
        return SpanSet(self.spans + other.spans)

    def common(self, other):
        """Return the numbers that are in both sets."""
        parts = []
        for mine in self.spans:
            for theirs in other.spans:
                part = mine.shared(theirs)
                if part is not None:
                    parts.append(part)
        return SpanSet(parts)

    def gaps(self, start, end):
        """Return the spans from start to end that are not in the set."""
        free = []
        at = start
        for span in self.spans:
            if span.start >= end:
                break
            if span.start > at:
                free.append(Span(at, span.start))
            at = max(at, span.end)
        if at < end:
            free.append(Span(at, end))
        return free

    def longest(self):
        """Return the longest span, the first of equals."""
        best = None
        for span in self.spans:
            if best is None or span.size() > best.size():
                best = span
        return best

    def next_in(self, value):
        """Return the least number of the set from value on, or None."""
        for span in self.spans:
            if value < span.end:
                return max(value, span.start)
        return None
