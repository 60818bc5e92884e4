"""Numbers in English words."""

ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven",
        "eight", "nine", "ten", "eleven", "twelve", "thirteen",
        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
        "nineteen"]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty",
        "seventy", "eighty", "ninety"]
SCALES = [(10 ** 9, "billion"), (10 ** 6, "million"), (1000, "thousand")]
ODD_ORDINALS = {"one": "first", "two": "second", "three": "third",
                "five": "fifth", "eight": "eighth", "nine": "ninth",
                "twelve": "twelfth"}


def below_hundred(number):
    if number < 20:
        return ONES[number]
    text = TENS[number // 10]
    if number % 10:
        text += "-" + ONES[number % 10]
    return text


def below_thousand(number):
    if number < 100:
        return below_hundred(number)
    text = ONES[number // 100] + " hundred"
    if number % 100:
        text += " and " + below_hundred(number % 100)
    return text


def in_words(number):
    """Write a whole number out."""
    if number < 0:
        return "minus " + in_words(-number)
    parts = []
    for scale, name in SCALES:
        if number >= scale:
            parts.append(below_thousand(number // scale) + " " + name)
            number %= scale
    if number > 0 or not parts:
        text = below_thousand(number)
        if parts and number < 100:
            text = "and " + text
        parts.append(text)
    return " ".join(parts)


def ordinal_words(number):
    """Write the ordinal out, such as twenty-first."""
    text = in_words(number)
    cut = max(text.rfind(" "), text.rfind("-")) + 1
    last = text[cut:]
    if last in ODD_ORDINALS:
        return text[:cut] + ODD_ORDINALS[last]
    if last.endswith("y"):
        return text[:-1] + "ieth"
    return text + "th"


def word_value(text):
    """Read a number below one hundred written in words."""
    total = 0
    for word in text.lower().split("-"):
        if word in ONES:
            total += ONES.index(word)
        elif word in TENS[2:]:
            total += TENS.index(word) * 10
        else:
            raise ValueError("not a number word: " + word)
    return total


def times_word(count):
    """Return once, twice or a count of times."""
    if count == 1:
        return "once"
    if count == 2:
        return "twice"
    return in_words(count) + " times"
