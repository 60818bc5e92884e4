"""Systems of linear equations and polynomials."""


def swap_rows(rows, i, j):
    rows[i], rows[j] = rows[j], rows[i]


def pivot_row(rows, column):
    """Return the row from column down with the largest entry."""
    best = column
    for i in range(column + 1, len(rows)):
        if abs(rows[i][column]) > abs(rows[best][column]):
            best = i
    return best


def solve(rows, values):
    """Solve equations with as many unknowns by elimination."""
    size = len(rows)
    work = [list(row) + [value] for row, value in zip(rows, values)]
    for k in range(size):
        swap_rows(work, k, pivot_row(work, k))
        if work[k][k] == 0:
            raise ValueError("no single solution")
        work[k] = [entry / work[k][k] for entry in work[k]]
        for i in range(size):
            if i != k:
                factor = work[i][k]
                work[i] = [a - factor * b for a, b in zip(work[i], work[k])]
    return [row[size] for row in work]


def evaluate(coefficients, x):
    """Return the value of a polynomial, highest power first."""
    value = 0
    for coefficient in coefficients:
        value = value * x + coefficient
    return value


def derivative(coefficients):
    degree = len(coefficients) - 1
    result = []
    for i, coefficient in enumerate(coefficients[:-1]):
        result.append(coefficient * (degree - i))
    return result


def multiply(first, second):
    """Multiply two polynomials."""
    result = [0] * (len(first) + len(second) - 1)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            result[i + j] += a * b
    return result
