"""Calculate expressions by recursive descent."""

from .tokens import tokenize

FUNCTIONS = {"max": max, "min": min, "abs": abs}


class Parser:
    def __init__(self, text, names):
        self.tokens = tokenize(text)
        self.names = names
        self.at = 0

    def take(self, symbols):
        """Return the next token's text if it is one of some symbols."""
        if self.at >= len(self.tokens):
            return None
        for symbol in symbols:
            if self.tokens[self.at].is_symbol(symbol):
                self.at += 1
                return symbol
        return None

    def expect(self, symbol):
        if self.take(symbol) is None:
            raise ValueError("expected " + symbol)

    def total(self):
        """Read a sum of terms."""
        value = self.term()
        for _ in self.tokens:
            sign = self.take("+-")
            if sign is None:
                break
            other = self.term()
            value = value + other if sign == "+" else value - other
        return value

    def term(self):
        """Read a product of factors."""
        value = self.factor()
        for _ in self.tokens:
            sign = self.take("*/")
            if sign is None:
                break
            other = self.factor()
            value = value * other if sign == "*" else value / other
        return value

    def factor(self):
        """Read a signed value with an optional power."""
        if self.take("-"):
            return -self.factor()
        base = self.atom()
        if self.take("^"):
            return base ** self.factor()
        return base

    def atom(self):
        """Read a number, a name, a call or brackets."""
        if self.take("("):
            value = self.total()
            self.expect(")")
            return value
        if self.at == len(self.tokens):
            raise ValueError("expression ends too early")
        token = self.tokens[self.at]
        self.at += 1
        if token.kind == "number":
            return float(token.text)
        if token.kind == "name" and token.text in FUNCTIONS:
            return FUNCTIONS[token.text](*self.arguments())
        if token.text in self.names:
            return self.names[token.text]
        raise ValueError("unknown: " + token.text)

    def arguments(self):
        self.expect("(")
        values = [self.total()]
        for _ in self.tokens:
            if not self.take(","):
                break
            values.append(self.total())
        self.expect(")")
        return values


def calculate(text, **names):
    """Return the value of an expression."""
    parser = Parser(text, names)
    value = parser.total()
    if parser.at < len(parser.tokens):
        raise ValueError("left over: " + parser.tokens[parser.at].text)
    return value
