"""Wind, rain and compass directions."""

BEAUFORT = [1, 6, 12, 20, 29, 39, 50, 62, 75, 89, 103, 118]
COMPASS = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"]


def beaufort(speed):
    """Return the wind force of a speed in kilometers per hour."""
    force = 0
    for least in BEAUFORT:
        if speed < least:
            break
        force += 1
    return force


def compass(degrees):
    """Return the nearest of the eight directions."""
    return COMPASS[int((degrees + 22.5) // 45) % 8]


def bearing(name):
    return COMPASS.index(name) * 45


def turn(start, end):
    """Return the smaller turn between two bearings, right is positive."""
    angle = (end - start) % 360
    if angle > 180:
        angle -= 360
    return angle


def rain_level(millimeters):
    """Name the strength of rain per hour."""
    if millimeters == 0:
        return "dry"
    if millimeters < 2.5:
        return "light"
    if millimeters <= 7.5:
        return "moderate"
    return "heavy"


def dry_spell(rain):
    """Return the number of days since it rained last."""
    days = 0
    for amount in reversed(rain):
        if amount > 0:
            break
        days += 1
    return days


def tank_level(level, rain, use, size):
    """Return a rain tank's level after some days."""
    for amount in rain:
        level = min(level + amount, size)
        level = max(level - use, 0)
    return level


def thunder_distance(seconds):
    """Return how many meters away a lightning struck."""
    return 340 * seconds
