"""Lines of fields separated by commas."""


def split_line(line, comma=","):
    """Split a line in fields; quoted fields may hold commas."""
    fields = [""]
    quoted = False
    for i, char in enumerate(line):
        if char == '"':
            if not quoted and i > 0 and line[i - 1] == '"':
                fields[-1] += '"'
            quoted = not quoted
        elif char == comma and not quoted:
            fields.append("")
        else:
            fields[-1] += char
    if quoted:
        raise ValueError("quote is not closed")
    return fields


def quote_field(field, comma=","):
    if comma in field or '"' in field:
        return '"' + field.replace('"', '""') + '"'
    return field


def join_line(fields, comma=","):
    return comma.join(quote_field(field, comma) for field in fields)


def guess_comma(line, choices=",;|"):
    """Return the separator that occurs most often in a line."""
    best = choices[0]
    for choice in choices[1:]:
        if line.count(choice) > line.count(best):
            best = choice
    return best


def read_records(text):
    """Return a dictionary per line, named by the first line."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    names = split_line(lines[0])
    records = []
    for number, line in enumerate(lines[1:], start=2):
        fields = split_line(line)
        if len(fields) != len(names):
            raise ValueError(f"line {number} has {len(fields)} fields")
        records.append(dict(zip(names, fields)))
    return records


def convert(field):
    """Turn a field into a whole number, a fraction or text."""
    body = field[1:] if field.startswith("-") else field
    if body.isdigit():
        return int(field)
    whole, point, part = body.partition(".")
    if point and whole.isdigit() and part.isdigit():
        return float(field)
    return field
