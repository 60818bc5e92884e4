import pytest

from holders.heap import Heap, is_heap
from holders.ring import Empty


def raw(values):
    heap = Heap()
    heap.tree = values
    return heap


def test_pops_in_order():
    assert Heap([5, 2, 9, 1, 7, 3]).drain() == [1, 2, 3, 5, 7, 9]


def test_drain_empties():
    heap = Heap([2, 1])
    heap.drain()
    assert len(heap) == 0


def test_len():
    assert len(Heap([5, 2, 9])) == 3


def test_swap():
    heap = raw([1, 2, 3])
    heap.swap(0, 2)
    assert heap.tree == [3, 2, 1]


def test_push_to_the_top():
    heap = raw([2, 4, 3, 6])
    heap.push(1)
    assert heap.tree == [1, 2, 3, 6, 4]


def test_push_stays():
    heap = raw([2, 4, 3])
    heap.push(4)
    assert heap.tree == [2, 4, 3, 4]


def test_rise_as_right_child():
    heap = raw([5, 6, 1])
    heap.rise(2)
    assert heap.tree == [1, 6, 5]


def test_rise_keeps_the_order_of_equals():
    first, second = [1], [1]
    heap = raw([first, second])
    heap.rise(1)
    assert heap.tree[0] is first


def test_least_child():
    heap = raw([1, 3, 2, 5, 4])
    assert heap.least_child(0) == 2
    assert heap.least_child(1) == 4


def test_least_child_of_equals():
    assert raw([1, 2, 2]).least_child(0) == 1


def test_only_child():
    assert raw([1, 2]).least_child(0) == 1


def test_leaf_has_no_child():
    assert raw([1, 2, 3]).least_child(1) is None


def test_sink():
    heap = raw([9, 3, 2, 5, 4, 6])
    heap.sink(0)
    assert heap.tree == [2, 3, 6, 5, 4, 9]


def test_sink_keeps_the_order_of_equals():
    first, second = [1], [1]
    heap = raw([first, second])
    heap.sink(0)
    assert heap.tree[0] is first


def test_pop_empty():
    with pytest.raises(Empty):
        Heap().pop()


def test_replace():
    heap = Heap([2, 5, 4])
    assert heap.replace(6) == 2
    assert heap.tree == [4, 5, 6]


def test_is_heap():
    assert is_heap([1, 3, 2, 3])
    assert not is_heap([1, 3, 2, 2])
    assert not is_heap([2, 1])


def test_is_heap_right_child():
    assert is_heap([2, 5, 3, 6, 7])
    assert not is_heap([2, 3, 1])
