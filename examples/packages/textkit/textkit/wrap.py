"""Wrap and indent paragraphs."""


def split_long(word, width):
    """Cut a word in pieces of at most width letters."""
    pieces = []
    for start in range(0, len(word), width):
        pieces.append(word[start:start + width])
    return pieces


def wrap(text, width):
    """Break text in lines of at most width letters."""
    if width < 1:
        raise ValueError("width must be positive")
    lines = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) <= width:
            line += " " + word
            continue
        if line:
            lines.append(line)
        pieces = split_long(word, width)
        lines.extend(pieces[:-1])
        line = pieces[-1]
    if line:
        lines.append(line)
    return lines


def fill(text, width, prefix=""):
    """Wrap text and put a prefix before every line."""
    lines = wrap(text, width - len(prefix))
    return "\n".join(prefix + line for line in lines)


def shorten(text, width, mark="..."):
    """Cut text after a whole word so that it fits with a mark."""
    if len(text) <= width:
        return text
    room = width - len(mark)
    cut = text[:room + 1].rfind(" ")
    if cut < 0:
        cut = room
    return text[:cut].rstrip() + mark


def indent(text, size, first=None):
    """Indent all lines that are not blank, the first by its own size."""
    if first is None:
        first = size
    result = []
    for number, line in enumerate(text.split("\n")):
        margin = first if number == 0 else size
        result.append(" " * margin + line if line.strip() else "")
    return "\n".join(result)


def margin_of(text):
    """Return the smallest indent among the lines that are not blank."""
    sizes = []
    for line in text.split("\n"):
        if line.strip():
            sizes.append(len(line) - len(line.lstrip()))
    return min(sizes, default=0)


def dedent(text):
    margin = margin_of(text)
    return "\n".join(line[margin:] for line in text.split("\n"))
