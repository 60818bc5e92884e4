import pytest

from cashbook import Ledger
from cashbook.ledger import Entry


def sample():
    ledger = Ledger()
    ledger.book(1, "bank", "cash", 500, "First money")
    ledger.book(3, "cash", "food", 120, "Bread")
    ledger.book(3, "cash", "rent", 500, "Room money")
    ledger.book(6, "food", "cash", 20)
    return ledger


def test_entry_needs_two_accounts():
    with pytest.raises(ValueError):
        Entry(1, "cash", "cash", 5)


def test_effect_on():
    entry = Entry(1, "cash", "food", 5)
    assert entry.effect_on("food") == 5
    assert entry.effect_on("cash") == -5
    assert entry.effect_on("rent") == 0


def test_book_out_of_order():
    with pytest.raises(ValueError):
        sample().book(5, "a", "b", 1)


def test_book_same_day():
    ledger = sample()
    ledger.book(6, "a", "b", 1)
    assert len(ledger.entries) == 5


def test_balance():
    assert sample().balance("cash") == -100
    assert sample().balance("food") == 100


def test_balance_until():
    assert sample().balance("cash", 2) == 500
    assert sample().balance("food", 3) == 120
    assert sample().balance("cash", 0) == 0


def test_accounts():
    assert sample().accounts() == ["bank", "cash", "food", "rent"]


def test_between():
    ledger = sample()
    assert ledger.between(3, 6) == ledger.entries[1:]
    assert ledger.between(1, 3) == ledger.entries[:3]
    assert ledger.between(2, 2) == []


def test_turnover():
    assert sample().turnover("food") == 140
    assert sample().turnover("bank") == 500


def test_largest_is_the_first_of_equals():
    ledger = sample()
    assert ledger.largest() is ledger.entries[0]


def test_largest_later():
    ledger = sample()
    ledger.book(7, "a", "b", 501)
    assert ledger.largest() is ledger.entries[4]


def test_largest_of_none():
    assert Ledger().largest() is None


def test_find():
    ledger = sample()
    assert ledger.find("Money") == [ledger.entries[0], ledger.entries[2]]
    assert ledger.find("bread") == [ledger.entries[1]]


def test_is_settled():
    ledger = Ledger()
    assert ledger.is_settled()
    ledger.book(1, "a", "b", 1)
    assert not ledger.is_settled()
    ledger.book(1, "b", "a", 1)
    assert ledger.is_settled()
