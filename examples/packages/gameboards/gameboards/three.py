"""Three in a row on a board of nine letters, row by row."""

LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7),
         (2, 5, 8), (0, 4, 8), (2, 4, 6)]


def winner(board):
    """Return the mark that has three in a row, or None."""
    for a, b, c in LINES:
        if board[a] != "." and board[a] == board[b] == board[c]:
            return board[a]
    return None


def to_move(board):
    """X begins, so it moves whenever the counts are equal."""
    return "X" if board.count("X") == board.count("O") else "O"


def play(board, place):
    if board[place] != "." or winner(board) is not None:
        raise ValueError("move is not allowed")
    return board[:place] + to_move(board) + board[place + 1:]


def is_over(board):
    return winner(board) is not None or "." not in board


def open_places(board):
    return [i for i, mark in enumerate(board) if mark == "."]


def winning_place(board, mark):
    """Return a place that completes a line for a mark, or None."""
    for line in LINES:
        marks = [board[i] for i in line]
        if marks.count(mark) == 2 and "." in marks:
            return line[marks.index(".")]
    return None


def advise(board):
    """Suggest a move: win, prevent a loss, else centre or first place."""
    mine = to_move(board)
    theirs = "O" if mine == "X" else "X"
    for mark in (mine, theirs):
        place = winning_place(board, mark)
        if place is not None:
            return place
    if board[4] == ".":
        return 4
    return open_places(board)[0]


def score(board):
    """Return 1 if X can force a win, -1 if O can, else 0."""
    mark = winner(board)
    if mark is not None:
        return 1 if mark == "X" else -1
    if is_over(board):
        return 0
    scores = [score(play(board, place)) for place in open_places(board)]
    return max(scores) if to_move(board) == "X" else min(scores)
