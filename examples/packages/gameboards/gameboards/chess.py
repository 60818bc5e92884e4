"""Moves of single chess pieces; squares are names such as e4."""

KNIGHT = [(1, 2), (2, 1), (2, -1), (1, -2),
          (-1, -2), (-2, -1), (-2, 1), (-1, 2)]


def to_square(name):
    """Return file and rank as numbers from zero to seven."""
    file = ord(name[0]) - ord("a")
    rank = int(name[1:]) - 1
    if not on_board(file, rank):
        raise ValueError("no such square: " + name)
    return file, rank


def to_name(file, rank):
    return "abcdefgh"[file] + str(rank + 1)


def on_board(file, rank):
    return 0 <= file <= 7 and 0 <= rank <= 7


def is_dark(name):
    file, rank = to_square(name)
    return (file + rank) % 2 == 0


def offsets(start, end):
    """Return how far two squares are apart across and along."""
    (a, b), (c, d) = to_square(start), to_square(end)
    return abs(a - c), abs(b - d)


def rook_attacks(start, end):
    across, along = offsets(start, end)
    return (across == 0) != (along == 0)


def bishop_attacks(start, end):
    across, along = offsets(start, end)
    return across == along and across > 0


def queen_attacks(start, end):
    return rook_attacks(start, end) or bishop_attacks(start, end)


def king_attacks(start, end):
    return max(offsets(start, end)) == 1


def knight_moves(name):
    file, rank = to_square(name)
    moves = []
    for df, dr in KNIGHT:
        if on_board(file + df, rank + dr):
            moves.append(to_name(file + df, rank + dr))
    return sorted(moves)


def pawn_moves(name, taken=()):
    """Return the squares a white pawn may go to without capturing."""
    file, rank = to_square(name)
    moves = []
    for ahead in range(1, 3 if rank == 1 else 2):
        if not on_board(file, rank + ahead):
            break
        goal = to_name(file, rank + ahead)
        if goal in taken:
            break
        moves.append(goal)
    return moves


def is_peaceful(columns):
    """Tell whether queens, one per row, leave each other alone."""
    for i, first in enumerate(columns):
        for j in range(i):
            if columns[j] == first or abs(columns[j] - first) == i - j:
                return False
    return True
