"""A small shop's stock and orders."""

from .orders import Order
from .stock import Stock

__all__ = ["Order", "Stock"]
