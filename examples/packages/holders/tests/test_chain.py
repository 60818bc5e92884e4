import pytest

from holders.chain import Chain, History
from holders.ring import Empty


def test_iter():
    assert list(Chain("abc")) == ["a", "b", "c"]
    assert list(Chain()) == []


def test_link_at():
    chain = Chain("abc")
    assert [chain.link_at(i).value for i in range(3)] == ["a", "b", "c"]


def test_link_at_outside():
    with pytest.raises(IndexError):
        Chain("abc").link_at(3)
    with pytest.raises(IndexError):
        Chain("abc").link_at(5)


def test_insert_first():
    chain = Chain("abc")
    chain.insert(0, "x")
    assert list(chain) == ["x", "a", "b", "c"]


def test_insert():
    chain = Chain("abc")
    chain.insert(1, "x")
    chain.insert(4, "y")
    assert list(chain) == ["a", "x", "b", "c", "y"]


def test_remove():
    chain = Chain("abcb")
    assert chain.remove("b") is True
    assert list(chain) == ["a", "c", "b"]


def test_remove_first():
    chain = Chain("abc")
    assert chain.remove("a") is True
    assert list(chain) == ["b", "c"]


def test_remove_unknown():
    chain = Chain("abc")
    assert chain.remove("x") is False
    assert list(chain) == ["a", "b", "c"]


def test_reverse():
    chain = Chain("abc")
    chain.reverse()
    assert list(chain) == ["c", "b", "a"]


def test_undo():
    history = History("a")
    history.change("b")
    assert history.current() == "b"
    assert history.undo() == "a"


def test_undo_nothing():
    with pytest.raises(Empty):
        History("a").undo()


def test_redo():
    history = History("a")
    history.change("b")
    history.undo()
    assert history.redo() == "b"
    assert history.current() == "b"


def test_redo_nothing():
    with pytest.raises(Empty):
        History("a").redo()


def test_change_ends_redo():
    history = History("a")
    history.change("b")
    history.undo()
    history.change("c")
    assert history.future == []


def test_limit():
    history = History("a", 2)
    history.change("b")
    assert history.past == ["a", "b"]
    history.change("c")
    assert history.past == ["b", "c"]


def test_default_limit():
    history = History(0)
    for state in range(1, 12):
        history.change(state)
    assert history.past == list(range(2, 12))
