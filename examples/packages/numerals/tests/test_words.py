import pytest

from numerals import words


def test_below_hundred():
    assert words.below_hundred(0) == "zero"
    assert words.below_hundred(19) == "nineteen"
    assert words.below_hundred(21) == "twenty-one"


def test_below_hundred_tens():
    assert words.below_hundred(20) == "twenty"
    assert words.below_hundred(90) == "ninety"


def test_below_thousand():
    assert words.below_thousand(99) == "ninety-nine"
    assert words.below_thousand(100) == "one hundred"
    assert words.below_thousand(199) == "one hundred and ninety-nine"
    assert words.below_thousand(998) == "nine hundred and ninety-eight"
    assert words.below_thousand(342) == "three hundred and forty-two"


def test_in_words():
    assert words.in_words(0) == "zero"
    assert words.in_words(7) == "seven"


def test_in_words_thousands():
    assert words.in_words(12345) == (
        "twelve thousand three hundred and forty-five")
    assert words.in_words(1000) == "one thousand"


def test_in_words_and():
    assert words.in_words(1001) == "one thousand and one"
    assert words.in_words(5099) == "five thousand and ninety-nine"
    assert words.in_words(5100) == "five thousand one hundred"


def test_in_words_large():
    assert words.in_words(2000000) == "two million"
    assert words.in_words(3001000000) == "three billion one million"


def test_in_words_negative():
    assert words.in_words(-1) == "minus one"


def test_ordinal_words():
    assert words.ordinal_words(4) == "fourth"
    assert words.ordinal_words(100) == "one hundredth"


def test_ordinal_words_odd():
    assert words.ordinal_words(1) == "first"
    assert words.ordinal_words(22) == "twenty-second"
    assert words.ordinal_words(103) == "one hundred and third"


def test_ordinal_words_tens():
    assert words.ordinal_words(40) == "fortieth"


def test_word_value():
    assert words.word_value("Forty-two") == 42
    assert words.word_value("seven") == 7


def test_word_value_twenty():
    assert words.word_value("twenty") == 20


def test_word_value_unknown():
    with pytest.raises(ValueError):
        words.word_value("many")
    with pytest.raises(ValueError):
        words.word_value("")


def test_times_word():
    assert words.times_word(1) == "once"
    assert words.times_word(2) == "twice"
    assert words.times_word(3) == "three times"
