import pytest

from gameboards import chess


def test_to_square():
    assert chess.to_square("a1") == (0, 0)
    assert chess.to_square("h8") == (7, 7)
    assert chess.to_square("c5") == (2, 4)


def test_to_square_outside():
    for name in ("i1", "a9", "a0", "A1"):
        with pytest.raises(ValueError):
            chess.to_square(name)


def test_to_name():
    assert chess.to_name(2, 4) == "c5"


def test_is_dark():
    assert chess.is_dark("a1")
    assert chess.is_dark("f8")
    assert chess.is_dark("b2")
    assert chess.is_dark("d2")
    assert not chess.is_dark("d1")
    assert not chess.is_dark("h1")


def test_offsets():
    assert chess.offsets("b7", "e3") == (3, 4)


def test_rook_attacks():
    assert chess.rook_attacks("b2", "b7")
    assert chess.rook_attacks("b2", "g2")
    assert not chess.rook_attacks("b2", "c3")
    assert not chess.rook_attacks("b2", "b2")


def test_rook_one_step():
    assert chess.rook_attacks("b2", "b3")
    assert chess.rook_attacks("b2", "c2")
    assert not chess.rook_attacks("b2", "c4")


def test_bishop_attacks():
    assert chess.bishop_attacks("b2", "c3")
    assert not chess.bishop_attacks("b2", "d3")
    assert not chess.bishop_attacks("b2", "b2")


def test_queen_attacks():
    assert chess.queen_attacks("d4", "d8")
    assert chess.queen_attacks("d4", "g1")
    assert not chess.queen_attacks("d4", "e6")


def test_king_attacks():
    assert chess.king_attacks("d4", "e5")
    assert chess.king_attacks("d4", "d3")
    assert not chess.king_attacks("d4", "d6")
    assert not chess.king_attacks("d4", "d4")


def test_knight_moves():
    assert chess.knight_moves("d4") == [
        "b3", "b5", "c2", "c6", "e2", "e6", "f3", "f5"]


def test_knight_moves_in_the_corner():
    assert chess.knight_moves("a1") == ["b3", "c2"]


def test_pawn_moves():
    assert chess.pawn_moves("e2") == ["e3", "e4"]
    assert chess.pawn_moves("e3") == ["e4"]


def test_pawn_moves_taken():
    assert chess.pawn_moves("e2", ["e3"]) == []
    assert chess.pawn_moves("e2", ["e4"]) == ["e3"]


def test_pawn_at_the_end():
    assert chess.pawn_moves("e8") == []
    assert chess.pawn_moves("e7") == ["e8"]


def test_is_peaceful():
    assert chess.is_peaceful([1, 3, 0, 2])
    assert not chess.is_peaceful([0, 2, 0])
    assert not chess.is_peaceful([0, 2, 1])
    assert not chess.is_peaceful([2, 0, 3, 1, 6, 7])
