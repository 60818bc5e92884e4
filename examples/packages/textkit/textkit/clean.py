"""Tidy up untidy text."""


def squeeze_blank_lines(text):
    """Keep at most one blank line in a row."""
    result = []
    for line in text.split("\n"):
        if line.strip() == "" and result and result[-1] == "":
            continue
        result.append(line.rstrip())
    return "\n".join(result)


def strip_comment(line, mark="#"):
    """Drop a comment, but not a mark within double quotes."""
    quoted = False
    for i, letter in enumerate(line):
        if letter == '"':
            quoted = not quoted
        elif letter == mark and not quoted:
            return line[:i].rstrip()
    return line


def remove_prefix(text, prefix):
    if prefix and text.startswith(prefix):
        return text[len(prefix):]
    return text


def unquote(text):
    """Drop a pair of equal quotes around text."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def mask(text, shown=4):
    """Hide all but the last letters."""
    hidden = max(len(text) - shown, 0)
    return "*" * hidden + text[hidden:]


def collapse(text, letter):
    """Reduce every run of a letter to a single one."""
    result = ""
    for other in text:
        if other != letter or not result.endswith(letter):
            result += other
    return result
