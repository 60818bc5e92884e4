import pytest

from numerals import fractions


def test_common_divisor():
    assert fractions.common_divisor(12, 18) == 6
    assert fractions.common_divisor(-4, 0) == 4


def test_reduce():
    assert fractions.reduce(6, 8) == (3, 4)
    assert fractions.reduce(3, -9) == (-1, 3)
    assert fractions.reduce(3, -1) == (-3, 1)


def test_reduce_zero():
    with pytest.raises(ZeroDivisionError, match="bottom"):
        fractions.reduce(1, 0)


def test_reduce_whole():
    assert fractions.reduce(6, 1) == (6, 1)


def test_add():
    assert fractions.add((1, 2), (1, 3)) == (5, 6)
    assert fractions.add((2, 3), (5, 6)) == (3, 2)


def test_divide():
    assert fractions.divide((1, 2), (3, 5)) == (5, 6)


def test_is_less():
    assert fractions.is_less((2, 5), (1, 2))
    assert not fractions.is_less((1, 2), (2, 4))
    assert not fractions.is_less((3, 4), (2, 3))
    assert not fractions.is_less((1, 2), (1, 3))
    assert fractions.is_less((1, 9), (3, 9))


def test_mixed():
    assert fractions.mixed(3, 2) == "1 1/2"
    assert fractions.mixed(10, 4) == "2 1/2"


def test_mixed_simple():
    assert fractions.mixed(6, 3) == "2"
    assert fractions.mixed(2, 8) == "1/4"


def test_parse_mixed():
    assert fractions.parse_mixed("3") == (3, 1)
    assert fractions.parse_mixed("6/8") == (3, 4)
    assert fractions.parse_mixed("1 1/2") == (3, 2)
    assert fractions.parse_mixed("") == (0, 1)


def test_decimal_digits():
    assert fractions.decimal_digits(1, 7, 6) == [1, 4, 2, 8, 5, 7]
    assert fractions.decimal_digits(1, 4, 3) == [2, 5, 0]


def test_period_length():
    assert fractions.period_length(7) == 6
    assert fractions.period_length(12) == 1


def test_period_length_finite():
    assert fractions.period_length(8) == 0
    assert fractions.period_length(1) == 0


def test_period_length_full():
    assert fractions.period_length(17) == 16
