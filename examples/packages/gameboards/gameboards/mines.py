"""Minefields and sunken ships on rows of letters."""


def near(rows, row, col):
    """Return the places next to a place, also diagonally."""
    places = []
    for r in range(max(row - 1, 0), min(row + 2, len(rows))):
        for c in range(max(col - 1, 0), min(col + 2, len(rows[0]))):
            if (r, c) != (row, col):
                places.append((r, c))
    return places


def hint(rows, row, col):
    """Count the mines next to a place."""
    return sum(rows[r][c] == "*" for r, c in near(rows, row, col))


def hints(rows):
    """Return the board with a number in place of every free place."""
    result = []
    for row, line in enumerate(rows):
        text = ""
        for col, mark in enumerate(line):
            text += mark if mark == "*" else str(hint(rows, row, col))
        result.append(text)
    return result


def uncover(rows, row, col, seen=None):
    """Return the places that open up when a free place is clicked."""
    seen = set() if seen is None else seen
    if (row, col) in seen or rows[row][col] == "*":
        return seen
    seen.add((row, col))
    if hint(rows, row, col) == 0:
        for r, c in near(rows, row, col):
            uncover(rows, r, c, seen)
    return seen


def is_cleared(rows, opened):
    free = sum(line.count(".") for line in rows)
    return len(opened) == free


def ship_places(row, col, length, across):
    """Return the places of a ship that starts at a place."""
    if across:
        return [(row, col + i) for i in range(length)]
    return [(row + i, col) for i in range(length)]


def fits(places, size, others):
    """Tell whether a ship is on the board and hits no other ship."""
    for row, col in places:
        if not (0 <= row < size and 0 <= col < size):
            return False
        if (row, col) in others:
            return False
    return True


def shoot(ships, hits, place):
    """Record a shot and return miss, hit or sunk."""
    for ship in ships:
        if place in ship:
            hits.add(place)
            return "sunk" if hits.issuperset(ship) else "hit"
    return "miss"
