"""A small matrix of numbers."""


class Matrix:
    """A matrix given as a list of rows."""

    def __init__(self, rows):
        width = len(rows[0])
        for row in rows:
            if len(row) != width:
                raise ValueError("rows differ in length")
        self.rows = [list(row) for row in rows]

    @classmethod
    def identity(cls, size):
        rows = []
        for i in range(size):
            rows.append([1 if i == j else 0 for j in range(size)])
        return cls(rows)

    def shape(self):
        return len(self.rows), len(self.rows[0])

    def column(self, j):
        return [row[j] for row in self.rows]

    def transposed(self):
        return Matrix([list(column) for column in zip(*self.rows)])

    def plus(self, other):
        if self.shape() != other.shape():
            raise ValueError("shapes differ")
        rows = []
        for mine, theirs in zip(self.rows, other.rows):
            rows.append([a + b for a, b in zip(mine, theirs)])
        return Matrix(rows)

    def times(self, other):
        """Return the matrix product."""
        height, inner = self.shape()
        if inner != other.shape()[0]:
            raise ValueError("shapes do not fit")
        rows = []
        for i in range(height):
            row = []
            for j in range(other.shape()[1]):
                column = other.column(j)
                row.append(sum(self.rows[i][k] * column[k]
                               for k in range(inner)))
            rows.append(row)
        return Matrix(rows)

    def trace(self):
        return sum(self.rows[i][i] for i in range(len(self.rows)))

    def is_symmetric(self):
        return self.rows == self.transposed().rows

    def without(self, i, j):
        """Return the matrix without row i and column j."""
        kept = self.rows[:i] + self.rows[i + 1:]
        return Matrix([row[:j] + row[j + 1:] for row in kept])

    def determinant(self):
        """Expand the determinant along the first row."""
        height, width = self.shape()
        if height != width:
            raise ValueError("matrix is not square")
        if width == 1:
            return self.rows[0][0]
        total = 0
        for j in range(width):
            minor = self.without(0, j).determinant()
            total += (-1) ** j * self.rows[0][j] * minor
        return total

    def apply(self, values):
        """Multiply the matrix with a list of numbers."""
        result = []
        for row in self.rows:
            result.append(sum(a * b for a, b in zip(row, values)))
        return result
