import pytest

from planegeo import Circle, Rectangle, Triangle
from planegeo.vector import Vector as V


def test_rectangle_order():
    with pytest.raises(ValueError):
        Rectangle(2, 0, 1, 1)
    with pytest.raises(ValueError):
        Rectangle(0, 2, 1, 1)


def test_rectangle_may_be_flat():
    assert Rectangle(2, 1, 2, 1).sides() == (2, 1, 2, 1)


def test_width_and_height():
    box = Rectangle(1, 2, 6, 4)
    assert box.width() == 5
    assert box.height() == 2


def test_rectangle_area():
    assert Rectangle(1, 2, 6, 5).area() == 15


def test_perimeter():
    assert Rectangle(1, 2, 6, 5).perimeter() == 16


def test_is_square():
    assert Rectangle(1, 2, 4, 5).is_square()
    assert not Rectangle(1, 2, 4, 6).is_square()


def test_rectangle_contains_border():
    box = Rectangle(0, 1, 4, 3)
    assert box.contains(V(0, 1))
    assert box.contains(V(4, 3))


def test_rectangle_excludes():
    box = Rectangle(0, 1, 4, 3)
    assert not box.contains(V(-1, 2))
    assert not box.contains(V(5, 2))
    assert not box.contains(V(1, 0))
    assert not box.contains(V(1, 4))


def test_overlap():
    shared = Rectangle(0, 0, 4, 3).overlap(Rectangle(1, 2, 6, 9))
    assert shared.sides() == (1, 2, 4, 3)
    shared = Rectangle(1, 2, 6, 9).overlap(Rectangle(0, 0, 4, 3))
    assert shared.sides() == (1, 2, 4, 3)


def test_no_overlap():
    box = Rectangle(0, 0, 4, 3)
    assert box.overlap(Rectangle(4, 0, 6, 3)) is None
    assert box.overlap(Rectangle(0, 3, 4, 5)) is None
    assert box.overlap(Rectangle(5, 1, 6, 2)) is None


def test_grown():
    assert Rectangle(1, 2, 3, 4).grown(2).sides() == (-1, 0, 5, 6)


def test_circle_radius():
    with pytest.raises(ValueError):
        Circle(V(0, 0), 0)
    assert Circle(V(0, 0), 1).radius == 1


def test_circle_area():
    assert round(Circle(V(0, 0), 3).area(), 3) == 28.274


def test_circle_contains():
    disc = Circle(V(1, 1), 5)
    assert disc.contains(V(4, 5))
    assert not disc.contains(V(5, 5))


def test_encloses():
    disc = Circle(V(0, 0), 5)
    assert disc.encloses(Circle(V(2, 0), 3))
    assert not disc.encloses(Circle(V(3, 0), 3))
    assert not disc.encloses(Circle(V(0, 1), 5))


def test_meets():
    disc = Circle(V(0, 0), 5)
    assert disc.meets(Circle(V(8, 0), 3))
    assert not disc.meets(Circle(V(9, 0), 3))


def test_triangle_sides():
    with pytest.raises(ValueError):
        Triangle(1, 3, 2)
    assert Triangle(4, 2, 3).sides == [2, 3, 4]


def test_triangle_kind():
    assert Triangle(2, 2, 2).kind() == "equilateral"
    assert Triangle(2, 2, 3).kind() == "isosceles"
    assert Triangle(3, 2, 3).kind() == "isosceles"
    assert Triangle(2, 3, 4).kind() == "scalene"


def test_is_right():
    assert Triangle(3, 5, 4).is_right()
    assert not Triangle(3, 4, 6).is_right()
    assert not Triangle(4, 4, 5).is_right()


def test_triangle_area():
    assert Triangle(3, 4, 5).area() == 6
