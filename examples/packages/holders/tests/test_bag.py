from holders import Bag


def test_counts():
    bag = Bag("banana")
    assert (bag["a"], bag["n"], bag["x"]) == (3, 2, 0)


def test_len():
    assert len(Bag("banana")) == 6


def test_add():
    bag = Bag("ab")
    bag.add("a")
    bag.add("b", 3)
    assert bag.counts == {"a": 2, "b": 4}


def test_drop():
    bag = Bag("aab")
    assert bag.drop("a") is True
    assert bag.counts == {"a": 1, "b": 1}


def test_drop_many():
    bag = Bag("aaa")
    bag.drop("a")
    assert bag.counts == {"a": 2}


def test_drop_last():
    bag = Bag("aab")
    assert bag.drop("b") is True
    assert bag.counts == {"a": 2}


def test_drop_unknown():
    assert Bag("aab").drop("x") is False


def test_within():
    assert Bag("ab") <= Bag("aab")
    assert Bag("aab") <= Bag("aab")
    assert not Bag("aab") <= Bag("abb")


def test_and():
    assert (Bag("aab") & Bag("abbc")).counts == {"a": 1, "b": 1}


def test_or():
    assert (Bag("aab") | Bag("abbc")).counts == {"a": 2, "b": 2, "c": 1}


def test_sub():
    assert (Bag("aaab") - Bag("abbc")).counts == {"a": 2}


def test_common():
    assert Bag("banana").common(2) == [("a", 3), ("n", 2)]
    assert Bag("ab").common(1) == [("a", 1)]
