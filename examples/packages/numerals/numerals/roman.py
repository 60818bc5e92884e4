"""Roman numerals."""

VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}

SYMBOLS = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"),
           (100, "C"), (90, "XC"), (50, "L"), (40, "XL"),
           (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]


def to_roman(number):
    if number < 1 or number > 3999:
        raise ValueError("number must be from 1 to 3999")
    result = ""
    for value, symbol in SYMBOLS:
        times = number // value
        result += symbol * times
        number -= value * times
    return result


def value_of(numeral):
    """Add up the letters; a smaller one before a larger counts less."""
    total = 0
    previous = 0
    for letter in reversed(numeral):
        value = VALUES[letter]
        if value < previous:
            total -= value
        else:
            total += value
            previous = value
    return total


def is_roman(text):
    """Tell whether text is a numeral in its usual form."""
    if not text or any(letter not in VALUES for letter in text):
        return False
    number = value_of(text)
    return 0 < number < 4000 and to_roman(number) == text


def from_roman(text):
    numeral = text.strip().upper()
    if not is_roman(numeral):
        raise ValueError("not a Roman numeral: " + text)
    return value_of(numeral)


def add_roman(first, second):
    return to_roman(from_roman(first) + from_roman(second))
