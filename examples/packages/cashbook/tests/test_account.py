import pytest

from cashbook import Account, OverdraftError


def busy():
    account = Account("cash", 100)
    account.withdraw(70)
    account.deposit(200)
    account.withdraw(60)
    return account


def test_new_account_is_empty():
    account = Account("cash")
    assert account.balance == 0
    assert account.available() == 0


def test_deposit():
    account = Account("cash", 5)
    account.deposit(1)
    assert account.balance == 6
    assert account.moves == [1]


def test_deposit_of_nothing():
    with pytest.raises(ValueError):
        Account("cash").deposit(0)


def test_available_counts_the_limit():
    assert Account("cash", 100, 50).available() == 150


def test_withdraw():
    account = Account("cash", 10)
    account.withdraw(1)
    assert account.balance == 9
    assert account.moves == [-1]


def test_withdraw_nothing():
    with pytest.raises(ValueError):
        Account("cash", 10).withdraw(0)


def test_withdraw_everything():
    account = Account("cash", 10)
    account.withdraw(10)
    assert account.balance == 0


def test_withdraw_too_much():
    with pytest.raises(OverdraftError):
        Account("cash", 10).withdraw(11)


def test_pay_to():
    first, second = Account("a", 100), Account("b", 1)
    first.pay_to(second, 40)
    assert (first.balance, second.balance) == (60, 41)


def test_is_overdrawn():
    assert Account("cash", -1).is_overdrawn()
    assert not Account("cash", 0).is_overdrawn()


def test_total_in():
    assert busy().total_in() == 200


def test_total_out():
    assert busy().total_out() == 130


def test_totals_count_single_cents():
    account = Account("cash")
    account.deposit(1)
    assert (account.total_in(), account.total_out()) == (1, 0)
    account.withdraw(1)
    assert (account.total_in(), account.total_out()) == (1, 1)


def test_last_moves():
    assert busy().last_moves(2) == [-60, 200]
    assert busy().last_moves(1) == [-60]


def test_last_moves_none():
    assert busy().last_moves(0) == []


def test_lowest_balance():
    assert busy().lowest_balance() == 30


def test_lowest_balance_at_the_start():
    account = Account("cash", 3)
    account.deposit(10)
    assert account.lowest_balance() == 3
