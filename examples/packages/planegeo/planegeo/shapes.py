"""Rectangles, circles and triangles."""

import math

from .vector import Vector, distance


class Rectangle:
    """An upright rectangle given by its four sides."""

    def __init__(self, left, bottom, right, top):
        if right < left or top < bottom:
            raise ValueError("sides are in the wrong order")
        self.left = left
        self.bottom = bottom
        self.right = right
        self.top = top

    def sides(self):
        return (self.left, self.bottom, self.right, self.top)

    def width(self):
        return self.right - self.left

    def height(self):
        return self.top - self.bottom

    def area(self):
        return self.width() * self.height()

    def perimeter(self):
        return 2 * (self.width() + self.height())

    def is_square(self):
        return self.width() == self.height()

    def contains(self, point):
        if point.x < self.left or point.x > self.right:
            return False
        return self.bottom <= point.y <= self.top

    def overlap(self, other):
        """Return the shared rectangle, or None."""
        left = max(self.left, other.left)
        bottom = max(self.bottom, other.bottom)
        right = min(self.right, other.right)
        top = min(self.top, other.top)
        if left >= right or bottom >= top:
            return None
        return Rectangle(left, bottom, right, top)

    def grown(self, margin):
        """Return the rectangle with a margin added all around."""
        return Rectangle(self.left - margin, self.bottom - margin,
                         self.right + margin, self.top + margin)


class Circle:
    def __init__(self, center, radius):
        if radius <= 0:
            raise ValueError("radius must be positive")
        self.center = center
        self.radius = radius

    def area(self):
        return math.pi * self.radius ** 2

    def contains(self, point):
        return distance(self.center, point) <= self.radius

    def encloses(self, other):
        """Tell whether the other circle lies within this one."""
        gap = distance(self.center, other.center)
        return gap + other.radius <= self.radius

    def meets(self, other):
        gap = distance(self.center, other.center)
        return gap <= self.radius + other.radius


class Triangle:
    """A triangle given by the lengths of its sides."""

    def __init__(self, a, b, c):
        self.sides = sorted([a, b, c])
        if self.sides[0] + self.sides[1] <= self.sides[2]:
            raise ValueError("not a triangle")

    def kind(self):
        short, middle, long = self.sides
        if short == long:
            return "equilateral"
        if short == middle or middle == long:
            return "isosceles"
        return "scalene"

    def is_right(self):
        short, middle, long = self.sides
        return short ** 2 + middle ** 2 == long ** 2

    def area(self):
        half = sum(self.sides) / 2
        product = half
        for side in self.sides:
            product *= half - side
        return math.sqrt(product)
