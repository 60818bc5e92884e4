import pytest

from sortseek import sorts


def test_insertion_sort():
    assert sorts.insertion_sort([4, 1, 3, 1, 2]) == [1, 1, 2, 3, 4]


def test_insertion_sort_keeps_the_order_of_equals():
    first, second = [1], [1]
    assert sorts.insertion_sort([first, second])[0] is first


def test_selection_sort():
    values = [4, 1, 3, 2]
    sorts.selection_sort(values)
    assert values == [1, 2, 3, 4]


def test_selection_sort_swaps():
    assert sorts.selection_sort([3, 2, 1]) == 1
    assert sorts.selection_sort([2, 3, 1]) == 2
    assert sorts.selection_sort([1, 2]) == 0


def test_selection_sort_equals():
    assert sorts.selection_sort([1, 1]) == 0


def test_bubble_pass():
    values = [3, 2, 4, 1]
    assert sorts.bubble_pass(values) is True
    assert values == [2, 3, 1, 4]


def test_bubble_pass_sorted():
    assert sorts.bubble_pass([1, 1, 2]) is False


def test_merge_two():
    assert sorts.merge_two([1, 4, 6], [2, 3, 5]) == [1, 2, 3, 4, 5, 6]
    assert sorts.merge_two([1], [2, 3]) == [1, 2, 3]


def test_merge_two_equals():
    left, right = [1], [1]
    assert sorts.merge_two([left], [right])[0] is left


def test_merge_sort():
    assert sorts.merge_sort([5, 2, 4, 1, 3]) == [1, 2, 3, 4, 5]
    assert sorts.merge_sort([2, 1]) == [1, 2]


def test_merge_sort_copies():
    values = [1]
    assert sorts.merge_sort(values) == [1]
    assert sorts.merge_sort(values) is not values


def test_partition():
    assert sorts.partition([3, 1, 2, 5, 2], 2) == ([1], [2, 2], [3, 5])


def test_quick_sort():
    assert sorts.quick_sort([5, 2, 4, 2, 3]) == [2, 2, 3, 4, 5]
    assert sorts.quick_sort([]) == []


def test_counting_sort():
    assert sorts.counting_sort([3, 0, 2, 3], 3) == [0, 2, 3, 3]


def test_counting_sort_above_top():
    with pytest.raises(IndexError):
        sorts.counting_sort([4], 3)


def test_radix_sort():
    values = [170, 45, 75, 90, 2, 802, 66]
    assert sorts.radix_sort(values, 3) == [2, 45, 66, 75, 90, 170, 802]


def test_radix_sort_some_digits():
    assert sorts.radix_sort([21, 12, 11], 1) == [21, 11, 12]
    assert sorts.radix_sort([9, 18], 1) == [18, 9]


def test_is_sorted():
    assert sorts.is_sorted([1, 2, 2])
    assert not sorts.is_sorted([1, 3, 2])


def test_is_sorted_strict():
    assert sorts.is_sorted([1, 2, 3], strict=True)
    assert not sorts.is_sorted([1, 2, 2], strict=True)
    assert not sorts.is_sorted([2, 1], strict=True)
