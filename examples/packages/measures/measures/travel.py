"""Speed, fuel and effort."""


def speed_kmh(meters, seconds):
    if seconds <= 0:
        raise ValueError("seconds must be positive")
    return meters / seconds * 3.6


def pace(kilometers, seconds):
    """Return minutes and seconds per kilometer."""
    each = round(seconds / kilometers)
    return each // 60, each % 60


def fuel_use(liters, kilometers):
    """Return the liters used on 100 kilometers."""
    return liters * 100 / kilometers


def miles_per_gallon(per_hundred):
    return 235.215 / per_hundred


def reach(liters, per_hundred, spare=5):
    """Return the kilometers to go before the spare fuel is used."""
    if liters <= spare:
        return 0
    return (liters - spare) * 100 / per_hundred


def average_speed(legs):
    """Return the mean speed of legs given as distance and speed."""
    length = 0
    hours = 0
    for distance, speed in legs:
        length += distance
        hours += distance / speed
    return length / hours


def climb(heights):
    """Return the meters gone up and down along a track."""
    up = 0
    down = 0
    for last, height in zip(heights, heights[1:]):
        if height > last:
            up += height - last
        else:
            down += last - height
    return up, down


def fill_stops(legs, tank):
    """Count the stops needed if the tank lasts for a distance."""
    stops = 0
    left = tank
    for leg in legs:
        if leg > tank:
            raise ValueError("leg is too long")
        if leg > left:
            stops += 1
            left = tank
        left -= leg
    return stops


def braking_distance(kmh, wet=False):
    """Return the rule-of-thumb distance to stop, in meters."""
    tens = kmh / 10
    braking = tens * tens
    if wet:
        braking *= 1.5
    return 3 * tens + braking


def body_index(kilos, centimeters):
    meters = centimeters / 100
    return round(kilos / meters ** 2, 1)
