"""Describe a list of numbers."""

import math


def mean(values):
    if not values:
        raise ValueError("no values")
    return sum(values) / len(values)


def median(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2


def modes(values):
    """Return the values that occur most often, sorted."""
    counts = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    most = max(counts.values())
    return sorted(v for v, count in counts.items() if count == most)


def variance(values, sample=False):
    """Return the mean square of the distances from the mean."""
    center = mean(values)
    total = sum((value - center) ** 2 for value in values)
    if sample:
        return total / (len(values) - 1)
    return total / len(values)


def deviation(values):
    return math.sqrt(variance(values))


def quantile(values, part):
    """Return the value below which a part of the values lies."""
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    low = math.floor(place)
    if low == len(ordered) - 1:
        return ordered[low]
    weight = place - low
    return ordered[low] * (1 - weight) + ordered[low + 1] * weight


def weighted_mean(values, weights):
    total = sum(value * weight for value, weight in zip(values, weights))
    return total / sum(weights)


def outliers(values, limit=2):
    """Return the values farther than limit deviations from the mean."""
    center = mean(values)
    spread = deviation(values)
    return [v for v in values if abs(v - center) > limit * spread]


def rescale(values):
    """Map the values to the range from zero to one."""
    low = min(values)
    width = max(values) - low
    if width == 0:
        return [0 for _ in values]
    return [(value - low) / width for value in values]
