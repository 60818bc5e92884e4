"""Amounts of money held as whole cents."""


def to_cents(text):
    """Read an amount such as "12.50" as cents."""
    text = text.strip()
    sign = 1
    if text.startswith("-"):
        sign = -1
        text = text[1:]
    whole, _, part = text.partition(".")
    if len(part) > 2:
        raise ValueError("more than two decimals: " + text)
    part = part.ljust(2, "0")
    return sign * (int(whole) * 100 + int(part))


def show(cents):
    """Write cents as an amount with two decimals."""
    sign = "-" if cents < 0 else ""
    whole, part = divmod(abs(cents), 100)
    return f"{sign}{whole}.{part:02d}"


def split_evenly(cents, count):
    """Split an amount in shares that differ by one cent at most."""
    if count < 1:
        raise ValueError("need at least one share")
    share, rest = divmod(cents, count)
    shares = []
    for i in range(count):
        shares.append(share + 1 if i < rest else share)
    return shares


def percent_of(cents, percent):
    """Return a percentage of an amount, halves rounded up."""
    return (cents * percent + 50) // 100


def change(due, coins):
    """Return how many of each coin to hand out, largest first."""
    counts = {}
    for coin in sorted(coins, reverse=True):
        number = due // coin
        if number > 0:
            counts[coin] = number
            due -= number * coin
    if due > 0:
        raise ValueError("the coins do not fit the amount")
    return counts


def round_to_cash(cents, step=5):
    """Round an amount to the nearest multiple of step."""
    low = cents - cents % step
    if cents - low >= step - (cents - low):
        return low + step
    return low
