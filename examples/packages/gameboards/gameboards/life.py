"""The game of life on a set of live cells."""


def around(cell):
    """Return the eight cells around a cell."""
    x, y = cell
    cells = set()
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            if dx != 0 or dy != 0:
                cells.add((x + dx, y + dy))
    return cells


def live_around(cells, cell):
    return len(around(cell) & cells)


def survives(alive, count):
    if alive:
        return count == 2 or count == 3
    return count == 3


def step(cells):
    """Return the live cells of the next generation."""
    candidates = set(cells)
    for cell in cells:
        candidates |= around(cell)
    return {c for c in candidates
            if survives(c in cells, live_around(cells, c))}


def after(cells, steps):
    for _ in range(steps):
        cells = step(cells)
    return cells


def read(text):
    """Return the cells marked by a hash sign in a drawing."""
    cells = set()
    for y, line in enumerate(text.split("\n")):
        for x, mark in enumerate(line):
            if mark == "#":
                cells.add((x, y))
    return cells


def draw(cells, width, height):
    lines = []
    for y in range(height):
        marks = ["#" if (x, y) in cells else "." for x in range(width)]
        lines.append("".join(marks))
    return "\n".join(lines)


def period(cells, most=20):
    """Return after how many steps the cells repeat, or None."""
    later = cells
    for count in range(1, most + 1):
        later = step(later)
        if later == cells:
            return count
    return None
