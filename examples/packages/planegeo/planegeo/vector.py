"""Two-dimensional vectors."""

import math


class Vector:
    """A point or a direction in the plane."""

    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __eq__(self, other):
        return self.x == other.x and self.y == other.y

    def __repr__(self):
        return f"Vector({self.x}, {self.y})"

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __sub__(self, other):
        return Vector(self.x - other.x, self.y - other.y)

    def scale(self, factor):
        return Vector(self.x * factor, self.y * factor)

    def dot(self, other):
        return self.x * other.x + self.y * other.y

    def cross(self, other):
        return self.x * other.y - self.y * other.x

    def length(self):
        return math.sqrt(self.x ** 2 + self.y ** 2)

    def unit(self):
        """Return the vector of length one in this direction."""
        size = self.length()
        if size == 0:
            raise ValueError("the zero vector has no direction")
        return Vector(self.x / size, self.y / size)

    def is_parallel(self, other):
        return self.cross(other) == 0

    def quadrant(self):
        """Return 1 to 4, or 0 for a point on an axis."""
        if self.x == 0 or self.y == 0:
            return 0
        if self.x > 0:
            return 1 if self.y > 0 else 4
        return 2 if self.y > 0 else 3


def distance(first, second):
    return (second - first).length()


def manhattan(first, second):
    return abs(first.x - second.x) + abs(first.y - second.y)


def mean_point(points):
    """Return the average of a list of points."""
    if not points:
        raise ValueError("no points")
    total = Vector(0, 0)
    for point in points:
        total = total + point
    return total.scale(1 / len(points))


def farthest(origin, points):
    """Return the point that lies farthest from origin."""
    best = None
    reach = -1
    for point in points:
        away = distance(origin, point)
        if away > reach:
            best = point
            reach = away
    return best
