"""Book-keeping with whole cents."""

from .account import Account, OverdraftError
from .ledger import Ledger

__all__ = ["Account", "Ledger", "OverdraftError"]
