"""Put text in columns."""


def center(text, width, filler=" "):
    """Center text; a spare place goes to the right."""
    space = width - len(text)
    if space <= 0:
        return text
    left = space // 2
    return filler * left + text + filler * (space - left)


def column_widths(rows):
    """Return the width of the widest cell in each column."""
    widths = []
    for row in rows:
        for i, cell in enumerate(row):
            if i == len(widths):
                widths.append(0)
            if len(cell) > widths[i]:
                widths[i] = len(cell)
    return widths


def table(rows, gap=2):
    """Lay rows of cells out in columns separated by a gap."""
    widths = column_widths(rows)
    lines = []
    for row in rows:
        cells = []
        for cell, width in zip(row, widths):
            cells.append(cell.ljust(width))
        lines.append((" " * gap).join(cells).rstrip())
    return "\n".join(lines)


def boxed(lines):
    """Draw a frame of ASCII characters around lines."""
    width = max(len(line) for line in lines)
    bar = "+" + "-" * (width + 2) + "+"
    result = [bar]
    for line in lines:
        result.append("| " + line.ljust(width) + " |")
    result.append(bar)
    return result


def justify(line, width):
    """Widen the gaps between words, the left ones first."""
    words = line.split()
    if len(words) < 2:
        return line
    gaps = len(words) - 1
    spaces = width - sum(len(word) for word in words)
    size, extra = divmod(spaces, gaps)
    result = words[0]
    for i, word in enumerate(words[1:]):
        result += " " * (size + (i < extra)) + word
    return result


def expand_tabs(line, size):
    """Replace each tab by spaces up to the next tab stop."""
    result = ""
    for letter in line:
        if letter == "\t":
            result += " " * (size - len(result) % size)
        else:
            result += letter
    return result
