"""Ages, anniversaries and repeating dates."""

from .day import Day
from .rules import is_leap


def age_on(born, day):
    """Return the age in whole years on a day."""
    years = day.year - born.year
    if (day.month, day.day) < (born.month, born.day):
        years -= 1
    return years


def birthday_in(born, year):
    """Return the birthday in a year, 1 March for a missing leap day."""
    if born.month == 2 and born.day == 29 and not is_leap(year):
        return Day(year, 3, 1)
    return Day(year, born.month, born.day)


def next_birthday(born, today):
    """Return the next birthday, which may be today."""
    day = birthday_in(born, today.year)
    if day < today:
        day = birthday_in(born, today.year + 1)
    return day


def whole_months(first, last):
    """Count the whole months from first to last."""
    months = (last.year - first.year) * 12 + last.month - first.month
    if last.day < first.day:
        months -= 1
    return months


def due_dates(start, every, count):
    """Return the dates of payments that are due every few months."""
    return [start.plus_months(every * i) for i in range(1, count + 1)]


def easter(year):
    """Return the date of Easter Sunday."""
    golden = year % 19
    century, rest = divmod(year, 100)
    shift = (8 * century + 13) // 25
    moon = (19 * golden + century - century // 4 - shift + 15) % 30
    ahead = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    late = (golden + 11 * moon + 22 * ahead) // 451
    month, day = divmod(moon + ahead - 7 * late + 114, 31)
    return Day(year, month, day + 1)
