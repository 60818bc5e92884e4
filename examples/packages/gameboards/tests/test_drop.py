import pytest

from gameboards.drop import DropBoard


def board(*columns, height=6):
    made = DropBoard(len(columns), height)
    made.columns = [list(column) for column in columns]
    return made


def test_size():
    made = DropBoard()
    assert len(made.columns) == 7
    assert made.height == 6


def test_at():
    made = board("XO", "X")
    assert made.at(0, 1) == "O"
    assert made.at(1, 0) == "X"
    assert made.at(1, 1) is None


def test_at_outside():
    made = board("XO", "X")
    assert made.at(-1, 0) is None
    assert made.at(2, 0) is None
    assert made.at(0, -1) is None


def test_drop():
    made = board("XO", "")
    assert made.drop(0, "X") is False
    assert made.columns[0] == ["X", "O", "X"]


def test_drop_full():
    made = board("XO", height=2)
    with pytest.raises(ValueError):
        made.drop(0, "X")


def test_reach():
    made = board("X", "X", "X", "O")
    assert made.reach(0, 0, 1, 0) == 2
    assert made.reach(1, 0, -1, 0) == 1
    assert made.reach(3, 0, 1, 0) == 0


def test_reach_at_most_three():
    assert board(*"XXXXX").reach(0, 0, 1, 0) == 3


def test_reach_up_and_down():
    made = board("OXXX")
    assert made.reach(0, 1, 0, 1) == 2
    assert made.reach(0, 3, 0, -1) == 2


def test_four_across():
    assert board("X", "X", "", "X").drop(2, "X") is True
    assert board("X", "", "X", "O").drop(1, "X") is False


def test_four_up():
    assert board("OXXX").drop(0, "X") is True
    assert board("XOXX").drop(0, "X") is False


def test_four_rising():
    assert board("X", "OX", "OOX", "OOO").drop(3, "X") is True


def test_four_falling():
    assert board("OOOX", "OOX", "O", "X").drop(2, "X") is True
    assert board("OOOX", "OOX", "O", "O").drop(2, "X") is False


def test_open_columns():
    assert board("XO", "X", "", height=2).open_columns() == [1, 2]


def test_is_draw():
    assert board("XO", "OX", height=2).is_draw()
    assert not board("XO", "O", height=2).is_draw()


def test_best_column_wins():
    made = board("OOO", "XXX", "")
    assert made.best_column("X", "O") == 1
    assert made.columns == [["O"] * 3, ["X"] * 3, []]


def test_best_column_stops():
    assert board("", "OOO", "X").best_column("X", "O") == 1


def test_no_best_column():
    assert board("X", "O").best_column("X", "O") is None
