from sortseek import find

VALUES = [2, 3, 5, 5, 5, 8, 13]


def test_lower_bound():
    assert find.lower_bound(VALUES, 5) == 2
    assert find.lower_bound(VALUES, 4) == 2
    assert find.lower_bound(VALUES, 6) == 5


def test_lower_bound_ends():
    assert find.lower_bound(VALUES, 1) == 0
    assert find.lower_bound(VALUES, 14) == 7
    assert find.lower_bound([], 1) == 0


def test_binary_search():
    assert find.binary_search(VALUES, 8) == 5
    assert find.binary_search(VALUES, 2) == 0


def test_binary_search_not_there():
    assert find.binary_search(VALUES, 4) == -1
    assert find.binary_search(VALUES, 20) == -1


def test_count_equal():
    assert find.count_equal(VALUES, 5) == 3
    assert find.count_equal(VALUES, 4) == 0


def test_closest():
    assert find.closest(VALUES, 7) == 8
    assert find.closest(VALUES, 6) == 5
    assert find.closest(VALUES, 4) == 3


def test_closest_ends():
    assert find.closest(VALUES, -4) == 2
    assert find.closest(VALUES, 99) == 13


def test_peak():
    assert find.peak([1, 4, 6, 5, 2]) == 2
    assert find.peak([1, 2, 3]) == 2
    assert find.peak([3, 2, 1]) == 0


def test_peak_of_two():
    assert find.peak([1, 2]) == 1
    assert find.peak([7]) == 0
    assert find.peak([1, 2, 2, 1]) == 2


def test_turning_point():
    assert find.turning_point([4, 5, 1, 2]) == 2
    assert find.turning_point([2, 1]) == 1


def test_turning_point_sorted():
    assert find.turning_point([1, 2, 2]) == 0


def test_jump_search():
    places = [find.jump_search([1, 3, 5, 7, 9], n, 2) for n in (1, 3, 5, 9)]
    assert places == [0, 1, 2, 4]


def test_jump_search_not_there():
    assert find.jump_search([1, 3, 5, 7, 9], 4, 2) == -1
    assert find.jump_search([1, 3, 5, 7], 9, 2) == -1


def test_jump_search_stays_near():
    assert find.jump_search([1, 3, 3, 9], 3, 2) == 2
    assert find.jump_search([5, 1, 2, 6], 6, 2) == 3
    assert find.jump_search([4, 4, 9, 4], 4, 2) == 0


def test_whole_root():
    assert find.whole_root(16) == 4
    assert find.whole_root(24) == 4
    assert find.whole_root(255) == 15
    assert find.whole_root(99) == 9
    assert find.whole_root(0) == 0
    assert find.whole_root(1) == 1
    assert find.whole_root(2) == 1
