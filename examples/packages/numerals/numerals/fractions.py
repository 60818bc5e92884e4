"""Common fractions as pairs of whole numbers."""


def common_divisor(a, b):
    """Return the greatest number that divides both."""
    while b:
        a, b = b, a % b
    return abs(a)


def reduce(top, bottom):
    if bottom == 0:
        raise ZeroDivisionError("the bottom is zero")
    if bottom < 0:
        top, bottom = -top, -bottom
    divisor = common_divisor(top, bottom)
    return top // divisor, bottom // divisor


def add(first, second):
    top = first[0] * second[1] + second[0] * first[1]
    return reduce(top, first[1] * second[1])


def divide(first, second):
    return reduce(first[0] * second[1], first[1] * second[0])


def is_less(first, second):
    """Compare two fractions whose bottoms are positive."""
    return first[0] * second[1] < second[0] * first[1]


def mixed(top, bottom):
    """Write a positive fraction as a mixed number, such as 1 1/2."""
    whole, rest = divmod(top, bottom)
    if rest == 0:
        return str(whole)
    rest, bottom = reduce(rest, bottom)
    if whole == 0:
        return f"{rest}/{bottom}"
    return f"{whole} {rest}/{bottom}"


def parse_mixed(text):
    """Read a number such as 3, 3/4 or 1 1/2."""
    whole = 0
    for part in text.split():
        top, slash, bottom = part.partition("/")
        if slash:
            return reduce(whole * int(bottom) + int(top), int(bottom))
        whole = int(top)
    return whole, 1


def decimal_digits(top, bottom, places):
    """Return digits after the point of a proper fraction."""
    digits = []
    for _ in range(places):
        top *= 10
        digits.append(top // bottom)
        top %= bottom
    return digits


def period_length(bottom):
    """Return the length of the repeating part of 1 / bottom."""
    seen = {}
    rest = 1
    for step in range(bottom + 1):
        if rest == 0:
            return 0
        if rest in seen:
            return step - seen[rest]
        seen[rest] = step
        rest = rest * 10 % bottom
    return None
