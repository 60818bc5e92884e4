"""Numbers in bases other than ten."""

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def to_base(number, base):
    if not 2 <= base <= 36:
        raise ValueError("base must be from 2 to 36")
    if number == 0:
        return "0"
    rest = abs(number)
    result = ""
    while rest > 0:
        rest, digit = divmod(rest, base)
        result = DIGITS[digit] + result
    return "-" + result if number < 0 else result


def from_base(text, base):
    """Read digits of a base; underscores are skipped."""
    negative = text.startswith("-")
    number = 0
    for char in text.lower().lstrip("-"):
        if char == "_":
            continue
        digit = DIGITS.find(char)
        if digit < 0 or digit >= base:
            raise ValueError("no such digit: " + char)
        number = number * base + digit
    return -number if negative else number


def change_base(text, old, new):
    return to_base(from_base(text, old), new)


def bit_count(number):
    """Count the ones in the binary form."""
    return to_base(number, 2).count("1")


def digit_sum(number):
    return sum(int(digit) for digit in str(abs(number)))


def digital_root(number):
    """Add the digits up until one digit is left."""
    while number > 9:
        number = digit_sum(number)
    return number


def column_name(number):
    """Return the letters of a spreadsheet column; 27 is AA."""
    name = ""
    while number > 0:
        number, place = divmod(number - 1, 26)
        name = chr(65 + place) + name
    return name


def column_number(name):
    number = 0
    for letter in name.upper():
        number = number * 26 + ord(letter) - 64
    return number
