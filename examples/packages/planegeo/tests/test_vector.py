import pytest

from planegeo.vector import Vector, distance, farthest, manhattan, mean_point


def test_equality_needs_both_coordinates():
    assert Vector(1, 2) == Vector(1, 2)
    assert not Vector(1, 2) == Vector(1, 3)
    assert not Vector(1, 2) == Vector(0, 2)


def test_repr():
    assert repr(Vector(1, 2)) == "Vector(1, 2)"


def test_add():
    total = Vector(1, 2) + Vector(3, 5)
    assert (total.x, total.y) == (4, 7)


def test_subtract():
    rest = Vector(7, 2) - Vector(3, 5)
    assert (rest.x, rest.y) == (4, -3)


def test_scale():
    big = Vector(3, -4).scale(3)
    assert (big.x, big.y) == (9, -12)


def test_dot():
    assert Vector(2, 3).dot(Vector(5, 7)) == 31


def test_cross():
    assert Vector(2, 3).cross(Vector(5, 8)) == 1


def test_length():
    assert Vector(3, 4).length() == 5
    assert Vector(5, 12).length() == 13


def test_unit():
    one = Vector(0, -8).unit()
    assert (one.x, one.y) == (0, -1)
    one = Vector(0.5, 0).unit()
    assert (one.x, one.y) == (1, 0)


def test_unit_of_zero():
    with pytest.raises(ValueError):
        Vector(0, 0).unit()


def test_unit_of_length_one():
    one = Vector(1, 0).unit()
    assert (one.x, one.y) == (1, 0)


def test_parallel():
    assert Vector(1, 2).is_parallel(Vector(-2, -4))
    assert not Vector(1, 2).is_parallel(Vector(2, 3))
    assert not Vector(1, 2).is_parallel(Vector(2, 5))


def test_quadrant():
    assert Vector(1, 1).quadrant() == 1
    assert Vector(-1, 1).quadrant() == 2
    assert Vector(-1, -1).quadrant() == 3
    assert Vector(1, -1).quadrant() == 4


def test_quadrant_on_axis():
    assert Vector(0, 2).quadrant() == 0
    assert Vector(2, 0).quadrant() == 0


def test_distance():
    assert distance(Vector(1, 1), Vector(4, 5)) == 5


def test_manhattan():
    assert manhattan(Vector(1, 7), Vector(4, 2)) == 8


def test_mean_point():
    middle = mean_point([Vector(1, 2), Vector(3, 8)])
    assert (middle.x, middle.y) == (2, 5)


def test_mean_point_of_none():
    with pytest.raises(ValueError):
        mean_point([])


def test_farthest():
    spots = [Vector(1, 0), Vector(0, 3), Vector(2, 0)]
    assert farthest(Vector(0, 0), spots) is spots[1]


def test_farthest_keeps_the_first_of_equals():
    spots = [Vector(1, 0), Vector(0, 1)]
    assert farthest(Vector(0, 0), spots) is spots[0]
    assert farthest(Vector(1, 0), spots[:1]) is spots[0]


def test_farthest_of_none():
    assert farthest(Vector(0, 0), []) is None
