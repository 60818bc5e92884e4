"""A half-open span: start belongs to it, end does not."""


class Span:
    def __init__(self, start, end):
        if end < start:
            raise ValueError("a span cannot end before it starts")
        self.start = start
        self.end = end

    def __eq__(self, other):
        return (self.start, self.end) == (other.start, other.end)

    def __repr__(self):
        return f"Span({self.start}, {self.end})"

    def __contains__(self, value):
        return self.start <= value < self.end

    def size(self):
        return self.end - self.start

    def is_empty(self):
        return self.start == self.end

    def overlaps(self, other):
        return self.start < other.end and other.start < self.end

    def touches(self, other):
        """Tell whether one span ends where the other starts."""
        return self.end == other.start or other.end == self.start

    def covers(self, other):
        return self.start <= other.start and other.end <= self.end

    def before(self, other):
        return self.end <= other.start

    def shared(self, other):
        """Return the part that both spans have, or None."""
        start = max(self.start, other.start)
        end = min(self.end, other.end)
        if start >= end:
            return None
        return Span(start, end)

    def hull(self, other):
        """Return the smallest span that covers both."""
        return Span(min(self.start, other.start), max(self.end, other.end))

    def minus(self, other):
        """Return the parts of this span outside the other."""
        if not self.overlaps(other):
            return [self]
        parts = []
        if self.start < other.start:
            parts.append(Span(self.start, other.start))
        if other.end < self.end:
            parts.append(Span(other.end, self.end))
        return parts

    def moved(self, by):
        return Span(self.start + by, self.end + by)

    def split(self, at):
        """Cut the span in two at an inner place."""
        if at <= self.start or at >= self.end:
            raise ValueError("not an inner place")
        return Span(self.start, at), Span(at, self.end)

    def gap_to(self, other):
        """Return the room between two spans, zero if there is none."""
        if self.before(other):
            return other.start - self.end
        if other.before(self):
            return self.start - other.end
        return 0
