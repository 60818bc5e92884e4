import pytest

from formread import calculate


def test_number():
    assert calculate("2.5") == 2.5


def test_sums():
    assert calculate("7 - 2 + 4") == 9
    assert calculate("7 - 2 - 4") == 1


def test_products():
    assert calculate("12 / 2 * 3") == 18
    assert calculate("12 / 2 / 3") == 2


def test_products_before_sums():
    assert calculate("2 + 3 * 4") == 14


def test_brackets():
    assert calculate("(2 + 3) * 4") == 20


def test_minus_sign():
    assert calculate("-3 + 5") == 2
    assert calculate("--3") == 3


def test_power():
    assert calculate("2 ^ 3 ^ 2") == 512
    assert calculate("-2 ^ 2") == -4
    assert calculate("2 ^ -1") == 0.5


def test_names():
    assert calculate("a * b", a=2, b=5) == 10


def test_functions():
    assert calculate("max(1, 5, 3)") == 5
    assert calculate("min(4, 2) + abs(-1)") == 3


def test_unknown_name():
    with pytest.raises(ValueError, match="unknown: c"):
        calculate("c")


def test_early_end():
    with pytest.raises(ValueError, match="early"):
        calculate("2 +")


def test_left_over():
    with pytest.raises(ValueError, match="left over: 3"):
        calculate("2 3")
    with pytest.raises(ValueError, match="left over: 4"):
        calculate("2 4 5")


def test_missing_bracket():
    with pytest.raises(ValueError, match="expected [)]"):
        calculate("(2")
    with pytest.raises(ValueError, match="expected [(]"):
        calculate("max 2")


def test_symbol_in_wrong_place():
    with pytest.raises(ValueError, match="unknown: [*]"):
        calculate("2 + * 3")
