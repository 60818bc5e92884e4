import pytest

from holders.ring import Empty, Full, Ring


def filled():
    ring = Ring(3)
    for value in "abc":
        ring.push(value)
    return ring


def test_new_ring_is_empty():
    assert len(Ring(3)) == 0


def test_push():
    ring = Ring(3)
    ring.push("a")
    assert ring.values() == ["a"]
    assert len(ring) == 1


def test_is_full():
    assert filled().is_full()
    assert not Ring(3).is_full()


def test_push_full():
    with pytest.raises(Full):
        filled().push("d")


def test_pop_order():
    ring = filled()
    assert [ring.pop(), ring.pop(), ring.pop()] == ["a", "b", "c"]


def test_pop_empty():
    with pytest.raises(Empty):
        Ring(3).pop()


def test_pop_clears_the_slot():
    ring = filled()
    ring.pop()
    assert ring.slots == [None, "b", "c"]


def test_wraps_around():
    ring = filled()
    ring.pop()
    ring.push("d")
    assert ring.slots == ["d", "b", "c"]
    assert ring.values() == ["b", "c", "d"]


def test_force():
    ring = filled()
    assert ring.force("d") == "a"
    assert ring.values() == ["b", "c", "d"]


def test_force_with_room():
    ring = Ring(2)
    assert ring.force("a") is None
    assert ring.values() == ["a"]


def test_slot():
    ring = filled()
    ring.head = 2
    assert [ring.slot(i) for i in range(3)] == [2, 0, 1]


def test_peek():
    assert filled().peek() == "a"
    assert filled().peek(2) == "c"


def test_peek_from_the_end():
    assert filled().peek(-1) == "c"
    assert filled().peek(-3) == "a"


def test_peek_outside():
    ring = Ring(3)
    ring.push("a")
    with pytest.raises(IndexError):
        ring.peek(1)
    with pytest.raises(IndexError):
        ring.peek(-2)
