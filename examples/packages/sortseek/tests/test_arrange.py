from sortseek import arrange


def test_rotate():
    assert arrange.rotate([1, 2, 3, 4], 1) == [2, 3, 4, 1]
    assert arrange.rotate([1, 2, 3, 4], -1) == [4, 1, 2, 3]


def test_rotate_around():
    assert arrange.rotate([1, 2, 3], 4) == [2, 3, 1]
    assert arrange.rotate([], 4) == []


def test_interleave():
    assert arrange.interleave([1, 3], [2, 4]) == [1, 2, 3, 4]


def test_interleave_unequal():
    assert arrange.interleave([1], [2, 4, 5]) == [1, 2, 4, 5]
    assert arrange.interleave([1, 3, 5], [2]) == [1, 2, 3, 5]


def test_without_repeats():
    assert arrange.without_repeats([3, 1, 3, 2, 1]) == [3, 1, 2]


def test_zeros_last():
    assert arrange.zeros_last([0, 4, 0, -1, 1]) == [4, -1, 1, 0, 0]


def test_next_permutation():
    assert arrange.next_permutation([1, 3, 2]) == [2, 1, 3]
    assert arrange.next_permutation([1, 2, 3]) == [1, 3, 2]


def test_next_permutation_equals():
    assert arrange.next_permutation([1, 2, 1]) == [2, 1, 1]
    assert arrange.next_permutation([1, 1, 2]) == [1, 2, 1]


def test_next_permutation_last():
    assert arrange.next_permutation([3, 2, 1]) is None
    assert arrange.next_permutation([1, 1]) is None


def test_spiral():
    rows = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert arrange.spiral(rows) == [1, 2, 3, 6, 9, 8, 7, 4, 5]


def test_spiral_of_one_row():
    assert arrange.spiral([[1, 2]]) == [1, 2]


def test_inversions():
    assert arrange.inversions([3, 1, 2]) == 2
    assert arrange.inversions([1, 1, 2]) == 0


def test_best_sum():
    assert arrange.best_sum([1, -3, 4, -1, 2, -5]) == 5
    assert arrange.best_sum([5, -9, 4]) == 5


def test_best_sum_negative():
    assert arrange.best_sum([-3, -1, -2]) == -1


def test_longest_rise():
    assert arrange.longest_rise([3, 1, 4, 2, 5]) == 3
    assert arrange.longest_rise([2, 2]) == 1
    assert arrange.longest_rise([]) == 0


def test_pack():
    assert arrange.pack("aabccc") == [["a", 2], ["b", 1], ["c", 3]]


def test_unpack():
    assert arrange.unpack([["a", 2], ["b", 1]]) == ["a", "a", "b"]
