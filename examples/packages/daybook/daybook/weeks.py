"""Weekdays, working days and weeks."""

from .day import Day

NAMES = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def is_weekend(day):
    return day.weekday() >= 5


def next_weekday(day, weekday):
    """Return the first given weekday after a day."""
    ahead = (weekday - day.weekday()) % 7
    if ahead == 0:
        ahead = 7
    return day.plus_days(ahead)


def week_start(day):
    return day.plus_days(-day.weekday())


def same_week(first, second):
    return week_start(first) == week_start(second)


def nth_weekday(year, month, weekday, nth):
    """Return the nth given weekday of a month."""
    first = Day(year, month, 1)
    offset = (weekday - first.weekday()) % 7
    return Day(year, month, 1 + offset + 7 * (nth - 1))


def workdays_between(first, last, holidays=()):
    """Count the working days from first to last, both included."""
    count = 0
    for step in range(first.days_until(last) + 1):
        day = first.plus_days(step)
        if not is_weekend(day) and day not in holidays:
            count += 1
    return count


def plus_workdays(day, count):
    """Go forward by a number of working days."""
    for _ in range(count):
        day = day.plus_days(1)
        if is_weekend(day):
            day = next_weekday(day, 0)
    return day


def month_grid(year, month):
    """Return the weeks of a month as rows of seven, zero for no day."""
    first = Day(year, month, 1)
    cells = [0] * first.weekday()
    cells += range(1, first.month_end().day + 1)
    cells += [0] * (-len(cells) % 7)
    rows = []
    for start in range(0, len(cells), 7):
        rows.append(cells[start:start + 7])
    return rows
