"""Prices, rebates and shipping fees in cents."""

STEPS = [(10, 5), (50, 10), (100, 15)]


def rebate_percent(count, steps=STEPS):
    """Return the rebate for buying many pieces."""
    percent = 0
    for least, rebate in steps:
        if count >= least:
            percent = rebate
    return percent


def line_price(price, count):
    """Return the price of several pieces less the rebate."""
    full = price * count
    return full - full * rebate_percent(count) // 100


def bundle_price(price, count, size, pay):
    """Return the price if of every size pieces only pay are paid."""
    bundles, rest = divmod(count, size)
    return price * (bundles * pay + min(rest, pay))


def apply_voucher(total, value, least=0):
    """Subtract a voucher that needs a least total."""
    if total < least:
        return total
    return max(total - value, 0)


def shipping(total, grams, abroad=False):
    """Return the shipping fee; larger orders at home are free."""
    if total >= 5000 and not abroad:
        return 0
    fee = 390
    if grams > 1000:
        fee += (grams - 1000 + 499) // 500 * 120
    if abroad:
        fee *= 2
    return fee


def margin(cost, price):
    """Return the part of the price that is profit, in percent."""
    if price == 0:
        return 0
    return (price - cost) * 100 // price


def cheapest(offers):
    """Return the supplier with the lowest price, the first of equals."""
    best = None
    for supplier, price in offers:
        if best is None or price < best[1]:
            best = (supplier, price)
    return best[0] if best else None
