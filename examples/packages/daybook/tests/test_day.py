import pytest

from daybook import Day


def test_no_such_day():
    with pytest.raises(ValueError):
        Day(2023, 4, 31)
    with pytest.raises(ValueError):
        Day(2023, 4, 0)


def test_parse():
    assert Day.parse("2024-02-29").parts() == (2024, 2, 29)


def test_parse_wrong():
    with pytest.raises(ValueError, match="not a date"):
        Day.parse("2024-02")
    with pytest.raises(ValueError, match="not a date"):
        Day.parse("2024-02-03-04")


def test_number():
    assert Day(1, 1, 1).number() == 1
    assert Day(2024, 1, 1).number() == 738886


def test_from_number():
    assert Day.from_number(1).parts() == (1, 1, 1)
    assert Day.from_number(365).parts() == (1, 12, 31)
    assert Day.from_number(366).parts() == (2, 1, 1)
    assert Day.from_number(738886).parts() == (2024, 1, 1)


def test_str():
    assert str(Day(987, 3, 4)) == "0987-03-04"


def test_equal():
    assert Day(2024, 1, 2) == Day(2024, 1, 2)
    assert not Day(2024, 1, 2) == Day(2024, 1, 3)


def test_less():
    assert Day(2023, 12, 31) < Day(2024, 1, 1)
    assert not Day(2024, 1, 1) < Day(2024, 1, 1)


def test_plus_days():
    assert str(Day(2024, 2, 28).plus_days(2)) == "2024-03-01"
    assert str(Day(2024, 1, 1).plus_days(-1)) == "2023-12-31"


def test_days_until():
    assert Day(2024, 2, 1).days_until(Day(2024, 3, 1)) == 29


def test_plus_months():
    assert str(Day(2024, 1, 15).plus_months(1)) == "2024-02-15"
    assert str(Day(2024, 11, 15).plus_months(3)) == "2025-02-15"
    assert str(Day(2024, 1, 15).plus_months(-1)) == "2023-12-15"


def test_plus_months_short_month():
    assert str(Day(2023, 1, 31).plus_months(1)) == "2023-02-28"


def test_month_end():
    assert str(Day(2024, 4, 5).month_end()) == "2024-04-30"


def test_weekday():
    assert Day(2024, 1, 1).weekday() == 0
    assert Day(2024, 1, 7).weekday() == 6


def test_long_form():
    assert Day(2021, 5, 3).long_form() == "3 May 2021"
