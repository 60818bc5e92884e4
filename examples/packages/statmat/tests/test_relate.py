import pytest

from statmat import relate


def test_covariance():
    assert relate.covariance([1, 2, 3], [2, 4, 9]) == pytest.approx(7 / 3)


def test_covariance_lengths():
    with pytest.raises(ValueError):
        relate.covariance([1, 2], [1])


def test_correlation():
    assert relate.correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert relate.correlation([1, 2, 3], [6, 4, 2]) == pytest.approx(-1)


def test_fit_line():
    slope, offset = relate.fit_line([1, 2, 3], [5, 8, 11])
    assert slope == pytest.approx(3)
    assert offset == pytest.approx(2)


def test_rank():
    assert relate.rank([5, 9, 5, 1]) == [2, 1, 2, 4]


def test_moving_mean():
    assert relate.moving_mean([1, 3, 5, 10], 2) == [2, 4, 7.5]
    assert relate.moving_mean([1, 2, 6], 3) == [3]


def test_moving_mean_too_short():
    assert relate.moving_mean([1, 2], 3) == []


def test_growth():
    assert relate.growth([10, 15, 12]) == [50, -20]


def test_histogram():
    assert relate.histogram([0, 1, 2, 3, 4, 9], 0, 10, 5) == [2, 2, 1, 0, 1]


def test_histogram_borders():
    assert relate.histogram([2, 8, 1, 9], 2, 8, 2) == [1, 1]


def test_histogram_offset():
    assert relate.histogram([3, 5, 6], 2, 8, 3) == [1, 1, 1]


def test_mean_square_error():
    assert relate.mean_square_error([1, 5], [2, 2]) == 5
