"""Four in a row: marks dropped in columns from above."""


class DropBoard:
    def __init__(self, width=7, height=6):
        self.columns = [[] for _ in range(width)]
        self.height = height

    def at(self, col, row):
        """Return the mark at a place, None if there is none."""
        if not 0 <= col < len(self.columns) or row < 0:
            return None
        column = self.columns[col]
        return column[row] if row < len(column) else None

    def drop(self, col, mark):
        """Drop a mark and tell whether it makes four in a row."""
        column = self.columns[col]
        if len(column) == self.height:
            raise ValueError("column is full")
        column.append(mark)
        return self.is_four(col, len(column) - 1)

    def reach(self, col, row, dx, dy):
        """Count equal marks in one direction from a place."""
        mark = self.at(col, row)
        for count in range(1, 4):
            if self.at(col + dx * count, row + dy * count) != mark:
                return count - 1
        return 3

    def is_four(self, col, row):
        for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)):
            ahead = self.reach(col, row, dx, dy)
            behind = self.reach(col, row, -dx, -dy)
            if ahead + behind >= 3:
                return True
        return False

    def open_columns(self):
        found = []
        for col, column in enumerate(self.columns):
            if len(column) < self.height:
                found.append(col)
        return found

    def is_draw(self):
        return self.open_columns() == []

    def best_column(self, mark, other):
        """Return a column that wins, or one that stops the other."""
        for wanted in (mark, other):
            for col in self.open_columns():
                wins = self.drop(col, wanted)
                self.columns[col].pop()
                if wins:
                    return col
        return None
