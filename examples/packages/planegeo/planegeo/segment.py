"""Straight segments between two points."""

from .vector import Vector, distance


def orientation(a, b, c):
    """Return 1 for a left turn, -1 for a right turn, 0 for none."""
    turn = (b - a).cross(c - a)
    if turn > 0:
        return 1
    if turn < 0:
        return -1
    return 0


class Segment:
    """The straight line from start to end."""

    def __init__(self, start, end):
        self.start = start
        self.end = end

    def length(self):
        return distance(self.start, self.end)

    def point_at(self, part):
        """Return the point a given part of the way along."""
        step = self.end - self.start
        return self.start + step.scale(part)

    def midpoint(self):
        return self.point_at(0.5)

    def slope(self):
        """Return the rise over the run, None if vertical."""
        run = self.end.x - self.start.x
        if run == 0:
            return None
        return (self.end.y - self.start.y) / run

    def reversed(self):
        return Segment(self.end, self.start)

    def in_box(self, point):
        """Tell whether point is within the segment's bounding box."""
        low_x, high_x = sorted([self.start.x, self.end.x])
        low_y, high_y = sorted([self.start.y, self.end.y])
        if point.x < low_x or point.x > high_x:
            return False
        return low_y <= point.y <= high_y

    def holds(self, point):
        if orientation(self.start, self.end, point) != 0:
            return False
        return self.in_box(point)

    def nearest(self, point):
        """Return the point of the segment closest to point."""
        step = self.end - self.start
        square = step.dot(step)
        if square == 0:
            return self.start
        part = (point - self.start).dot(step) / square
        if part <= 0:
            return self.start
        if part >= 1:
            return self.end
        return self.point_at(part)

    def crosses(self, other):
        """Tell whether the two segments cross at an inner point."""
        a = orientation(self.start, self.end, other.start)
        b = orientation(self.start, self.end, other.end)
        c = orientation(other.start, other.end, self.start)
        d = orientation(other.start, other.end, self.end)
        return a * b < 0 and c * d < 0
