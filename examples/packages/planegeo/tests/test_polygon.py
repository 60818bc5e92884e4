from planegeo import polygon
from planegeo.vector import Vector as V

BOX = [V(0, 0), V(4, 0), V(4, 2), V(0, 2)]
ARROW = [V(0, 0), V(4, 0), V(4, 4), V(3, 1)]


def pairs(corners):
    return [(c.x, c.y) for c in corners]


def test_edges():
    a, b, c = V(0, 0), V(1, 0), V(0, 1)
    assert polygon.edges([a, b, c]) == [(c, a), (a, b), (b, c)]


def test_outline():
    assert polygon.outline(BOX) == 12


def test_signed_area():
    assert polygon.signed_area(BOX) == 8
    assert polygon.signed_area(BOX[::-1]) == -8


def test_is_clockwise():
    assert polygon.is_clockwise(BOX[::-1])
    assert not polygon.is_clockwise(BOX)
    assert not polygon.is_clockwise([V(0, 0), V(1, 0), V(2, 0)])


def test_bounds():
    assert polygon.bounds([V(3, 1), V(1, 5), V(2, 9)]) == (1, 1, 3, 9)


def test_is_convex():
    assert polygon.is_convex(BOX)
    assert polygon.is_convex(BOX[::-1])
    assert not polygon.is_convex(ARROW)


def test_is_convex_with_straight_corner():
    assert polygon.is_convex([V(0, 0), V(1, 0), V(2, 0), V(1, 1)])


def test_line_is_not_convex():
    assert not polygon.is_convex([V(0, 0), V(1, 0), V(2, 0)])


def test_inside():
    assert polygon.inside(BOX, V(3, 1))
    assert not polygon.inside(BOX, V(5, 1))
    assert not polygon.inside(BOX, V(-1, 1))
    assert not polygon.inside(BOX, V(3, 5))


def test_inside_slanted():
    wedge = [V(0, 0), V(5, 1), V(1, 5)]
    assert polygon.inside(wedge, V(2, 1))
    assert polygon.inside(wedge, V(2.9, 3))
    assert not polygon.inside(wedge, V(3.1, 3))
    assert not polygon.inside(wedge, V(0.5, 4))


def test_inside_border():
    assert polygon.inside(BOX, V(0, 0))
    assert polygon.inside(BOX, V(0, 1))
    assert not polygon.inside(BOX, V(4, 1))
    assert not polygon.inside(BOX, V(1, 2))


def test_shift():
    assert pairs(polygon.shift([V(1, 2)], 3, 5)) == [(4, 7)]


def test_quarter_turn():
    assert pairs(polygon.quarter_turn([V(3, 1)])) == [(-1, 3)]


def test_mirror():
    assert pairs(polygon.mirror([V(1, 2)], 4)) == [(7, 2)]
