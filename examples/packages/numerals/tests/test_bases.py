import pytest

from numerals import bases


def test_to_base():
    assert bases.to_base(10, 2) == "1010"
    assert bases.to_base(255, 16) == "ff"
    assert bases.to_base(35, 36) == "z"


def test_to_base_zero():
    assert bases.to_base(0, 2) == "0"


def test_to_base_negative():
    assert bases.to_base(-5, 3) == "-12"
    assert bases.to_base(-1, 3) == "-1"


def test_to_base_limits():
    with pytest.raises(ValueError):
        bases.to_base(5, 1)
    with pytest.raises(ValueError):
        bases.to_base(5, 37)


def test_from_base():
    assert bases.from_base("1010", 2) == 10
    assert bases.from_base("FF", 16) == 255


def test_from_base_negative():
    assert bases.from_base("-12", 3) == -5


def test_from_base_underscores():
    assert bases.from_base("1_000", 10) == 1000


def test_from_base_wrong_digit():
    with pytest.raises(ValueError):
        bases.from_base("12", 2)
    with pytest.raises(ValueError):
        bases.from_base("1.", 2)


def test_change_base():
    assert bases.change_base("ff", 16, 2) == "11111111"


def test_bit_count():
    assert bases.bit_count(13) == 3
    assert bases.bit_count(31) == 5


def test_digit_sum():
    assert bases.digit_sum(-123) == 6


def test_digital_root():
    assert bases.digital_root(9875) == 2
    assert bases.digital_root(10) == 1
    assert bases.digital_root(9) == 9


def test_column_name():
    assert bases.column_name(1) == "A"
    assert bases.column_name(26) == "Z"
    assert bases.column_name(27) == "AA"
    assert bases.column_name(731) == "ABC"


def test_column_number():
    assert bases.column_number("z") == 26
    assert bases.column_number("ABC") == 731
