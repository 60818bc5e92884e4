import pytest

from daybook import clock


def test_parse_time():
    assert clock.parse_time("7:45") == 465
    assert clock.parse_time("23:59") == 1439


def test_parse_half_day():
    assert clock.parse_time("11:05 pm") == 1385
    assert clock.parse_time("11:05 am") == 665


def test_parse_twelve():
    assert clock.parse_time("12:30 am") == 30
    assert clock.parse_time("12:30 pm") == 750


def test_parse_wrong():
    with pytest.raises(ValueError):
        clock.parse_time("24:00")
    with pytest.raises(ValueError):
        clock.parse_time("3:60")


def test_show_time():
    assert clock.show_time(465) == "7:45"
    assert clock.show_time(605) == "10:05"


def test_show_time_wraps():
    assert clock.show_time(1440) == "0:00"
    assert clock.show_time(-1) == "23:59"


def test_show_half_day():
    assert clock.show_half_day(665) == "11:05 am"
    assert clock.show_half_day(1385) == "11:05 pm"


def test_show_half_day_twelve():
    assert clock.show_half_day(0) == "12:00 am"
    assert clock.show_half_day(720) == "12:00 pm"
    assert clock.show_half_day(785) == "1:05 pm"


def test_minutes_between():
    assert clock.minutes_between(100, 160) == 60
    assert clock.minutes_between(100, 100) == 0


def test_minutes_over_midnight():
    assert clock.minutes_between(1430, 20) == 30


def test_is_open():
    flags = [clock.is_open(t, 540, 1020) for t in (539, 540, 1019, 1020)]
    assert flags == [False, True, True, False]


def test_is_open_over_midnight():
    flags = [clock.is_open(t, 1200, 120) for t in (1199, 1200, 119, 120)]
    assert flags == [False, True, True, False]


def test_never_open():
    assert not clock.is_open(600, 600, 600)


def test_round_to():
    assert clock.round_to(67, 15) == 60
    assert clock.round_to(68, 15) == 75
    assert clock.round_to(5, 10) == 10
