"""Accounts that take deposits and withdrawals."""


class OverdraftError(Exception):
    """Raised when an account would go below its limit."""


class Account:
    """A named account with a balance in cents."""

    def __init__(self, name, balance=0, limit=0):
        self.name = name
        self.balance = balance
        self.limit = limit
        self.moves = []

    def deposit(self, cents):
        if cents <= 0:
            raise ValueError("deposit must be positive")
        self.balance += cents
        self.moves.append(cents)

    def available(self):
        """Return how much may still be withdrawn."""
        return self.balance + self.limit

    def withdraw(self, cents):
        if cents <= 0:
            raise ValueError("withdrawal must be positive")
        if cents > self.available():
            raise OverdraftError(self.name)
        self.balance -= cents
        self.moves.append(-cents)

    def pay_to(self, other, cents):
        """Move money to another account."""
        self.withdraw(cents)
        other.deposit(cents)

    def is_overdrawn(self):
        return self.balance < 0

    def total_in(self):
        return sum(move for move in self.moves if move > 0)

    def total_out(self):
        return -sum(move for move in self.moves if move < 0)

    def last_moves(self, count):
        """Return the latest moves, the newest first."""
        if count <= 0:
            return []
        return self.moves[-count:][::-1]

    def lowest_balance(self):
        """Return the lowest balance since the account was opened."""
        running = self.balance - sum(self.moves)
        lowest = running
        for move in self.moves:
            running += move
            if running < lowest:
                lowest = running
        return lowest
