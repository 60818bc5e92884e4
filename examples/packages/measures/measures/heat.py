"""Temperatures."""

ABSOLUTE_ZERO = -273.15


def c_to_f(celsius):
    return celsius * 9 / 5 + 32


def f_to_c(fahrenheit):
    return (fahrenheit - 32) * 5 / 9


def c_to_k(celsius):
    if celsius < ABSOLUTE_ZERO:
        raise ValueError("colder than absolute zero")
    return celsius - ABSOLUTE_ZERO


def k_to_c(kelvin):
    if kelvin < 0:
        raise ValueError("colder than absolute zero")
    return kelvin + ABSOLUTE_ZERO


def water_state(celsius):
    if celsius <= 0:
        return "ice"
    if celsius >= 100:
        return "steam"
    return "water"


def mix(first_mass, first_heat, second_mass, second_heat):
    """Return the temperature of two mixed amounts of water."""
    heat = first_mass * first_heat + second_mass * second_heat
    return heat / (first_mass + second_mass)


def wind_chill(celsius, wind):
    """Return how cold it feels; wind is in kilometers per hour."""
    if celsius > 10 or wind < 5:
        return celsius
    power = wind ** 0.16
    felt = 13.12 + 0.6215 * celsius - 11.37 * power
    return round(felt + 0.3965 * celsius * power, 1)


def frost_days(lows):
    """Count the days whose lowest temperature is below freezing."""
    count = 0
    for low in lows:
        if low < 0:
            count += 1
    return count


def heating_degrees(means, base=18):
    """Add up by how much each day's mean is below the base."""
    return sum(base - mean for mean in means if mean < base)


def warmest_stretch(values, limit):
    """Return the length of the longest stretch above a limit."""
    longest = 0
    length = 0
    for value in values:
        length = length + 1 if value > limit else 0
        longest = max(longest, length)
    return longest


def thermostat(heat, target, heating, slack=1):
    """Tell whether the heating should run."""
    if heat < target - slack:
        return True
    if heat > target + slack:
        return False
    return heating
