import pytest

from stockroom import Stock
from stockroom.stock import ShortageError


def sample():
    stock = Stock()
    stock.receive("nail", 10)
    stock.receive("bolt", 4)
    return stock


def test_level():
    assert sample().level("bolt") == 4
    assert sample().level("pump") == 0


def test_receive_adds_up():
    stock = sample()
    stock.receive("bolt", 1)
    assert stock.level("bolt") == 5


def test_receive_nothing():
    with pytest.raises(ValueError):
        sample().receive("bolt", 0)


def test_take():
    stock = sample()
    stock.take("nail", 3)
    assert stock.level("nail") == 7


def test_take_all():
    stock = sample()
    stock.take("bolt", 4)
    assert stock.items() == ["nail"]


def test_take_all_but_one():
    stock = sample()
    stock.take("bolt", 3)
    assert stock.items() == ["bolt", "nail"]


def test_take_too_many():
    with pytest.raises(ShortageError):
        sample().take("bolt", 5)


def test_free():
    stock = sample()
    stock.reserve("nail", 3)
    stock.reserve("nail", 2)
    assert stock.free("nail") == 5
    assert stock.free("pump") == 0


def test_reserved_cannot_be_taken():
    stock = sample()
    stock.reserve("bolt", 4)
    with pytest.raises(ShortageError):
        stock.take("bolt", 1)


def test_reserve_too_many():
    with pytest.raises(ShortageError):
        sample().reserve("bolt", 5)


def test_release():
    stock = sample()
    stock.reserve("bolt", 3)
    assert stock.release("bolt", 2) == 2
    assert stock.free("bolt") == 3


def test_release_more_than_held():
    stock = sample()
    stock.reserve("bolt", 3)
    assert stock.release("bolt", 9) == 3
    assert stock.free("bolt") == 4


def test_release_without_reserve():
    assert sample().release("bolt", 1) == 0


def test_total():
    assert sample().total() == 14


def test_missing():
    wanted = {"nail": 10, "bolt": 7, "pump": 1}
    assert sample().missing(wanted) == {"bolt": 3, "pump": 1}


def test_low_items():
    assert sample().low_items(10) == ["bolt"]
    assert sample().low_items(11) == ["bolt", "nail"]
