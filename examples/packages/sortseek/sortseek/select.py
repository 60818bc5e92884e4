"""Pick values out of lists that are not sorted."""

from .sorts import partition


def nth_least(values, n):
    """Return the value that has n values before it when sorted."""
    if not 0 <= n < len(values):
        raise IndexError(n)
    below, equal, above = partition(values, values[0])
    if n < len(below):
        return nth_least(below, n)
    if n < len(below) + len(equal):
        return values[0]
    return nth_least(above, n - len(below) - len(equal))


def two_largest(values):
    """Return the largest and second largest of two or more values."""
    first, second = max(values[:2]), min(values[:2])
    for value in values[2:]:
        if value > first:
            first, second = value, first
        elif value > second:
            second = value
    return first, second


def least_and_most(values):
    least = most = values[0]
    for value in values[1:]:
        if value < least:
            least = value
        elif value > most:
            most = value
    return least, most


def majority(values):
    """Return the value that makes up more than half, or None."""
    lead = None
    votes = 0
    for value in values:
        if votes == 0:
            lead = value
        votes += 1 if value == lead else -1
    return lead if values.count(lead) * 2 > len(values) else None


def pair_with_sum(values, total):
    """Return the first two values that add up to a total."""
    seen = set()
    for value in values:
        if total - value in seen:
            return total - value, value
        seen.add(value)
    return None


def top_values(values, count):
    """Return the largest values, the largest first."""
    best = []
    for value in values:
        best.append(value)
        best.sort(reverse=True)
        if len(best) > count:
            best.pop()
    return best


def first_repeat(values):
    for i, value in enumerate(values):
        if value in values[:i]:
            return value
    return None
