"""Where the items are kept."""


def shelf_code(aisle, level, slot):
    """Return a code such as C2-07; aisles are counted from zero."""
    return f"{chr(ord('A') + aisle)}{level}-{slot:02d}"


def parse_code(code):
    aisle, slot = code.split("-")
    return ord(aisle[0]) - ord("A"), int(aisle[1:]), int(slot)


def first_gap(taken, slots):
    """Return the lowest free slot from 1 to slots, or None."""
    for slot in range(1, slots + 1):
        if slot not in taken:
            return slot
    return None


def walking_order(codes):
    """Sort codes by aisle; every other aisle is walked backwards."""
    def place(code):
        aisle, level, slot = parse_code(code)
        if aisle % 2 == 1:
            slot = -slot
        return aisle, slot, level
    return sorted(codes, key=place)


def pack_bins(weights, limit):
    """Put each weight in the first bin with room, heavy ones first."""
    bins = []
    for weight in sorted(weights, reverse=True):
        if weight > limit:
            raise ValueError("too heavy for a bin")
        for content in bins:
            if sum(content) + weight <= limit:
                content.append(weight)
                break
        else:
            bins.append([weight])
    return bins


def check_digit(digits):
    """Return the last digit of a 13-digit article number."""
    total = 0
    for i, digit in enumerate(digits[:12]):
        total += int(digit) * (3 if i % 2 == 1 else 1)
    return (10 - total % 10) % 10


def is_article(number):
    if len(number) != 13 or not number.isdigit():
        return False
    return check_digit(number) == int(number[-1])
