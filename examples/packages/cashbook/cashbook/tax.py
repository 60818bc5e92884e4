"""Sales tax and taxes that grow by bracket."""

from .amount import percent_of

BRACKETS = [(0, 0), (100000, 10), (400000, 25)]


def add_tax(net, percent):
    return net + percent_of(net, percent)


def net_of(gross, percent):
    """Return the net amount within a gross amount."""
    return round(gross * 100 / (100 + percent))


def tax_within(gross, percent):
    return gross - net_of(gross, percent)


def bracket_tax(income, brackets=BRACKETS):
    """Return the tax; each bracket's rate holds from its start on."""
    tax = 0
    for i, (start, percent) in enumerate(brackets):
        if income <= start:
            break
        end = income
        if i + 1 < len(brackets):
            end = min(income, brackets[i + 1][0])
        tax += percent_of(end - start, percent)
    return tax


def top_rate(income, brackets=BRACKETS):
    """Return the rate on the last cent of an income."""
    rate = 0
    for start, percent in brackets:
        if income > start:
            rate = percent
    return rate


def take_home(income, brackets=BRACKETS):
    return income - bracket_tax(income, brackets)
