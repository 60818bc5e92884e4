"""Lists of pages such as 1-3,7."""


def parse_pages(text, last):
    """Return the sorted page numbers; an open range runs to last."""
    pages = set()
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        first = int(low) if low else 1
        if dash:
            final = int(high) if high else last
        else:
            final = first
        if first > final or first < 1:
            raise ValueError("bad range: " + part)
        pages.update(range(first, final + 1))
    return sorted(page for page in pages if page <= last)


def show_pages(pages):
    """Write page numbers as short ranges."""
    parts = []
    for first, final in runs(pages):
        if first == final:
            parts.append(str(first))
        elif final == first + 1:
            parts.append(f"{first},{final}")
        else:
            parts.append(f"{first}-{final}")
    return ",".join(parts)


def runs(numbers):
    """Return first and last of each run of successive numbers."""
    found = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def missing(numbers):
    """Return the numbers left out between the least and the greatest."""
    known = set(numbers)
    if not known:
        return []
    return [n for n in range(min(known), max(known)) if n not in known]
