"""A binary heap that hands out its least value first."""

from .ring import Empty


class Heap:
    def __init__(self, values=()):
        self.tree = []
        for value in values:
            self.push(value)

    def __len__(self):
        return len(self.tree)

    def swap(self, i, j):
        self.tree[i], self.tree[j] = self.tree[j], self.tree[i]

    def push(self, value):
        self.tree.append(value)
        self.rise(len(self.tree) - 1)

    def rise(self, i):
        """Move a small value up to its place."""
        up = (i - 1) // 2
        if i > 0 and self.tree[i] < self.tree[up]:
            self.swap(i, up)
            self.rise(up)

    def least_child(self, i):
        """Return the place of the lesser child, None for a leaf."""
        left = 2 * i + 1
        right = left + 1
        if left >= len(self.tree):
            return None
        if right < len(self.tree) and self.tree[right] < self.tree[left]:
            return right
        return left

    def sink(self, i):
        """Move a large value down to its place."""
        child = self.least_child(i)
        if child is not None and self.tree[child] < self.tree[i]:
            self.swap(child, i)
            self.sink(child)

    def pop(self):
        if not self.tree:
            raise Empty()
        self.swap(0, -1)
        value = self.tree.pop()
        if self.tree:
            self.sink(0)
        return value

    def replace(self, value):
        """Take out the least value and put another one in."""
        least = self.tree[0]
        self.tree[0] = value
        self.sink(0)
        return least

    def drain(self):
        """Take all values out in order."""
        return [self.pop() for _ in range(len(self.tree))]


def is_heap(values):
    """Tell whether no value is less than its parent."""
    for i in range(1, len(values)):
        if values[i] < values[(i - 1) // 2]:
            return False
    return True
