import pytest

from numerals import roman


def test_to_roman():
    assert roman.to_roman(1994) == "MCMXCIV"
    assert roman.to_roman(2448) == "MMCDXLVIII"


def test_to_roman_single_symbols():
    for value, symbol in roman.SYMBOLS:
        assert roman.to_roman(value) == symbol


def test_to_roman_table():
    assert [roman.to_roman(n) for n in (6, 60, 600, 9, 90)] == [
        "VI", "LX", "DC", "IX", "XC"]


def test_to_roman_limits():
    assert roman.to_roman(3999) == "MMMCMXCIX"
    assert roman.to_roman(1) == "I"


def test_to_roman_out_of_limits():
    with pytest.raises(ValueError):
        roman.to_roman(0)
    with pytest.raises(ValueError):
        roman.to_roman(4000)


def test_value_of():
    assert roman.value_of("XIV") == 14
    assert roman.value_of("MDCLXVI") == 1666


def test_value_of_equal_letters():
    assert roman.value_of("III") == 3


def test_value_of_unusual_form():
    assert roman.value_of("IIX") == 8


def test_is_roman():
    assert roman.is_roman("XLII")
    assert roman.is_roman("I")
    assert roman.is_roman("MMMCMXCIX")


def test_is_not_roman():
    assert not roman.is_roman("")
    assert not roman.is_roman("IIX")
    assert not roman.is_roman("XA")
    assert not roman.is_roman("MMMM")


def test_from_roman():
    assert roman.from_roman(" xiv ") == 14


def test_from_roman_wrong():
    with pytest.raises(ValueError):
        roman.from_roman("VX")


def test_add_roman():
    assert roman.add_roman("XIV", "IX") == "XXIII"
