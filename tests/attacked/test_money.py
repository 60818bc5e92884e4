from money import add


def test_sum():
    assert add(1, 2) == 3


def test_more():
    total = add(20, 22)
    assert total == 42


def test_zero():
    assert add(0, 0) == 0
