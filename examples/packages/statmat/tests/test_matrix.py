import pytest

from statmat import Matrix

A = Matrix([[1, 2, 3], [4, 5, 6]])
B = Matrix([[2, 0], [1, 3]])


def test_rows_of_one_length():
    with pytest.raises(ValueError):
        Matrix([[1, 2], [3]])


def test_rows_are_copied():
    rows = [[1, 2]]
    matrix = Matrix(rows)
    rows[0][0] = 9
    assert matrix.rows == [[1, 2]]


def test_identity():
    assert Matrix.identity(2).rows == [[1, 0], [0, 1]]


def test_shape():
    assert A.shape() == (2, 3)


def test_first_row_sets_the_length():
    with pytest.raises(ValueError):
        Matrix([[1, 2], [3], [4]])


def test_column():
    assert A.column(1) == [2, 5]


def test_transposed():
    assert A.transposed().rows == [[1, 4], [2, 5], [3, 6]]


def test_plus():
    assert B.plus(Matrix([[1, 2], [3, 4]])).rows == [[3, 2], [4, 7]]


def test_plus_shapes():
    with pytest.raises(ValueError):
        A.plus(B)


def test_times():
    assert B.times(A).rows == [[2, 4, 6], [13, 17, 21]]


def test_times_shapes():
    with pytest.raises(ValueError):
        A.times(B)


def test_trace():
    assert B.trace() == 5


def test_is_symmetric():
    assert Matrix([[1, 2], [2, 5]]).is_symmetric()
    assert not B.is_symmetric()


def test_without():
    square = Matrix([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    assert square.without(0, 1).rows == [[4, 6], [7, 9]]
    assert square.without(2, 0).rows == [[2, 3], [5, 6]]


def test_determinant_small():
    assert Matrix([[7]]).determinant() == 7
    assert Matrix([[3, 5], [2, 6]]).determinant() == 8


def test_determinant():
    assert Matrix([[2, 1, 3], [0, 4, 1], [5, 2, 6]]).determinant() == -11


def test_determinant_not_square():
    with pytest.raises(ValueError):
        A.determinant()


def test_apply():
    assert A.apply([1, 0, 2]) == [7, 16]
