"""A ledger of dated entries between accounts."""


class Entry:
    """An amount booked from one account to another."""

    def __init__(self, day, source, dest, cents, note=""):
        if source == dest:
            raise ValueError("source and dest are the same")
        self.day = day
        self.source = source
        self.dest = dest
        self.cents = cents
        self.note = note

    def effect_on(self, account):
        """Return by how much the entry changes an account."""
        if account == self.dest:
            return self.cents
        if account == self.source:
            return -self.cents
        return 0


class Ledger:
    def __init__(self):
        self.entries = []

    def book(self, day, source, dest, cents, note=""):
        """Add an entry; days must not go backwards."""
        if self.entries and day < self.entries[-1].day:
            raise ValueError("entry is out of order")
        self.entries.append(Entry(day, source, dest, cents, note))

    def balance(self, account, until=None):
        """Return the balance at the end of a day, or at the end."""
        total = 0
        for entry in self.entries:
            if until is not None and entry.day > until:
                break
            total += entry.effect_on(account)
        return total

    def accounts(self):
        names = set()
        for entry in self.entries:
            names.add(entry.source)
            names.add(entry.dest)
        return sorted(names)

    def between(self, first, last):
        """Return the entries from day first to day last."""
        return [e for e in self.entries if first <= e.day <= last]

    def turnover(self, account):
        """Return the sum of all amounts that touch an account."""
        total = 0
        for entry in self.entries:
            if account in (entry.source, entry.dest):
                total += entry.cents
        return total

    def largest(self):
        """Return the entry with the largest amount, the first of equals."""
        best = None
        for entry in self.entries:
            if best is None or entry.cents > best.cents:
                best = entry
        return best

    def find(self, word):
        """Return the entries whose note holds a word, in any case."""
        word = word.lower()
        return [e for e in self.entries if word in e.note.lower()]

    def is_settled(self):
        """Tell whether every account stands at zero."""
        for name in self.accounts():
            if self.balance(name) != 0:
                return False
        return True
