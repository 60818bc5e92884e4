from holders.caches import CountCache, ExpiringCache, RecentCache


def recent():
    cache = RecentCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    return cache


def test_recent_get():
    assert recent().get("a") == 1
    assert recent().get("x") is None
    assert recent().get("x", 7) == 7


def test_recent_drops_the_oldest():
    cache = recent()
    cache.put("c", 3)
    assert cache.keys() == ["b", "c"]


def test_recent_get_makes_young():
    cache = recent()
    cache.get("a")
    assert cache.keys() == ["b", "a"]


def test_recent_put_again():
    cache = recent()
    cache.put("a", 5)
    assert cache.keys() == ["b", "a"]
    assert cache.get("a") == 5


def test_hit_rate():
    cache = recent()
    for key in "abx":
        cache.get(key)
    assert cache.hits == 2
    assert cache.misses == 1
    assert round(cache.hit_rate(), 3) == 0.667


def test_hit_rate_of_one_miss():
    cache = recent()
    cache.get("x")
    assert cache.hit_rate() == 0


def test_hit_rate_of_one_hit():
    cache = recent()
    cache.get("a")
    assert cache.hit_rate() == 1


def test_hit_rate_unused():
    assert recent().hit_rate() == 0


def counting():
    cache = CountCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    return cache


def test_count_get():
    assert counting().get("b") == 2
    assert counting().get("x") is None


def test_count_uses():
    cache = counting()
    cache.get("a")
    cache.get("a")
    assert cache.uses == {"a": 3, "b": 1}


def test_count_victim():
    cache = counting()
    assert cache.victim() == "a"
    cache.get("a")
    assert cache.victim() == "b"


def test_count_drops_the_victim():
    cache = counting()
    cache.get("a")
    cache.put("c", 3)
    assert cache.data == {"a": 1, "c": 3}
    assert cache.uses == {"a": 2, "c": 1}


def test_count_put_again():
    cache = counting()
    cache.get("a")
    cache.put("a", 9)
    assert cache.data == {"a": 9, "b": 2}
    assert cache.uses == {"a": 2, "b": 1}


def test_expiring_get():
    cache = ExpiringCache(2)
    cache.put("a", 5)
    cache.tick()
    assert cache.get("a") == 5
    cache.tick()
    assert cache.get("a") is None


def test_expiring_unknown():
    assert ExpiringCache(2).get("x") is None


def test_tick():
    cache = ExpiringCache(2)
    cache.tick()
    cache.tick(3)
    assert cache.now == 4


def test_life_starts_at_put():
    cache = ExpiringCache(2)
    cache.tick(5)
    cache.put("a", 5)
    assert cache.data == {"a": (5, 7)}


def test_sweep():
    cache = ExpiringCache(2)
    cache.put("a", 1)
    cache.tick()
    cache.put("b", 2)
    cache.tick()
    assert cache.sweep() == 1
    assert list(cache.data) == ["b"]
