from planegeo.segment import Segment, orientation
from planegeo.vector import Vector as V


def test_orientation():
    assert orientation(V(0, 0), V(1, 0), V(1, 1)) == 1
    assert orientation(V(0, 0), V(1, 0), V(1, -1)) == -1
    assert orientation(V(0, 0), V(1, 0), V(2, 0)) == 0


def test_orientation_away_from_origin():
    assert orientation(V(1, 1), V(3, 2), V(5, 3)) == 0
    assert orientation(V(1, 1), V(3, 2), V(6, 3)) == -1


def test_length():
    assert Segment(V(1, 2), V(1, 9)).length() == 7


def test_point_at():
    point = Segment(V(1, 2), V(5, 10)).point_at(0.25)
    assert (point.x, point.y) == (2, 4)


def test_midpoint():
    point = Segment(V(1, 2), V(5, 10)).midpoint()
    assert (point.x, point.y) == (3, 6)


def test_slope():
    assert Segment(V(1, 2), V(3, 8)).slope() == 3
    assert Segment(V(1, 2), V(2, 0)).slope() == -2


def test_slope_of_upright():
    assert Segment(V(1, 2), V(1, 8)).slope() is None


def test_reversed():
    back = Segment(V(1, 2), V(5, 10)).reversed()
    assert back.start.x == 5 and back.end.x == 1


def test_in_box_edges():
    line = Segment(V(4, 1), V(0, 3))
    assert line.in_box(V(0, 1))
    assert line.in_box(V(4, 3))


def test_in_box_outside():
    line = Segment(V(4, 1), V(0, 3))
    assert not line.in_box(V(-1, 2))
    assert not line.in_box(V(5, 2))
    assert not line.in_box(V(2, 0))
    assert not line.in_box(V(2, 4))


def test_holds():
    line = Segment(V(0, 0), V(4, 2))
    assert line.holds(V(2, 1))
    assert not line.holds(V(2, 2))
    assert not line.holds(V(6, 3))


def test_nearest_inner():
    point = Segment(V(1, 0), V(5, 0)).nearest(V(3, 2))
    assert (point.x, point.y) == (3, 0)


def test_nearest_is_an_end():
    line = Segment(V(1, 0), V(5, 0))
    assert line.nearest(V(-1, 2)) is line.start
    assert line.nearest(V(9, 2)) is line.end


def test_nearest_right_above_an_end():
    line = Segment(V(1, 0), V(5, 0))
    assert line.nearest(V(1, 2)) is line.start
    assert line.nearest(V(5, 2)) is line.end


def test_nearest_of_a_dot():
    line = Segment(V(1, 1), V(1, 1))
    assert line.nearest(V(3, 3)) is line.start


def test_nearest_of_a_unit_segment():
    point = Segment(V(0, 0), V(1, 0)).nearest(V(0.5, 1))
    assert (point.x, point.y) == (0.5, 0)


def test_crosses():
    line = Segment(V(0, 0), V(4, 4))
    assert line.crosses(Segment(V(0, 4), V(4, 0)))
    assert not line.crosses(Segment(V(0, 1), V(3, 4)))


def test_crosses_needs_both():
    line = Segment(V(0, 0), V(4, 4))
    assert not line.crosses(Segment(V(5, 6), V(8, 7)))
    assert not line.crosses(Segment(V(5, 6), V(6, 5)))
    assert not line.crosses(Segment(V(3, 1), V(4, 0)))
    assert not line.crosses(Segment(V(1, 3), V(0, 4)))


def test_touching_is_not_crossing():
    line = Segment(V(0, 0), V(4, 4))
    assert not line.crosses(Segment(V(2, 2), V(4, 0)))
    assert not line.crosses(Segment(V(4, 0), V(2, 2)))
    assert not line.crosses(Segment(V(-1, 1), V(1, -1)))
    assert not line.crosses(Segment(V(3, 5), V(5, 3)))
