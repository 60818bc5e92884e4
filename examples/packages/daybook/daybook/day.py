"""A single day of the calendar."""

from . import rules


class Day:
    """A date made of year, month and day of the month."""

    def __init__(self, year, month, day):
        if not 1 <= day <= rules.days_in_month(year, month):
            raise ValueError("no such day in the month")
        self.year = year
        self.month = month
        self.day = day

    @classmethod
    def parse(cls, text):
        """Read a date such as 2024-02-29."""
        parts = text.split("-")
        if len(parts) != 3:
            raise ValueError("not a date: " + text)
        year, month, day = parts
        return cls(int(year), int(month), int(day))

    @classmethod
    def from_number(cls, number):
        """Return the day that is number days after 0000-12-31."""
        year = number // 366 + 1
        while number > rules.days_before(year + 1):
            year += 1
        rest = number - rules.days_before(year)
        month, day = rules.from_day_of_year(year, rest)
        return cls(year, month, day)

    def number(self):
        """Count the days since 0000-12-31."""
        within = rules.day_of_year(self.year, self.month, self.day)
        return rules.days_before(self.year) + within

    def parts(self):
        return (self.year, self.month, self.day)

    def __str__(self):
        return f"{self.year:04d}-{self.month:02d}-{self.day:02d}"

    def __eq__(self, other):
        return self.parts() == other.parts()

    def __lt__(self, other):
        return self.parts() < other.parts()

    def plus_days(self, count):
        return Day.from_number(self.number() + count)

    def days_until(self, other):
        return other.number() - self.number()

    def plus_months(self, count):
        """Move by months; a day past the month's end becomes its last."""
        months = self.year * 12 + self.month - 1 + count
        year, month = divmod(months, 12)
        last = rules.days_in_month(year, month + 1)
        return Day(year, month + 1, min(self.day, last))

    def month_end(self):
        last = rules.days_in_month(self.year, self.month)
        return Day(self.year, self.month, last)

    def weekday(self):
        """Return 0 for Monday up to 6 for Sunday."""
        return (self.number() - 1) % 7

    def long_form(self):
        """Write the date out, such as 3 May 2021."""
        return f"{self.day} {rules.MONTHS[self.month - 1]} {self.year}"
