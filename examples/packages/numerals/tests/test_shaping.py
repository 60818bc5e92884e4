import pytest

from numerals import shaping


def test_group_digits():
    assert shaping.group_digits(1234567) == "1,234,567"
    assert shaping.group_digits(1000) == "1,000"


def test_group_digits_short():
    assert shaping.group_digits(999) == "999"
    assert shaping.group_digits(0) == "0"


def test_group_digits_negative():
    assert shaping.group_digits(-1234, ".") == "-1.234"
    assert shaping.group_digits(-1) == "-1"


def test_ungroup():
    assert shaping.ungroup("1,234,567") == 1234567
    assert shaping.ungroup("1.234", ".") == 1234


def test_ungroup_bad():
    with pytest.raises(ValueError):
        shaping.ungroup("1,23")
    with pytest.raises(ValueError):
        shaping.ungroup("1,2345")
    with pytest.raises(ValueError):
        shaping.ungroup("1,23,456")


def test_ordinal():
    assert [shaping.ordinal(n) for n in (1, 2, 3, 4, 10)] == [
        "1st", "2nd", "3rd", "4th", "10th"]
    assert shaping.ordinal(121) == "121st"


def test_ordinal_teens():
    assert [shaping.ordinal(n) for n in (11, 12, 113)] == [
        "11th", "12th", "113th"]
    assert [shaping.ordinal(n) for n in (101, 110, 114)] == [
        "101st", "110th", "114th"]


def test_compact():
    assert shaping.compact(999) == "999"
    assert shaping.compact(1000) == "1k"
    assert shaping.compact(1500) == "1.5k"
    assert shaping.compact(2300000) == "2.3M"


def test_compact_largest():
    assert shaping.compact(5 * 10 ** 12) == "5T"
    assert shaping.compact(10 ** 15) == "1000T"


def test_scientific():
    assert shaping.scientific(1234) == "1.23e3"
    assert shaping.scientific(0.05) == "5.00e-2"
    assert shaping.scientific(10, 0) == "1e1"
    assert shaping.scientific(9.5, 1) == "9.5e0"


def test_scientific_near_one():
    assert shaping.scientific(1, 1) == "1.0e0"
    assert shaping.scientific(0, 1) == "0.0e0"


def test_zero_padded():
    assert shaping.zero_padded(42, 5) == "00042"
    assert shaping.zero_padded(-42, 5) == "-0042"
    assert shaping.zero_padded(0, 2) == "00"


def test_zero_padded_minus_one():
    assert shaping.zero_padded(-1, 3) == "-01"


def test_signed():
    assert shaping.signed(1) == "+1"
    assert shaping.signed(0) == "0"
    assert shaping.signed(-3) == "-3"
