import pytest

from spanset import Span
from spanset.booking import Clash, Room
from spanset.booking import best_choice, most_at_once, rooms_needed


def busy():
    room = Room()
    room.book("bob", 13, 15)
    room.book("ann", 9, 11)
    return room


def test_whole_day():
    room = Room()
    room.book("ann", 8, 18)
    assert room.use() == 100


def test_book_outside_hours():
    with pytest.raises(ValueError):
        busy().book("cid", 7, 9)
    with pytest.raises(ValueError):
        busy().book("cid", 17, 19)


def test_book_nothing():
    with pytest.raises(ValueError):
        busy().book("cid", 12, 12)


def test_book_twice():
    with pytest.raises(ValueError, match="ann has"):
        busy().book("ann", 16, 17)


def test_book_clash():
    with pytest.raises(Clash, match="bob"):
        busy().book("cid", 14, 17)


def test_book_between():
    room = busy()
    room.book("cid", 11, 13)
    assert room.plan() == ["ann", "cid", "bob"]


def test_cancel():
    room = busy()
    assert room.cancel("ann")
    assert not room.cancel("ann")
    assert room.plan() == ["bob"]


def test_who_at():
    assert busy().who_at(10) == "ann"
    assert busy().who_at(13) == "bob"
    assert busy().who_at(11) is None


def test_first_free():
    assert busy().first_free(1) == 8
    assert busy().first_free(2) == 11
    assert busy().first_free(3) == 15


def test_first_free_none():
    assert busy().first_free(4) is None


def test_use():
    assert busy().use() == 40
    assert Room(8, 11).use() == 0


def test_most_at_once():
    spans = [Span(1, 5), Span(3, 8), Span(4, 6), Span(6, 9)]
    assert most_at_once(spans) == 3
    assert most_at_once([Span(1, 2), Span(4, 5), Span(7, 8)]) == 1
    assert most_at_once([]) == 0


def test_best_choice():
    spans = [Span(1, 9), Span(2, 4), Span(4, 6), Span(5, 7), Span(7, 8)]
    assert best_choice(spans) == [Span(2, 4), Span(4, 6), Span(7, 8)]


def test_rooms_needed():
    spans = [Span(1, 5), Span(5, 8), Span(2, 3), Span(3, 6)]
    assert rooms_needed(spans) == 2
    assert rooms_needed([]) == 0


def test_rooms_needed_all():
    assert rooms_needed([Span(1, 5), Span(2, 5), Span(4, 6)]) == 3
