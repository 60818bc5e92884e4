import pytest

from daybook import rules


def test_is_leap():
    assert rules.is_leap(2024)
    assert not rules.is_leap(2023)
    assert not rules.is_leap(2022)


def test_is_leap_century():
    assert not rules.is_leap(1900)
    assert rules.is_leap(2000)


def test_days_before():
    assert rules.days_before(1) == 0
    assert rules.days_before(6) == 1826


def test_days_in_month():
    sizes = [rules.days_in_month(2023, m) for m in range(1, 13)]
    assert sizes == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


def test_leap_february():
    assert rules.days_in_month(2024, 2) == 29


def test_no_such_month():
    with pytest.raises(ValueError):
        rules.days_in_month(2023, 0)
    with pytest.raises(ValueError):
        rules.days_in_month(2023, 13)


def test_day_of_year():
    assert rules.day_of_year(2023, 1, 5) == 5
    assert rules.day_of_year(2023, 3, 1) == 60
    assert rules.day_of_year(2024, 12, 31) == 366


def test_from_day_of_year():
    assert rules.from_day_of_year(2023, 31) == (1, 31)
    assert rules.from_day_of_year(2023, 32) == (2, 1)
    assert rules.from_day_of_year(2024, 366) == (12, 31)


def test_from_day_of_year_too_late():
    with pytest.raises(ValueError):
        rules.from_day_of_year(2023, 366)


def test_leap_years_before():
    assert rules.leap_years_before(2001) == 485
    assert rules.leap_years_before(5) == 1
    assert rules.leap_years_before(4) == 0


def test_month_number():
    assert rules.month_number("May") == 5
    assert rules.month_number("dec") == 12
    assert rules.month_number("JANUARY") == 1


def test_month_number_unknown():
    with pytest.raises(ValueError):
        rules.month_number("Ja")


def test_quarter():
    assert [rules.quarter(m) for m in (1, 3, 4, 10, 12)] == [1, 1, 2, 4, 4]
