"""Caches that forget the least useful key."""


class RecentCache:
    """A cache that drops the key used longest ago."""

    def __init__(self, size):
        self.size = size
        self.data = {}
        self.hits = 0
        self.misses = 0

    def get(self, key, default=None):
        if key not in self.data:
            self.misses += 1
            return default
        self.hits += 1
        self.data[key] = self.data.pop(key)
        return self.data[key]

    def put(self, key, value):
        self.data.pop(key, None)
        if len(self.data) >= self.size:
            oldest = next(iter(self.data))
            del self.data[oldest]
        self.data[key] = value

    def keys(self):
        """Return the keys, the one used last at the end."""
        return list(self.data)

    def hit_rate(self):
        asked = self.hits + self.misses
        if asked == 0:
            return 0
        return self.hits / asked


class CountCache:
    """A cache that drops the key asked for least often."""

    def __init__(self, size):
        self.size = size
        self.data = {}
        self.uses = {}

    def get(self, key):
        if key in self.data:
            self.uses[key] += 1
        return self.data.get(key)

    def victim(self):
        """Return the key with the fewest uses, the oldest of equals."""
        return min(self.uses, key=self.uses.get)

    def put(self, key, value):
        if key not in self.data:
            if len(self.data) == self.size:
                dropped = self.victim()
                del self.data[dropped]
                del self.uses[dropped]
            self.uses[key] = 1
        self.data[key] = value


class ExpiringCache:
    """A cache whose entries live for a number of ticks."""

    def __init__(self, life):
        self.life = life
        self.now = 0
        self.data = {}

    def tick(self, count=1):
        self.now += count

    def put(self, key, value):
        self.data[key] = (value, self.now + self.life)

    def get(self, key):
        value, ends = self.data.get(key, (None, 0))
        return value if self.now < ends else None

    def sweep(self):
        """Forget the entries that are over and count them."""
        over = [k for k, (_, ends) in self.data.items() if ends <= self.now]
        for key in over:
            del self.data[key]
        return len(over)
