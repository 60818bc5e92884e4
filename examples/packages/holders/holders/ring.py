"""A queue of fixed size in a ring of slots."""


class Full(Exception):
    """Raised when a value is pushed to a full ring."""


class Empty(Exception):
    """Raised when a value is taken from an empty container."""


class Ring:
    def __init__(self, size):
        self.slots = [None] * size
        self.head = 0
        self.used = 0

    def __len__(self):
        return self.used

    def is_full(self):
        return self.used == len(self.slots)

    def slot(self, index):
        """Return where the value at an index is stored."""
        return (self.head + index) % len(self.slots)

    def push(self, value):
        if self.is_full():
            raise Full()
        self.slots[self.slot(self.used)] = value
        self.used += 1

    def force(self, value):
        """Push a value; a full ring loses its oldest one."""
        lost = None
        if self.is_full():
            lost = self.pop()
        self.push(value)
        return lost

    def pop(self):
        """Remove and return the oldest value."""
        if self.used == 0:
            raise Empty()
        value = self.slots[self.head]
        self.slots[self.head] = None
        self.head = self.slot(1)
        self.used -= 1
        return value

    def peek(self, index=0):
        """Return a value without removing it; -1 is the newest."""
        if index < 0:
            index += self.used
        if not 0 <= index < self.used:
            raise IndexError(index)
        return self.slots[self.slot(index)]

    def values(self):
        return [self.peek(i) for i in range(self.used)]
