import pytest

from measures import travel


def test_speed_kmh():
    assert travel.speed_kmh(100, 10) == 36
    assert travel.speed_kmh(10, 1) == 36


def test_speed_without_time():
    with pytest.raises(ValueError):
        travel.speed_kmh(100, 0)


def test_pace():
    assert travel.pace(10, 3000) == (5, 0)
    assert travel.pace(2, 625) == (5, 12)
    assert travel.pace(1, 119) == (1, 59)


def test_fuel_use():
    assert travel.fuel_use(30, 500) == 6


def test_miles_per_gallon():
    assert round(travel.miles_per_gallon(8), 1) == 29.4


def test_reach():
    assert travel.reach(35, 6) == 500
    assert travel.reach(35, 6, 11) == 400


def test_reach_on_spare():
    assert travel.reach(5, 6) == 0
    assert travel.reach(3, 6) == 0


def test_average_speed():
    assert travel.average_speed([(60, 60), (60, 20)]) == 30


def test_climb():
    assert travel.climb([100, 150, 120, 180]) == (110, 30)
    assert travel.climb([100, 100]) == (0, 0)


def test_fill_stops():
    assert travel.fill_stops([200, 200, 100], 500) == 0
    assert travel.fill_stops([200, 200, 101], 500) == 1
    assert travel.fill_stops([400, 300, 300], 500) == 2


def test_fill_stops_after_a_stop():
    assert travel.fill_stops([300, 300, 200], 500) == 1


def test_fill_stops_long_leg():
    assert travel.fill_stops([500], 500) == 0
    with pytest.raises(ValueError):
        travel.fill_stops([501], 500)


def test_braking_distance():
    assert travel.braking_distance(50) == 40
    assert travel.braking_distance(40, wet=True) == 36


def test_body_index():
    assert travel.body_index(80, 180) == 24.7
    assert travel.body_index(60, 160) == 23.4
