"""Find values in sorted lists."""


def lower_bound(values, target):
    """Return the first place whose value is not below target."""
    low = 0
    high = len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < target:
            low = middle + 1
        else:
            high = middle
    return low


def binary_search(values, target):
    """Return a place of target, or -1."""
    place = lower_bound(values, target)
    if place < len(values) and values[place] == target:
        return place
    return -1


def count_equal(values, target):
    """Count the copies of a whole number in a sorted list."""
    return lower_bound(values, target + 1) - lower_bound(values, target)


def closest(values, target):
    """Return the value nearest to target, the lower of equals."""
    place = lower_bound(values, target)
    if place == 0:
        return values[0]
    if place == len(values):
        return values[-1]
    before, after = values[place - 1], values[place]
    return before if target - before <= after - target else after


def peak(values):
    """Return the place of the top of a list that rises, then falls."""
    last = len(values) - 1
    for i in range(last):
        if values[i] > values[i + 1]:
            return i
    return last


def turning_point(values):
    """Return the place of the least value in a rotated sorted list."""
    for i in range(1, len(values)):
        if values[i] < values[i - 1]:
            return i
    return 0


def jump_search(values, target, step):
    """Return the place of target by jumping, then walking."""
    start = 0
    while start + step < len(values) and values[start + step] <= target:
        start += step
    for i in range(start, min(start + step, len(values))):
        if values[i] == target:
            return i
    return -1


def whole_root(number):
    """Return the largest whole number whose square is not above."""
    root = 0
    for step in range(number.bit_length() // 2, -1, -1):
        larger = root + 2 ** step
        if larger * larger <= number:
            root = larger
    return root
