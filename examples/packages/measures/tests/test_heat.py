import pytest

from measures import heat


def test_c_to_f():
    assert heat.c_to_f(100) == 212
    assert heat.c_to_f(-40) == -40


def test_f_to_c():
    assert heat.f_to_c(212) == 100
    assert heat.f_to_c(32) == 0


def test_c_to_k():
    assert heat.c_to_k(0) == 273.15
    assert heat.c_to_k(-273.15) == 0


def test_c_to_k_too_cold():
    with pytest.raises(ValueError):
        heat.c_to_k(-273.16)


def test_k_to_c():
    assert heat.k_to_c(0) == -273.15
    assert heat.k_to_c(373.15) == 100


def test_k_to_c_too_cold():
    with pytest.raises(ValueError):
        heat.k_to_c(-0.1)


def test_water_state():
    states = [heat.water_state(c) for c in (0, 1, 99, 100)]
    assert states == ["ice", "water", "water", "steam"]


def test_mix():
    assert heat.mix(1, 20, 3, 60) == 50


def test_wind_chill():
    assert heat.wind_chill(-10, 30) == -19.5
    assert heat.wind_chill(10, 20) == 7.4
    assert heat.wind_chill(0, 5) == -1.6


def test_wind_chill_does_not_apply():
    assert heat.wind_chill(11, 30) == 11
    assert heat.wind_chill(-10, 4) == -10


def test_frost_days():
    assert heat.frost_days([-1, 0, 1, -3, 4]) == 2


def test_heating_degrees():
    assert heat.heating_degrees([17, 18, 20, 10]) == 9
    assert heat.heating_degrees([14, 17], 15) == 1


def test_warmest_stretch():
    values = [31, 30, 31, 32, 35, 29, 33, 33]
    assert heat.warmest_stretch(values, 30) == 3
    assert heat.warmest_stretch(values, 40) == 0
    assert heat.warmest_stretch([32, 33, 29], 30) == 2


def test_thermostat():
    assert heat.thermostat(18, 20, False) is True
    assert heat.thermostat(22, 20, True) is False


def test_thermostat_slack():
    assert heat.thermostat(19, 20, False) is False
    assert heat.thermostat(21, 20, True) is True
    assert heat.thermostat(18, 20, False, 2) is False
