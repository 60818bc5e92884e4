import pytest

from cashbook import loan


def test_simple_interest():
    assert loan.simple_interest(10000, 5, 3) == 1500


def test_compound():
    assert loan.compound(10000, 10, 2) == 12100
    assert loan.compound(10000, 10, 0) == 10000


def test_years_to_reach():
    assert loan.years_to_reach(10000, 10, 12100) == 2
    assert loan.years_to_reach(10000, 10, 12101) == 3
    assert loan.years_to_reach(10000, 10, 10000) == 0


def test_years_to_reach_last_year():
    assert loan.years_to_reach(10000, 10, 12100, 2) == 2


def test_years_to_reach_stops_after_a_century():
    assert loan.years_to_reach(1000, 1, 2701) == 100
    assert loan.years_to_reach(1000, 1, 2702) is None


def test_years_to_reach_never():
    assert loan.years_to_reach(10000, 10, 12101, 2) is None


def test_repayment_plan():
    assert loan.repayment_plan(10000, 6000, 10) == [5000, 0]
    assert loan.repayment_plan(10000, 5500, 10) == [5500, 550, 0]


def test_repayment_plan_at_once():
    assert loan.repayment_plan(10000, 11000, 10) == [0]


def test_repayment_rate_too_low():
    with pytest.raises(ValueError):
        loan.repayment_plan(10000, 1000, 10)


def test_total_interest():
    assert loan.total_interest(10000, 6000, 10) == 1500


def test_late_fee():
    assert loan.late_fee(100000, 9) == 50
    assert loan.late_fee(100000, 8) == 25


def test_late_fee_grace():
    assert loan.late_fee(100000, 7) == 0
    assert loan.late_fee(100000, 2, 1, 10) == 10


def test_late_fee_has_a_top():
    assert loan.late_fee(1000, 107) == 100
