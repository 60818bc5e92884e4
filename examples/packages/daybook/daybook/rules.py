"""The rules of the calendar."""

MONTHS = ["January", "February", "March", "April", "May", "June", "July",
          "August", "September", "October", "November", "December"]


def is_leap(year):
    if year % 100 == 0:
        return year % 400 == 0
    return year % 4 == 0


def days_in_month(year, month):
    if not 1 <= month <= 12:
        raise ValueError("month must be in 1 to 12")
    if month == 2:
        return 29 if is_leap(year) else 28
    if month in (4, 6, 9, 11):
        return 30
    return 31


def day_of_year(year, month, day):
    """Return the number of a day within its year, from one."""
    total = day
    for earlier in range(1, month):
        total += days_in_month(year, earlier)
    return total


def from_day_of_year(year, number):
    """Return month and day of the numbered day of a year."""
    for month in range(1, 13):
        size = days_in_month(year, month)
        if number <= size:
            return month, number
        number -= size
    raise ValueError("the year has fewer days")


def leap_years_before(year):
    """Count the leap years from year one until the year before."""
    last = year - 1
    return last // 4 - last // 100 + last // 400


def days_before(year):
    """Count the days from year one until the end of the year before."""
    return (year - 1) * 365 + leap_years_before(year)


def month_number(name):
    """Find a month by its name or the first three letters of it."""
    for number, month in enumerate(MONTHS, start=1):
        if name.lower() in (month.lower(), month[:3].lower()):
            return number
    raise ValueError("no such month: " + name)


def quarter(month):
    return (month + 2) // 3
