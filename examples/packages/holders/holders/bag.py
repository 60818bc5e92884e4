"""A bag that counts how often it holds each value."""


class Bag:
    def __init__(self, values=()):
        self.counts = {}
        for value in values:
            self.add(value)

    def __len__(self):
        return sum(self.counts.values())

    def __getitem__(self, value):
        return self.counts.get(value, 0)

    def add(self, value, times=1):
        self.counts[value] = self[value] + times

    def drop(self, value):
        """Remove one copy and tell whether there was any."""
        if self[value] == 0:
            return False
        if self[value] == 1:
            del self.counts[value]
        else:
            self.counts[value] -= 1
        return True

    def __le__(self, other):
        """Tell whether the other bag holds at least as much of all."""
        return all(n <= other[value] for value, n in self.counts.items())

    def combined(self, other, pick):
        """Return a bag where pick chooses from the two counts."""
        result = Bag()
        for value in {**self.counts, **other.counts}:
            times = pick(self[value], other[value])
            if times > 0:
                result.add(value, times)
        return result

    def __and__(self, other):
        return self.combined(other, min)

    def __or__(self, other):
        return self.combined(other, max)

    def __sub__(self, other):
        return self.combined(other, lambda mine, theirs: mine - theirs)

    def common(self, most):
        """Return the most common values with their counts."""
        pairs = sorted(self.counts.items(), key=lambda pair: -pair[1])
        return pairs[:most]
