"""Rearrange lists."""


def rotate(values, by):
    """Move values to the left; those that drop out come last."""
    if not values:
        return []
    by %= len(values)
    return values[by:] + values[:by]


def interleave(first, second):
    """Take values in turn, then the rest of the longer list."""
    result = []
    shorter = min(len(first), len(second))
    for i in range(shorter):
        result += [first[i], second[i]]
    return result + first[shorter:] + second[shorter:]


def without_repeats(values):
    result = []
    for value in values:
        if value not in result:
            result.append(value)
    return result


def zeros_last(values):
    """Keep the order but move the zeros to the end."""
    kept = [value for value in values if value != 0]
    return kept + [0] * (len(values) - len(kept))


def next_permutation(values):
    """Return the next larger arrangement, or None after the last."""
    for i in range(len(values) - 2, -1, -1):
        if values[i] < values[i + 1]:
            break
    else:
        return None
    tail = values[i + 1:]
    swap = min(value for value in tail if value > values[i])
    tail.remove(swap)
    return values[:i] + [swap] + sorted(tail + [values[i]])


def spiral(rows):
    """Read a table along a spiral that starts at the top left."""
    result = []
    while rows:
        result += rows[0]
        rows = [list(column) for column in zip(*rows[1:])][::-1]
    return result


def inversions(values):
    """Count the pairs that stand in the wrong order."""
    count = 0
    for i, value in enumerate(values):
        count += sum(1 for later in values[i + 1:] if later < value)
    return count


def best_sum(values):
    """Return the largest sum of neighbouring values."""
    best = here = values[0]
    for value in values[1:]:
        here = max(here + value, value)
        best = max(best, here)
    return best


def longest_rise(values):
    """Return the length of the longest rising choice of values."""
    lengths = []
    for i, value in enumerate(values):
        longest = 0
        for j in range(i):
            if values[j] < value:
                longest = max(longest, lengths[j])
        lengths.append(longest + 1)
    return max(lengths, default=0)


def pack(values):
    """Return pairs of a value and how often it is repeated."""
    packed = []
    for value in values:
        if packed and packed[-1][0] == value:
            packed[-1][1] += 1
        else:
            packed.append([value, 1])
    return packed


def unpack(packed):
    return [value for value, count in packed for _ in range(count)]
