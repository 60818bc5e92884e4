"""Split an expression in tokens."""

SYMBOLS = "+-*/()^,"


class TokenError(ValueError):
    """Raised for a character that fits nowhere."""


class Token:
    def __init__(self, kind, text, at):
        self.kind = kind
        self.text = text
        self.at = at

    def __repr__(self):
        return f"{self.kind}:{self.text}"

    def is_symbol(self, text):
        return self.kind == "symbol" and self.text == text


def run_length(text, start, accept):
    """Count the characters from start on that accept lets pass."""
    count = 0
    for char in text[start:]:
        if not accept(char):
            break
        count += 1
    return count


def is_number_char(char):
    return char.isdigit() or char == "."


def is_name_char(char):
    return char.isalnum() or char == "_"


def tokenize(text):
    """Return the tokens of an expression."""
    tokens = []
    skip = 0
    for at, char in enumerate(text):
        if at < skip or char.isspace():
            continue
        if char in SYMBOLS:
            kind, size = "symbol", 1
        elif is_number_char(char):
            kind, size = "number", run_length(text, at, is_number_char)
        elif is_name_char(char):
            kind, size = "name", run_length(text, at, is_name_char)
        else:
            raise TokenError(f"{char} at {at}")
        tokens.append(Token(kind, text[at:at + size], at))
        skip = at + size
    return tokens


def balanced(text):
    """Tell whether all brackets are closed in the right order."""
    pairs = {")": "(", "]": "[", "}": "{"}
    open_ones = []
    for char in text:
        if char in pairs.values():
            open_ones.append(char)
        elif char in pairs:
            if not open_ones or open_ones.pop() != pairs[char]:
                return False
    return not open_ones
