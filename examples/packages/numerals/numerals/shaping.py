"""Digits with separators, suffixes and signs."""

SIZES = ["", "k", "M", "G", "T"]


def group_digits(number, mark=","):
    """Put a mark between every three digits."""
    digits = str(abs(number))
    groups = []
    while len(digits) > 3:
        groups.insert(0, digits[-3:])
        digits = digits[:-3]
    groups.insert(0, digits)
    text = mark.join(groups)
    return "-" + text if number < 0 else text


def ungroup(text, mark=","):
    """Read a grouped number; all groups but the first have 3 digits."""
    groups = text.split(mark)
    for group in groups[1:]:
        if len(group) != 3:
            raise ValueError("bad grouping: " + text)
    return int("".join(groups))


def ordinal(number):
    """Return the number with st, nd, rd or th."""
    if 11 <= number % 100 <= 13:
        return f"{number}th"
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{endings.get(number % 10, 'th')}"


def compact(number):
    """Shorten a large number, such as 1.5k."""
    step = 0
    while number >= 1000 and step < len(SIZES) - 1:
        number /= 1000
        step += 1
    text = f"{number:.1f}"
    if text.endswith(".0"):
        text = text[:-2]
    return text + SIZES[step]


def scientific(number, places=2):
    """Write a positive number as a factor and a power of ten."""
    power = 0
    while number >= 10:
        number /= 10
        power += 1
    while 0 < number < 1:
        number *= 10
        power -= 1
    return f"{number:.{places}f}e{power}"


def zero_padded(number, width):
    if number < 0:
        return "-" + zero_padded(-number, width - 1)
    return "0" * (width - len(str(number))) + str(number)


def signed(number):
    if number > 0:
        return f"+{number}"
    return str(number)
