"""Convert between units by their factors."""

LENGTHS = {"mm": 0.001, "cm": 0.01, "m": 1, "km": 1000,
           "in": 0.0254, "ft": 0.3048, "mi": 1609.344}
WEIGHTS = {"g": 0.001, "kg": 1, "t": 1000, "oz": 0.028349523,
           "lb": 0.45359237}
VOLUMES = {"ml": 0.001, "dl": 0.1, "l": 1, "pt": 0.473176473,
           "gal": 3.785411784}
KINDS = {"length": LENGTHS, "weight": WEIGHTS, "volume": VOLUMES}


class UnitError(ValueError):
    """Raised for units that are unknown or do not fit."""


def kind_of(unit):
    for kind, factors in KINDS.items():
        if unit in factors:
            return kind
    raise UnitError("unknown unit: " + unit)


def convert(value, old, new):
    kind = kind_of(old)
    if kind_of(new) != kind:
        raise UnitError(f"{old} and {new} do not fit")
    factors = KINDS[kind]
    return value * factors[old] / factors[new]


def parse(text):
    """Split a text such as 5.5km in value and unit."""
    text = text.strip()
    size = len(text)
    while size > 0 and text[size - 1].isalpha():
        size -= 1
    if size in (0, len(text)):
        raise UnitError("not a measurement: " + text)
    return float(text[:size]), text[size:]


def best_unit(value, unit, choices):
    """Return the value in the largest unit that makes it one or more."""
    best = None
    for choice in choices:
        amount = convert(value, unit, choice)
        if best is None or 1 <= amount < best[0] or best[0] < 1:
            best = (amount, choice)
    return best


def feet_and_inches(meters):
    """Return feet and whole inches, rounded."""
    inches = round(convert(meters, "m", "in"))
    return inches // 12, inches % 12


class Quantity:
    """A value with its unit."""

    def __init__(self, value, unit):
        self.value = value
        self.unit = unit

    def to(self, unit):
        return Quantity(convert(self.value, self.unit, unit), unit)

    def __add__(self, other):
        return Quantity(self.value + other.to(self.unit).value, self.unit)

    def __gt__(self, other):
        return self.value > other.to(self.unit).value

    def __str__(self):
        return f"{self.value:g} {self.unit}"
