import pytest

from gameboards import three


def test_winner_rows():
    assert three.winner("XXXOO....") == "X"
    assert three.winner("XX.OOOX..") == "O"
    assert three.winner("OO.O..XXX") == "X"


def test_winner_columns():
    assert three.winner("XO.XO.X..") == "X"
    assert three.winner("XOXXO..O.") == "O"
    assert three.winner("OOX..X..X") == "X"


def test_winner_diagonals():
    assert three.winner("XOO.X...X") == "X"
    assert three.winner("XXO.O.O.X") == "O"


def test_no_winner():
    assert three.winner("XOXOXOOXO") is None
    assert three.winner(".........") is None


def test_to_move():
    assert three.to_move("X.O......") == "X"
    assert three.to_move("X........") == "O"


def test_play():
    assert three.play("X........", 4) == "X...O...."
    assert three.play("X...O....", 8) == "X...O...X"


def test_play_not_allowed():
    with pytest.raises(ValueError):
        three.play("X........", 0)
    with pytest.raises(ValueError):
        three.play("XXXOO....", 8)


def test_is_over():
    assert three.is_over("XXXOO....")
    assert three.is_over("XOXOXOOXO")
    assert not three.is_over("X........")


def test_open_places():
    assert three.open_places("X.OXO.XXO") == [1, 5]


def test_winning_place():
    assert three.winning_place("XX.OO....", "X") == 2
    assert three.winning_place("XX.OO....", "O") == 5


def test_no_winning_place():
    assert three.winning_place("XXO.O....", "X") is None
    assert three.winning_place("X........", "X") is None


def test_advise_win():
    assert three.advise("XX.OO....") == 2
    assert three.advise("OO.XX.X..") == 2


def test_advise_against_loss():
    assert three.advise("XX..O....") == 2
    assert three.advise("O..XX....") == 5
    assert three.advise("..X.O.X.O") == 0
    assert three.advise("OO..X...X") == 2


def test_advise_centre():
    assert three.advise("X........") == 4


def test_advise_first_open():
    assert three.advise("....X....") == 0


def test_score():
    assert three.score("XX.OO....") == 1
    assert three.score("XOXOOX.X.") == 0
    assert three.score("XXOO.O..X") == 1


def test_score_over():
    assert three.score("OOOXX.X..") == -1
    assert three.score("XXXOO....") == 1
    assert three.score("XOXOXOOXO") == 0


def test_score_for_o():
    assert three.score("OO.XX.X..") == -1
    assert three.score("XOXXOO..X") == -1
