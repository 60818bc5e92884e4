"""When and how much to order from suppliers."""


def reorder_point(per_day, lead_days, reserve=0):
    return per_day * lead_days + reserve


def days_left(level, per_day):
    """Return for how many whole days the stock lasts."""
    if per_day == 0:
        return None
    return level // per_day


def boxes_needed(count, per_box):
    return (count + per_box - 1) // per_box


def order_amount(level, target, per_box):
    """Return how many pieces to order to reach a target in full boxes."""
    if level >= target:
        return 0
    return boxes_needed(target - level, per_box) * per_box


def forecast(level, sales, deliveries):
    """Return the level after each day; sales cannot exceed the level."""
    levels = []
    for day, sold in enumerate(sales):
        level += deliveries.get(day, 0)
        level -= min(sold, level)
        levels.append(level)
    return levels


def first_empty_day(levels):
    for day, level in enumerate(levels):
        if level <= 0:
            return day
    return None


def abc_classes(values):
    """Class items: A makes up 80 percent of the value, B 15, C the rest."""
    total = sum(values.values())
    classes = {}
    before = 0
    for item in sorted(values, key=values.get, reverse=True):
        if before * 100 < total * 80:
            classes[item] = "A"
        elif before * 100 < total * 95:
            classes[item] = "B"
        else:
            classes[item] = "C"
        before += values[item]
    return classes
