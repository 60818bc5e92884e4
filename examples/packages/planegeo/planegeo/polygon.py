"""Polygons as lists of corner points."""

from .segment import orientation
from .vector import Vector, distance


def edges(corners):
    """Return the pairs of neighbouring corners, the last one closing."""
    pairs = []
    for i in range(len(corners)):
        pairs.append((corners[i - 1], corners[i]))
    return pairs


def outline(corners):
    return sum(distance(a, b) for a, b in edges(corners))


def signed_area(corners):
    """Return the area, negative if the corners run clockwise."""
    total = 0
    for a, b in edges(corners):
        total += a.cross(b)
    return total / 2


def is_clockwise(corners):
    return signed_area(corners) < 0


def bounds(corners):
    """Return left, bottom, right and top of the corners."""
    xs = [corner.x for corner in corners]
    ys = [corner.y for corner in corners]
    return min(xs), min(ys), max(xs), max(ys)


def is_convex(corners):
    """Tell whether every turn goes the same way."""
    seen = set()
    for i in range(len(corners)):
        turn = orientation(corners[i - 2], corners[i - 1], corners[i])
        if turn != 0:
            seen.add(turn)
    return len(seen) == 1


def inside(corners, point):
    """Tell whether point lies inside, by counting crossings."""
    hits = 0
    for a, b in edges(corners):
        if (a.y > point.y) == (b.y > point.y):
            continue
        part = (point.y - a.y) / (b.y - a.y)
        if point.x < a.x + part * (b.x - a.x):
            hits += 1
    return hits % 2 == 1


def shift(corners, dx, dy):
    return [Vector(c.x + dx, c.y + dy) for c in corners]


def quarter_turn(corners):
    """Turn the corners left by 90 degrees about the origin."""
    return [Vector(-c.y, c.x) for c in corners]


def mirror(corners, axis_x):
    """Mirror the corners in the upright line at axis_x."""
    return [Vector(2 * axis_x - c.x, c.y) for c in corners]
