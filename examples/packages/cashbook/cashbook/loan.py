"""Interest and loans, counted in cents."""

from .amount import percent_of


def simple_interest(cents, percent, years):
    return percent_of(cents, percent) * years


def compound(cents, percent, years):
    """Return the amount after adding interest once a year."""
    for _ in range(years):
        cents += percent_of(cents, percent)
    return cents


def years_to_reach(cents, percent, goal, most=100):
    """Return in how many years an amount grows to a goal."""
    for year in range(most + 1):
        if cents >= goal:
            return year
        cents += percent_of(cents, percent)
    return None


def repayment_plan(debt, rate, percent):
    """Return the debt left after each yearly payment."""
    if rate <= percent_of(debt, percent):
        raise ValueError("the rate does not cover the interest")
    left = []
    for _ in range(debt):
        if debt == 0:
            break
        debt += percent_of(debt, percent)
        debt -= min(rate, debt)
        left.append(debt)
    return left


def total_interest(debt, rate, percent):
    """Return the interest paid until the debt is gone."""
    paid = 0
    owed = debt
    for left in repayment_plan(debt, rate, percent):
        paid += percent_of(owed, percent)
        owed = left
    return paid


def late_fee(cents, days_late, grace=7, per_day=25):
    """Return the fee for paying late, at most a tenth of the amount."""
    if days_late <= grace:
        return 0
    fee = (days_late - grace) * per_day
    return min(fee, cents // 10)
