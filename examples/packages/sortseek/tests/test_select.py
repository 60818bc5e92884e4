import pytest

from sortseek import select


def test_nth_least():
    values = [5, 1, 5, 9, 3]
    assert [select.nth_least(values, n) for n in range(5)] == [1, 3, 5, 5, 9]


def test_nth_least_outside():
    with pytest.raises(IndexError, match="3"):
        select.nth_least([1, 2, 3], 3)
    with pytest.raises(IndexError, match="-1"):
        select.nth_least([1, 2, 3], -1)


def test_two_largest():
    assert select.two_largest([3, 9, 5]) == (9, 5)
    assert select.two_largest([2, 1, 7]) == (7, 2)


def test_two_largest_of_two():
    assert select.two_largest([4, 6]) == (6, 4)


def test_two_largest_equal():
    assert select.two_largest([6, 2, 6]) == (6, 6)
    assert select.two_largest([6, 5, 4]) == (6, 5)


def test_least_and_most():
    assert select.least_and_most([3, 7, 1, 5]) == (1, 7)
    assert select.least_and_most([4]) == (4, 4)


def test_least_and_most_fall():
    assert select.least_and_most([3, 2]) == (2, 3)


def test_majority():
    assert select.majority([1, 2, 1, 3, 1]) == 1
    assert select.majority([2, 1, 1]) == 1


def test_no_majority():
    assert select.majority([1, 2]) is None
    assert select.majority([]) is None


def test_majority_changes_lead():
    assert select.majority([1, 1, 2, 2, 2]) == 2
    assert select.majority([1, 2, 2]) == 2
    assert select.majority([1, 1, 1, 2, 2]) == 1
    assert select.majority([1, 2, 2, 1, 2]) == 2


def test_pair_with_sum():
    assert select.pair_with_sum([5, 1, 8, 3], 4) == (1, 3)
    assert select.pair_with_sum([5, 4], 9) == (5, 4)


def test_pair_needs_two_values():
    assert select.pair_with_sum([2, 5], 4) is None


def test_top_values():
    assert select.top_values([4, 8, 1, 9], 2) == [9, 8]
    assert select.top_values([4], 2) == [4]


def test_first_repeat():
    assert select.first_repeat("abcb") == "b"
    assert select.first_repeat("abc") is None
