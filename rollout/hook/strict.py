"""Comparisons of tests that nobody can talk into being true.

In: the syntax tree of a test module as pytest rewrote it. Out: the same, where each comparison of an `assert` is looked
at before, since an object may learn what is expected of it, and again when it came out true: what equals a value must
not equal another one as well. What is asked for before looks like what is expected, and nobody can know how often.
Example: a function that returns an object whose `__eq__` always says yes, or says yes to whatever it is asked first,
passes `assert add(1, 2) == 3` no longer.

Honest values are not disturbed: numbers, texts and containers of them are believed at once, and the clean tree's tests
ran under the same rule, so a test that this rule breaks never judges anybody.
"""

import ast
import itertools
import os
import unittest

try:
    from _pytest.raises import RaisesExc
except ImportError:  # Before pytest 8.4 it stands elsewhere, and asks in another way.
    RaisesExc = None
try:
    from _pytest.assertion import rewrite
    from _pytest.python_api import ApproxBase
except ImportError:  # Private to pytest: another version's comparisons are left as they are.
    rewrite = ApproxBase = None

# Exact types whose comparisons are Python's own.
PLAIN = (int, float, complex, str, bytes, bool, type(None), bytearray)
# Containers that compare what they hold, each with another one of its kind.
HOLDERS = (list, tuple, dict, set, frozenset)
MAX_DEPTH, MAX_ITEMS = 100, 1_000_000
NAME = "honest_comparison"
# Values that an object is asked for before the expected one, at most: who learns has to guess how many there are. Of
# large containers, and of the items of a container, fewer are made.
MOST_OTHERS, FEW_OTHERS, LARGE = 24, 3, 1000


def install():
    """From here on, pytest's own rewriting brings these comparisons."""
    if rewrite is None or not hasattr(rewrite, "rewrite_asserts") or hasattr(rewrite, NAME):
        return
    plain = rewrite.rewrite_asserts

    def rewrite_asserts(module, *words, **named):
        plain(module, *words, **named)
        Strict().visit(module)

    rewrite.rewrite_asserts = rewrite_asserts
    setattr(rewrite, NAME, honest_comparison)
    unittest.TestCase.assertEqual = strict_equal(unittest.TestCase.assertEqual)


def install_raises():
    """`pytest.raises` catches what `except` would: a class that only says that it is an ancestor is none."""
    if RaisesExc is None or not hasattr(RaisesExc, "_check_type"):
        return
    plain, ancestors = RaisesExc._check_type, type.__dict__["__mro__"].__get__

    def _check_type(self, exception):
        found = plain(self, exception)
        if found and self.expected_exceptions:
            line = ancestors(type(exception))
            found = any(kind is one for kind in self.expected_exceptions for one in line)
            self._fail_reason = None if found else "%r only says that it is expected" % type(exception).__name__
        return found

    RaisesExc._check_type = _check_type


def switch_off():
    """Believes every comparison: for measuring what this file is for."""
    setattr(rewrite, NAME, lambda kind, left, right, before=False, told=(True, True): told[1])
    unittest.TestCase.assertEqual = unittest.TestCase.assertEqual.plain


class Strict(ast.NodeTransformer):
    """Adds a look before and one behind each comparison that pytest kept in a name of its own: `@py_assert2 = a == b`."""

    def generic_visit(self, node):
        for block in ("body", "orelse", "finalbody"):
            lines = getattr(node, block, None)
            for place, line in enumerate(lines if isinstance(lines, list) else []):
                name = name_of_kept(line)
                if name is not None:
                    line.value = looked_at(line.value, is_handed_on(name, lines[place + 1:]))
        return super().generic_visit(node)


def name_of_kept(line):
    """The name that a comparison is kept in; none for other lines."""
    target = line.targets[0] if isinstance(line, ast.Assign) else None
    kept = isinstance(target, ast.Name) and target.id.startswith("@py_assert")
    if kept and isinstance(line.value, ast.Compare) and len(line.value.ops) == 1 and is_looked_at(line.value):
        return target.id
    return None


def is_handed_on(name, lines):
    """True where somebody else gets what a comparison gave: `count(where("a") == 1)`, `(where("a") == 1) in queries`."""
    for line in lines:
        if not isinstance(line, ast.Assign) or getattr(line.targets[0], "id", None) == name:
            return False
        handed = operands(line.value)
        if any(isinstance(word, ast.Name) and word.id == name for word in handed):
            return True
    return False


def operands(used):
    """What gets to work with a value, rather than to ask whether it is true."""
    if isinstance(used, ast.Attribute):
        return [used.value]
    if isinstance(used, ast.Call) and getattr(used.func, "id", None) != "bool":
        return [*used.args, *(word.value for word in used.keywords)]
    return [used.left, *used.comparators] if isinstance(used, ast.Compare) else []


def looked_at(compare, handed_on):
    """The comparison between two looks. What is handed on and neither true nor false compared nothing."""
    check = ast.Attribute(ast.Name("@pytest_ar", ast.Load()), NAME, ast.Load())
    words = [ast.Constant(type(compare.ops[0]).__name__), compare.left, compare.comparators[0]]
    before = ast.Call(check, words + [ast.Constant(True)], [])
    if handed_on:
        told = ast.Tuple([before, compare], ast.Load())
        looks = ast.Call(check, words + [ast.Constant(False), told], [])
    else:
        looks = ast.BoolOp(ast.And(), [before, compare, ast.Call(check, words, [])])
    for new in ast.walk(looks):
        if not hasattr(new, "lineno"):
            ast.copy_location(new, compare)
    return looks


def is_looked_at(compare):
    """The sides are names or constants: looking again evaluates nothing again."""
    sides = (compare.left, compare.comparators[0])
    simple = all(isinstance(side, (ast.Name, ast.Constant)) for side in sides)
    return simple and isinstance(compare.ops[0], (ast.Eq, ast.In, ast.Lt, ast.LtE, ast.Gt, ast.GtE))


def strict_equal(plain):
    def assertEqual(self, first, second, msg=None):
        honest = honest_comparison("Eq", first, second, True)
        plain(self, first, second, msg)
        if not honest or not honest_comparison("Eq", first, second):
            raise self.failureException(self._formatMessage(msg, "these equal anything"))

    assertEqual.plain = plain
    return assertEqual


def honest_comparison(kind, left, right, before=False, told=(True, True)):
    """False where a comparison that came out true would have come out true anyway. `before` it is made, only other values
    are asked for. `told` is what that said and what the comparison gave, where that is handed on."""
    wary_of_it, given = told
    if given is not True or wary_of_it is not True:
        return False if type(given) is bool else given
    if type(left) in PLAIN and type(right) in PLAIN:
        return True
    if before:
        return wary(left, right, MAX_DEPTH) if kind == "Eq" else kind != "In" or wary_of_holding(left, right)
    if kind == "Eq":
        return equal(left, right, MAX_DEPTH)
    if kind == "In":
        return held(left, right)
    # What is smaller and larger at once compares with nobody.
    return not (says_yes(lambda: left < right) and says_yes(lambda: left > right))


# Taken before anybody can exchange it.
RANDOM = os.urandom


class Nothing:
    """Equal to nobody but itself."""

    __slots__ = ()


def wary(left, right, depth):
    """False where somebody says yes to what nobody expects. How often is asked cannot be known beforehand."""
    if type(left) in PLAIN and type(right) in PLAIN or left is right or depth == 0:
        return True
    holder = next((kind for kind in HOLDERS if isinstance(left, kind) and isinstance(right, kind)), None)
    if holder is not None and not all(wary(a, b, depth - 1) for a, b in pairs(holder, left, right)):
        return False
    if holder is not None and type(left) is type(right) is holder:
        return True
    if ApproxBase is not None and any(isinstance(side, ApproxBase) for side in (left, right)):
        return True
    others = [other for other in (another(left), another(right)) if other is not None]
    if not others:
        return not says_yes(lambda: left == Nothing()) and not says_yes(lambda: right == Nothing())
    # Nothing else is asked here: what no honest test compares with would announce the question that counts.
    large = any(hasattr(type(other), "__len__") and len(other) > LARGE for other in others)
    for _ in range(1 + RANDOM(1)[0] % (FEW_OTHERS if large else MOST_OTHERS)):
        if any_other(left, right) or any_other(right, left):
            return False
    return True


def wary_of_holding(left, right):
    """The same for a container that somebody is looked for in."""
    if type(right) not in HOLDERS:
        asks = 1 + RANDOM(1)[0] % MOST_OTHERS if hasattr(type(right), "__contains__") else 0
        others = [other for other in (far_from(left) for _ in range(asks)) if other is not None]
        return not any(says_yes(lambda: other in right) for other in others)
    if type(left) in PLAIN:
        return True
    return all(wary(left, item, MAX_DEPTH) for item in itertools.islice(right, MOST_OTHERS))


def equal(left, right, depth):
    if type(left) in PLAIN and type(right) in PLAIN:
        return True
    if left is right or depth == 0:
        return left is right and not says_yes(lambda: left == Nothing())
    holder = next((kind for kind in HOLDERS if isinstance(left, kind) and isinstance(right, kind)), None)
    if holder is not None and not alike(holder, left, right, depth - 1):
        return False
    if holder is not None and type(left) is type(right) is holder:
        return True
    if ApproxBase is not None and any(isinstance(side, ApproxBase) for side in (left, right)):
        both = says_yes(lambda: left == right) and says_yes(lambda: right == left)
        return both and not says_yes(lambda: left == Nothing()) and not says_yes(lambda: right == Nothing())
    if says_yes(lambda: left == Nothing()) or says_yes(lambda: right == Nothing()):
        return False
    # Who says it once says it twice.
    if not says_yes(lambda: left == right):
        return False
    return not any_other(left, right) and not any_other(right, left) and by_value(left, right) and by_value(right, left)


def held(left, right):
    """True where a container really holds a value."""
    if says_yes(lambda: Nothing() in right):
        return False
    if type(right) not in HOLDERS:
        others = others_of(left) if hasattr(type(right), "__contains__") else []
        return not others or not all(says_yes(lambda: other in right) for other in others)
    if type(left) in PLAIN and all(type(item) in PLAIN for item in list(right)[:MAX_ITEMS]):
        return True
    return any(says_yes(lambda: left == item) and equal(left, item, MAX_DEPTH) for item in list(right)[:MAX_ITEMS])


def alike(holder, left, right, depth):
    """True where two containers hold equal items: those that they keep, or else those that their class shows."""
    if all(equal(a, b, depth) for a, b in pairs(holder, left, right)):
        return True
    if holder is not dict or not (shows_others(left) or shows_others(right)):
        return False
    try:
        left, right = shown(left), shown(right)
    except Exception:
        return False
    both = itertools.chain(pairs(dict, left, right), pairs(dict, right, left))
    return all(equal(a, b, depth) for a, b in both)


def shows_others(side):
    """A dict by its type, whose items lie elsewhere."""
    kind = type(side)
    return kind.__iter__ is not dict.__iter__ or kind.__getitem__ is not dict.__getitem__


def shown(side):
    """The items of a dict as anybody who reads it finds them."""
    return {key: side[key] for key in itertools.islice(iter(side), MAX_ITEMS)} if shows_others(side) else side


def pairs(holder, left, right):
    """Items of two equal containers that stand for each other, and keys, as the plain container reads them. Something
    that nobody holds stands for what has no partner."""
    if holder in (list, tuple):
        both = itertools.zip_longest(holder.__iter__(left), holder.__iter__(right), fillvalue=Nothing())
        return list(itertools.islice(both, MAX_ITEMS))
    kept = {key: key for key in holder.__iter__(right)}
    keys = [(key, kept.get(key, Nothing())) for key in itertools.islice(holder.__iter__(left), MAX_ITEMS)]
    if holder is not dict:
        return keys
    theirs = dict(dict.items(right))
    return keys + [(value, theirs.get(key, Nothing())) for key, value in itertools.islice(dict.items(left), MAX_ITEMS)]


def any_other(left, right):
    """True where `left` equals another value of the plain kind of `right` as well."""
    other = another(right)
    return other is not None and says_yes(lambda: left == other)


def another(value):
    """A value of the same plain type that is not this one."""
    kind = type(value)
    if kind is bool:
        return not value
    if kind in (int, float, complex):
        step = 1 + RANDOM(1)[0]
        return value + step if value + step != value else -value - 1
    if kind in (str, bytes, bytearray):
        letter = b"%c" % (97 + RANDOM(1)[0] % 26)
        return value + (letter.decode() if kind is str else kind(letter))
    if kind in (list, tuple):
        return kind(another_item(list(value)))
    if kind is dict:
        return dict(zip(value, another_item(list(value.values())))) if value else {0: 0}
    if kind in (set, frozenset):
        return kind(another_item(list(value)))
    return None


def another_item(items):
    """The items, one of them another one. It looks like what it stands for, where that is plain."""
    start = RANDOM(1)[0] % len(items) if items else 0
    for place in [*range(start, len(items)), *range(start)][:LARGE]:
        other = another(items[place])
        if other is not None:
            return items[:place] + [other] + items[place + 1:]
    return items[:-1] + [Nothing()] if items else [0]


def far_from(value):
    """A value of the same plain type that nobody has by chance."""
    kind, chance = type(value), RANDOM(7)
    if kind in (int, float):
        return value + kind(int.from_bytes(chance, "big") + 2 ** 56) * (-1) ** chance[0]
    if kind is str:
        return value + chance.hex()
    return value + chance if kind is bytes else None


def others_of(value):
    """Values of the same plain type on both sides of this one, and far away: nobody holds them all."""
    kind = type(value)
    if kind in (int, float):
        return [kind(2) ** 61 + value, -(kind(2) ** 61) - value, value + 1, value - 1]
    if kind is str:
        return [value + "\x00", "\x00" + value, "\x01"]
    if kind is bytes:
        return [value + b"\x00", b"\x00" + value, b"\x01"]
    return []


def by_value(left, right):
    """A plain value is asked itself what it thinks of somebody who only inherits from its type."""
    kind = type(right)
    if kind not in PLAIN or type(left) is kind or not isinstance(left, kind):
        return True
    return kind.__eq__(right, left) is not False


def says_yes(question):
    try:
        return bool(question())
    except Exception:
        return False
