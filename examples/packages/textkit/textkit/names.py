"""Change the way identifiers and titles are written."""

SMALL_WORDS = {"a", "an", "and", "of", "or", "the", "to"}


def snake_case(name):
    """Turn camelCase into camel_case."""
    result = ""
    for i, letter in enumerate(name):
        if letter.isupper() and i > 0 and name[i - 1] != "_":
            result += "_"
        result += letter.lower()
    return result


def camel_case(name):
    """Turn camel_case into camelCase."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def slug(title):
    """Return a lower-case name of letters, digits and single dashes."""
    result = ""
    for letter in title.lower():
        if letter.isalnum():
            result += letter
        elif result and result[-1] != "-":
            result += "-"
    return result.rstrip("-")


def title(text):
    """Capitalize words, except small ones that are not first."""
    words = []
    for i, word in enumerate(text.lower().split()):
        if i == 0 or word not in SMALL_WORDS:
            word = word.capitalize()
        words.append(word)
    return " ".join(words)


def initials(name, most=3):
    letters = [word[0].upper() + "." for word in name.split()]
    return "".join(letters[:most])


def plural(count, noun):
    """Return a count with its noun, such as "2 boxes"."""
    if count != 1:
        if noun.endswith(("s", "x", "ch")):
            noun += "es"
        elif noun.endswith("y") and noun[-2] not in "aeiou":
            noun = noun[:-1] + "ies"
        else:
            noun += "s"
    return f"{count} {noun}"


def join_words(words, last="and"):
    """Join words as in a sentence: one, two and three."""
    if len(words) < 2:
        return "".join(words)
    return ", ".join(words[:-1]) + " " + last + " " + words[-1]
