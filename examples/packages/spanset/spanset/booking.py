"""Bookings of a room by the hour."""

from .span import Span


class Clash(Exception):
    """Raised when a booking overlaps an earlier one."""


class Room:
    """A room that may be booked between two hours of the day."""

    def __init__(self, opens=8, closes=18):
        self.hours = Span(opens, closes)
        self.bookings = {}

    def book(self, name, start, end):
        """Book the room for a name that has no booking yet."""
        wanted = Span(start, end)
        if wanted.is_empty() or not self.hours.covers(wanted):
            raise ValueError("not within the opening hours")
        if name in self.bookings:
            raise ValueError(name + " has a booking")
        for other, span in self.bookings.items():
            if span.overlaps(wanted):
                raise Clash(other)
        self.bookings[name] = wanted

    def cancel(self, name):
        return self.bookings.pop(name, None) is not None

    def who_at(self, hour):
        """Return who has booked an hour, or None."""
        for name, span in self.bookings.items():
            if hour in span:
                return name
        return None

    def plan(self):
        """Return the names in order of their bookings."""
        return sorted(self.bookings, key=lambda n: self.bookings[n].start)

    def first_free(self, length):
        """Return the earliest start of a free span of a length."""
        at = self.hours.start
        for name in self.plan():
            span = self.bookings[name]
            if span.start - at >= length:
                return at
            at = span.end
        if self.hours.end - at >= length:
            return at
        return None

    def use(self):
        """Return the booked part of the opening hours, in percent."""
        booked = sum(span.size() for span in self.bookings.values())
        return booked * 100 // self.hours.size()


def most_at_once(spans):
    """Return the largest number of spans that share a place."""
    most = 0
    for span in spans:
        count = sum(1 for other in spans if span.start in other)
        most = max(most, count)
    return most


def best_choice(spans):
    """Choose as many spans as possible that do not overlap."""
    chosen = []
    for span in sorted(spans, key=lambda s: (s.end, s.start)):
        if not chosen or chosen[-1].before(span):
            chosen.append(span)
    return chosen


def rooms_needed(spans):
    """Return the number of rooms if each span takes the first free one."""
    ends = []
    for span in sorted(spans, key=lambda s: s.start):
        for i, end in enumerate(ends):
            if end <= span.start:
                ends[i] = span.end
                break
        else:
            ends.append(span.end)
    return len(ends)
