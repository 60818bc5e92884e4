import pytest

from statmat.solve import derivative, evaluate, multiply
from statmat.solve import pivot_row, solve, swap_rows


def test_swap_rows():
    rows = [[1], [2], [3]]
    swap_rows(rows, 0, 2)
    assert rows == [[3], [2], [1]]


def test_pivot_row():
    rows = [[9, 1], [1, 2], [2, -5]]
    assert pivot_row(rows, 1) == 2
    assert pivot_row(rows, 0) == 0


def test_pivot_row_first_of_equals():
    assert pivot_row([[3, 0], [-3, 0]], 0) == 0


def test_pivot_row_next():
    assert pivot_row([[1, 0], [-3, 0]], 0) == 1


def test_solve():
    assert solve([[2, 1], [1, 3]], [5, 10]) == pytest.approx([1, 3])


def test_solve_needs_swap():
    assert solve([[0, 2], [4, 1]], [6, 11]) == pytest.approx([2, 3])


def test_solve_three():
    rows = [[1, 1, 1], [0, 2, 5], [2, 5, -1]]
    assert solve(rows, [6, -4, 27]) == pytest.approx([5, 3, -2])


def test_solve_no_single_solution():
    with pytest.raises(ValueError):
        solve([[1, 2], [2, 4]], [1, 2])


def test_solve_pivot_of_one():
    assert solve([[1]], [4]) == [4]


def test_evaluate():
    assert evaluate([2, 0, 1], 3) == 19
    assert evaluate([], 3) == 0


def test_derivative():
    assert derivative([2, 3, 5, 7]) == [6, 6, 5]
    assert derivative([4]) == []


def test_multiply():
    assert multiply([1, 2], [3, 4]) == [3, 10, 8]
    assert multiply([1, 0, 2], [1, 1]) == [1, 1, 2, 2]
