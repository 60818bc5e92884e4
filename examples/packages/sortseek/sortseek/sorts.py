"""Ways to sort a list."""


def insertion_sort(values):
    """Return a sorted copy, built one value at a time."""
    result = []
    for value in values:
        place = len(result)
        while place > 0 and result[place - 1] > value:
            place -= 1
        result.insert(place, value)
    return result


def selection_sort(values):
    """Sort in place and return how many swaps were made."""
    swaps = 0
    for i in range(len(values)):
        least = i
        for j in range(i + 1, len(values)):
            if values[j] < values[least]:
                least = j
        if least != i:
            values[i], values[least] = values[least], values[i]
            swaps += 1
    return swaps


def bubble_pass(values):
    """Swap neighbours in the wrong order once along the list."""
    changed = False
    for i in range(len(values) - 1):
        if values[i] > values[i + 1]:
            values[i], values[i + 1] = values[i + 1], values[i]
            changed = True
    return changed


def merge_two(left, right):
    """Merge two sorted lists; equal values of the left come first."""
    result = []
    i = 0
    for value in right:
        while i < len(left) and left[i] <= value:
            result.append(left[i])
            i += 1
        result.append(value)
    return result + left[i:]


def merge_sort(values):
    if len(values) < 2:
        return list(values)
    middle = len(values) // 2
    left = merge_sort(values[:middle])
    right = merge_sort(values[middle:])
    return merge_two(left, right)


def partition(values, pivot):
    """Split values in those below, equal to and above a pivot."""
    below = [v for v in values if v < pivot]
    equal = [v for v in values if v == pivot]
    above = [v for v in values if v > pivot]
    return below, equal, above


def quick_sort(values):
    if not values:
        return []
    below, equal, above = partition(values, values[len(values) // 2])
    return quick_sort(below) + equal + quick_sort(above)


def counting_sort(values, top):
    """Sort whole numbers from zero to top by counting them."""
    counts = [0] * (top + 1)
    for value in values:
        counts[value] += 1
    result = []
    for value, count in enumerate(counts):
        result.extend([value] * count)
    return result


def radix_sort(values, digits):
    """Sort whole numbers of so many digits, the last digit first."""
    for power in range(digits):
        piles = [[] for _ in range(10)]
        for value in values:
            piles[value // 10 ** power % 10].append(value)
        values = [value for pile in piles for value in pile]
    return values


def is_sorted(values, strict=False):
    for a, b in zip(values, values[1:]):
        if a > b or (strict and a == b):
            return False
    return True
