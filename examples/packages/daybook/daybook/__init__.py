"""Calendar arithmetic without time zones."""

from .day import Day
from .rules import days_in_month, is_leap

__all__ = ["Day", "days_in_month", "is_leap"]
