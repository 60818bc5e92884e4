"""How many of each item are on the shelf."""


class ShortageError(Exception):
    """Raised when more is taken than there is."""


class Stock:
    def __init__(self):
        self.levels = {}
        self.reserved = {}

    def level(self, item):
        return self.levels.get(item, 0)

    def free(self, item):
        """Return how many pieces are not reserved."""
        return self.level(item) - self.reserved.get(item, 0)

    def receive(self, item, count):
        if count < 1:
            raise ValueError("count must be positive")
        self.levels[item] = self.level(item) + count

    def take(self, item, count):
        """Remove pieces; an item without any is forgotten."""
        if count > self.free(item):
            raise ShortageError(item)
        self.levels[item] -= count
        if self.levels[item] == 0:
            del self.levels[item]

    def reserve(self, item, count):
        if count > self.free(item):
            raise ShortageError(item)
        self.reserved[item] = self.reserved.get(item, 0) + count

    def release(self, item, count):
        """Give back reserved pieces, as many as there are."""
        held = self.reserved.get(item, 0)
        self.reserved[item] = max(held - count, 0)
        return min(held, count)

    def items(self):
        return sorted(self.levels)

    def total(self):
        return sum(self.levels.values())

    def missing(self, wanted):
        """Return what a dictionary of wanted counts still lacks."""
        lacking = {}
        for item, count in wanted.items():
            if count > self.free(item):
                lacking[item] = count - self.free(item)
        return lacking

    def low_items(self, minimum):
        """Return the items with fewer pieces than a minimum."""
        return [item for item in self.items() if self.level(item) < minimum]
