"""Relate two lists of numbers to each other."""

from .summary import deviation, mean, variance


def covariance(xs, ys):
    if len(xs) != len(ys):
        raise ValueError("lists differ in length")
    mid_x = mean(xs)
    mid_y = mean(ys)
    total = sum((x - mid_x) * (y - mid_y) for x, y in zip(xs, ys))
    return total / len(xs)


def correlation(xs, ys):
    return covariance(xs, ys) / (deviation(xs) * deviation(ys))


def fit_line(xs, ys):
    """Return slope and offset of the line that fits best."""
    slope = covariance(xs, ys) / variance(xs)
    return slope, mean(ys) - slope * mean(xs)


def rank(values):
    """Return each value's rank; the largest has rank one."""
    ranks = []
    for value in values:
        ranks.append(1 + sum(1 for other in values if other > value))
    return ranks


def moving_mean(values, size):
    """Return the mean of each window of neighbouring values."""
    result = []
    for end in range(size, len(values) + 1):
        result.append(mean(values[end - size:end]))
    return result


def growth(values):
    """Return the change from each value to the next, in percent."""
    changes = []
    for before, after in zip(values, values[1:]):
        changes.append((after - before) * 100 / before)
    return changes


def histogram(values, low, high, bins):
    """Count the values in bins of equal width."""
    counts = [0] * bins
    width = (high - low) / bins
    for value in values:
        if value < low or value > high:
            continue
        place = int((value - low) / width)
        counts[min(place, bins - 1)] += 1
    return counts


def mean_square_error(guesses, values):
    pairs = zip(guesses, values)
    return mean([(guess - value) ** 2 for guess, value in pairs])
