import pytest

from statmat import summary


def test_mean():
    assert summary.mean([1, 2, 6]) == 3


def test_mean_of_none():
    with pytest.raises(ValueError):
        summary.mean([])


def test_median_odd():
    assert summary.median([9, 1, 4]) == 4
    assert summary.median([9, 1, 5, 2, 7]) == 5


def test_median_even():
    assert summary.median([9, 1, 4, 6]) == 5


def test_modes():
    assert summary.modes([3, 1, 3, 1, 2]) == [1, 3]
    assert summary.modes([1, 2, 2]) == [2]


def test_variance():
    assert summary.variance([2, 4, 4, 4, 5, 5, 7, 9]) == 4


def test_sample_variance():
    assert summary.variance([1, 3, 5], sample=True) == 4


def test_deviation():
    assert summary.deviation([2, 8]) == 3


def test_quantile():
    assert summary.quantile([40, 10, 20, 30, 50], 0.25) == 20
    assert summary.quantile([40, 10, 20, 30, 50], 0.5) == 30


def test_quantile_between():
    assert summary.quantile([10, 20], 0.25) == 12.5
    assert summary.quantile([1, 2, 4], 0.75) == 3


def test_quantile_ends():
    assert summary.quantile([7, 3, 5], 1) == 7
    assert summary.quantile([7, 3, 5], 0) == 3


def test_weighted_mean():
    assert summary.weighted_mean([1, 4], [1, 2]) == 3


def test_outliers():
    values = [0] * 9 + [10]
    assert summary.outliers(values) == [10]
    assert summary.outliers(values, 3) == []
    assert summary.outliers(values, 2.9) == [10]


def test_outliers_default_limit():
    assert summary.outliers([0] * 3 + [4]) == []
    assert summary.outliers([0] * 4 + [4]) == []
    assert summary.outliers([0] * 5 + [4]) == [4]


def test_rescale():
    assert summary.rescale([2, 6, 4]) == [0, 1, 0.5]
    assert summary.rescale([1, 2]) == [0, 1]


def test_rescale_equal():
    assert summary.rescale([3, 3]) == [0, 0]
