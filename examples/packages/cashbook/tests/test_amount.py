import pytest

from cashbook import amount


def test_to_cents():
    assert amount.to_cents("12.50") == 1250
    assert amount.to_cents(" 3.07 ") == 307


def test_to_cents_short_decimals():
    assert amount.to_cents("7") == 700
    assert amount.to_cents("7.5") == 750


def test_to_cents_negative():
    assert amount.to_cents("-1.25") == -125


def test_to_cents_too_fine():
    with pytest.raises(ValueError):
        amount.to_cents("1.234")


def test_show():
    assert amount.show(1250) == "12.50"
    assert amount.show(7) == "0.07"
    assert amount.show(0) == "0.00"


def test_show_negative():
    assert amount.show(-125) == "-1.25"


def test_split_evenly():
    assert amount.split_evenly(100, 3) == [34, 33, 33]
    assert amount.split_evenly(10, 4) == [3, 3, 2, 2]


def test_split_for_one():
    assert amount.split_evenly(9, 1) == [9]


def test_split_for_nobody():
    with pytest.raises(ValueError, match="at least"):
        amount.split_evenly(9, 0)


def test_percent_of():
    assert amount.percent_of(1000, 7) == 70


def test_percent_rounds_half_up():
    assert amount.percent_of(50, 1) == 1
    assert amount.percent_of(49, 1) == 0
    assert amount.percent_of(150, 1) == 2


def test_change():
    assert amount.change(68, [1, 5, 10, 50]) == {50: 1, 10: 1, 5: 1, 1: 3}


def test_change_skips_coins():
    assert amount.change(50, [10, 50]) == {50: 1}


def test_change_does_not_fit():
    with pytest.raises(ValueError):
        amount.change(6, [5])


def test_round_to_cash():
    assert amount.round_to_cash(12) == 10
    assert amount.round_to_cash(13) == 15
    assert amount.round_to_cash(15) == 15


def test_round_to_cash_half():
    assert amount.round_to_cash(15, 10) == 20
    assert amount.round_to_cash(14, 10) == 10
