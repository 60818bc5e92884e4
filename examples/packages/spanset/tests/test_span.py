import pytest

from spanset import Span


def test_span_order():
    with pytest.raises(ValueError):
        Span(3, 2)
    assert Span(3, 3).size() == 0


def test_equal():
    assert Span(1, 2) == Span(1, 2)
    assert not Span(1, 2) == Span(1, 3)
    assert not Span(1, 2) == Span(0, 2)


def test_repr():
    assert repr(Span(1, 2)) == "Span(1, 2)"


def test_contains():
    assert [n in Span(2, 5) for n in (1, 2, 4, 5)] == [
        False, True, True, False]


def test_size():
    assert Span(2, 7).size() == 5


def test_is_empty():
    assert Span(2, 2).is_empty()
    assert not Span(2, 3).is_empty()


def test_overlaps():
    assert Span(2, 5).overlaps(Span(4, 8))
    assert Span(4, 8).overlaps(Span(2, 5))


def test_overlaps_not():
    assert not Span(2, 5).overlaps(Span(5, 8))
    assert not Span(5, 8).overlaps(Span(2, 5))


def test_touches():
    assert Span(2, 5).touches(Span(5, 8))
    assert Span(5, 8).touches(Span(2, 5))
    assert not Span(2, 5).touches(Span(6, 8))


def test_covers():
    assert Span(2, 5).covers(Span(2, 5))
    assert not Span(2, 5).covers(Span(1, 5))
    assert not Span(2, 5).covers(Span(2, 6))


def test_before():
    assert Span(2, 5).before(Span(5, 6))
    assert not Span(2, 5).before(Span(4, 6))


def test_shared():
    assert Span(2, 5).shared(Span(4, 8)) == Span(4, 5)
    assert Span(3, 9).shared(Span(1, 6)) == Span(3, 6)


def test_nothing_shared():
    assert Span(2, 5).shared(Span(5, 8)) is None
    assert Span(2, 5).shared(Span(6, 8)) is None


def test_hull():
    assert Span(2, 5).hull(Span(7, 8)) == Span(2, 8)
    assert Span(2, 9).hull(Span(1, 8)) == Span(1, 9)


def test_minus():
    assert Span(2, 9).minus(Span(4, 6)) == [Span(2, 4), Span(6, 9)]


def test_minus_one_side():
    assert Span(2, 9).minus(Span(2, 6)) == [Span(6, 9)]
    assert Span(2, 9).minus(Span(6, 9)) == [Span(2, 6)]


def test_minus_apart():
    assert Span(2, 4).minus(Span(4, 9)) == [Span(2, 4)]
    assert Span(2, 4).minus(Span(0, 9)) == []


def test_moved():
    assert Span(2, 5).moved(3) == Span(5, 8)


def test_split():
    assert Span(2, 5).split(3) == (Span(2, 3), Span(3, 5))


def test_split_outside():
    with pytest.raises(ValueError, match="inner"):
        Span(2, 5).split(2)
    with pytest.raises(ValueError, match="inner"):
        Span(2, 5).split(5)


def test_gap_to():
    assert Span(2, 5).gap_to(Span(7, 8)) == 2
    assert Span(7, 8).gap_to(Span(2, 5)) == 2


def test_no_gap():
    assert Span(2, 5).gap_to(Span(4, 8)) == 0
    assert Span(4, 8).gap_to(Span(2, 5)) == 0
