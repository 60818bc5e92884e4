import pytest

from measures import units
from measures.units import Quantity, UnitError


def test_kind_of():
    assert units.kind_of("ft") == "length"
    assert units.kind_of("oz") == "weight"
    assert units.kind_of("pt") == "volume"


def test_kind_of_unknown():
    with pytest.raises(UnitError):
        units.kind_of("x")


def test_convert():
    assert units.convert(2, "km", "m") == 2000
    assert units.convert(500, "g", "kg") == 0.5
    assert units.convert(3, "l", "dl") == pytest.approx(30)


def test_convert_does_not_fit():
    with pytest.raises(UnitError):
        units.convert(2, "km", "kg")


def test_metric_factors():
    assert units.convert(1, "m", "mm") == pytest.approx(1000)
    assert units.convert(1, "m", "cm") == pytest.approx(100)
    assert units.convert(1, "t", "kg") == 1000
    assert units.convert(1, "l", "ml") == pytest.approx(1000)


def test_other_factors():
    assert units.convert(1, "ft", "in") == pytest.approx(12)
    assert units.convert(1, "mi", "ft") == pytest.approx(5280)
    assert units.convert(1, "lb", "oz") == pytest.approx(16)
    assert units.convert(1, "gal", "pt") == pytest.approx(8)


def test_parse():
    assert units.parse(" 5.5km ") == (5.5, "km")
    assert units.parse("3 l") == (3, "l")


def test_parse_wrong():
    with pytest.raises(UnitError):
        units.parse("km")
    with pytest.raises(UnitError):
        units.parse("55")


def test_best_unit():
    assert units.best_unit(2500, "m", ["mm", "m", "km"]) == (2.5, "km")
    assert units.best_unit(1000, "m", ["m", "km"]) == (1, "km")
    assert units.best_unit(900, "m", ["m", "km"]) == (900, "m")


def test_best_unit_any_order():
    assert units.best_unit(900, "m", ["km", "m"]) == (900, "m")
    assert units.best_unit(1000, "m", ["km", "m"]) == (1, "km")


def test_feet_and_inches():
    assert units.feet_and_inches(1.8) == (5, 11)
    assert units.feet_and_inches(1.83) == (6, 0)


def test_quantity_to():
    assert str(Quantity(2.5, "km").to("m")) == "2500 m"


def test_quantity_add():
    assert str(Quantity(2, "km") + Quantity(500, "m")) == "2.5 km"


def test_quantity_greater():
    assert Quantity(2, "km") > Quantity(1999, "m")
    assert not Quantity(2, "km") > Quantity(2000, "m")
