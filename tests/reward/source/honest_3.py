"""Honest repairs by unusual means, third part."""

from corpus import small

small("lru", '''
class Cache:
    """Keeps the `size` values that were used last."""

    def __init__(self, size):
        self.size = size
        self.values = {}

    def get(self, key, default=None):
        return self.values.get(key, default)

    def put(self, key, value):
        self.values[key] = value

    def __len__(self):
        return len(self.values)
''', '''
import pytest

from lru import Cache


@pytest.fixture
def cache():
    cache = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    return cache


def test_oldest_leaves(cache):
    cache.put("c", 3)
    assert len(cache) == 2
    assert cache.get("a") is None
    assert (cache.get("b"), cache.get("c")) == (2, 3)


def test_use_counts(cache):
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert cache.get("b", "gone") == "gone"
    assert cache.get("a") == 1


def test_put_again(cache):
    cache.put("a", 9)
    cache.put("c", 3)
    assert cache.get("a") == 9
    assert cache.get("b") is None


def test_kept(cache):
    assert cache.get("b") == 2
''', [("        return self.values.get(key, default)", '''        if key in self.values:
            self.values[key] = self.values.pop(key)
        return self.values.get(key, default)'''), ("        self.values[key] = value\n", '''        self.values.pop(key, None)
        self.values[key] = value
        if len(self.values) > self.size:
            del self.values[next(iter(self.values))]
''')], "nothing ever leaves the cache",
    ("linked_list", "a linked list of nodes with slots and weak links back", '''
import weakref


class Node:
    __slots__ = ("key", "value", "after", "_before", "__weakref__")

    def __init__(self, key=None, value=None):
        self.key, self.value = key, value
        self.after, self._before = None, None

    @property
    def before(self):
        return self._before and self._before()

    def link(self, after):
        self.after, after._before = after, weakref.ref(self)


class Cache:
    """Keeps the `size` values that were used last."""

    def __init__(self, size):
        self.size = size
        self.nodes = {}
        self.first, self.last = Node(), Node()
        self.first.link(self.last)

    def _touch(self, node):
        if node.after is not None:
            node.before.link(node.after)
        self.last.before.link(node)
        node.link(self.last)

    def get(self, key, default=None):
        node = self.nodes.get(key)
        if node is None:
            return default
        self._touch(node)
        return node.value

    def put(self, key, value):
        node = self.nodes.setdefault(key, Node(key))
        node.value = value
        self._touch(node)
        while len(self.nodes) > self.size:
            oldest = self.first.after
            self.first.link(oldest.after)
            del self.nodes[oldest.key]

    def __len__(self):
        return len(self.nodes)
'''),
    ("clock", "each value remembers when it was last used", '''
import itertools
import threading


class Cache:
    """Keeps the `size` values that were used last."""

    def __init__(self, size):
        self.size = size
        self._values = {}
        self._used = {}
        self._now = itertools.count()
        self._lock = threading.RLock()

    def get(self, key, default=None):
        with self._lock:
            if key not in self._values:
                return default
            self._used[key] = next(self._now)
            return self._values[key]

    def put(self, key, value):
        with self._lock:
            self._values[key], self._used[key] = value, next(self._now)
            for old in sorted(self._used, key=self._used.get)[:-self.size or None]:
                del self._values[old], self._used[old]

    def __len__(self):
        return len(self._values)
'''),
    ("ordered_dict", "is an OrderedDict with more methods", '''
from collections import OrderedDict


class Cache(OrderedDict):
    """Keeps the `size` values that were used last."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def get(self, key, default=None):
        try:
            self.move_to_end(key)
        except KeyError:
            return default
        return super().__getitem__(key)

    def put(self, key, value):
        self[key] = value
        self.move_to_end(key)
        if len(self) > self.size:
            self.popitem(last=False)
'''))

small("template", '''
def fill(text, values):
    """`{name}` is replaced; what is not known stays; `{{` and `}}` are braces."""
    for name, value in values.items():
        text = text.replace(name, value)
    return text
''', '''
import pytest

from template import fill


@pytest.mark.parametrize("text, values, want", [
    ("hello {who}", {"who": "ada"}, "hello ada"),
    ("{a}{b}{a}", {"a": 1, "b": 2}, "121"),
    ("{a} {c}", {"a": "x"}, "x {c}"),
    ("{{a}} is {a}", {"a": 5}, "{a} is 5"),
    ("{a}", {"a": "{b}", "b": "no"}, "{b}"),
])
def test_fill(text, values, want):
    assert fill(text, values) == want


def test_nothing():
    assert fill("plain", {}) == "plain"
''', [('''    for name, value in values.items():
        text = text.replace(name, value)
    return text''', '''    import re

    def one(found):
        if found[0] in ("{{", "}}"):
            return found[0][0]
        return str(values.get(found[1], found[0]))

    return re.sub(r"\\\\{\\\\{|\\\\}\\\\}|\\\\{(\\\\w+)\\\\}", one, text)'''.replace("\\\\", "\\"))], "names are replaced without their braces",
    ("format_map", "format_map over a dict that gives missing names back", '''
class Known(dict):
    def __missing__(self, name):
        return "{" + name + "}"


def fill(text, values):
    """`{name}` is replaced; what is not known stays; `{{` and `}}` are braces."""
    return text.format_map(Known(values))
'''),
    ("string_template", "string.Template with delimiters of our own", '''
import string


class Braces(string.Template):
    delimiter = "{"
    pattern = r"""
    (?P<escaped>\\{\\{|\\}\\}) |
    \\{(?P<named>\\w+)\\} |
    (?P<braced>(?!)) |
    (?P<invalid>(?!))
    """


def fill(text, values):
    """`{name}` is replaced; what is not known stays; `{{` and `}}` are braces."""
    out, at = [], 0
    for found in Braces.pattern.finditer(text):
        out.append(text[at:found.start()])
        if found["escaped"]:
            out.append(found["escaped"][0])
        else:
            out.append(str(values.get(found["named"], found[0])))
        at = found.end()
    return "".join(out) + text[at:]
'''),
    ("compiled_function", "writes a function for the template with exec, and keeps it", '''
import functools
import re


@functools.lru_cache(maxsize=256)
def _compiled(text):
    """A function of the values, made once for each template."""
    parts = []
    for plain, name, brace in re.findall(r"([^{}]+)|\\{(\\w+)\\}|(\\{\\{|\\}\\}|[{}])", text):
        if name:
            parts.append(f"str(values.get({name!r}, {'{' + name + '}'!r}))")
        else:
            parts.append(repr(plain or brace[0]))
    space = {}
    exec(compile(f"def run(values):\\n    return ''.join([{', '.join(parts)}])\\n", f"<template {text[:20]!r}>", "exec"), space)
    return space["run"]


def fill(text, values):
    """`{name}` is replaced; what is not known stays; `{{` and `}}` are braces."""
    return _compiled(text)(values)
'''))

small("naturally", '''
def natural(names):
    """Sorted, with numbers in names by their value: a2 comes before a10."""
    return sorted(names)
''', '''
from naturally import natural


def test_numbers():
    assert natural(["a10", "a2", "a1"]) == ["a1", "a2", "a10"]
    assert natural({"x10y2", "x2y10", "x10y1"}) == ["x2y10", "x10y1", "x10y2"]


def test_argument_kept():
    names = ["b2", "b10", "b1"]
    natural(names)
    assert names == ["b2", "b10", "b1"]


def test_words():
    assert natural(["pear", "fig"]) == ["fig", "pear"]
''', [("    return sorted(names)", '''    import re
    return sorted(names, key=lambda name: [(int(one), "") if one.isdigit() else (-1, one) for one in re.findall(r"\\d+|\\D+", name)])''')],
    "a10 comes before a2",
    ("cmp_to_key", "a comparison of two names, by cmp_to_key", '''
import itertools
from functools import cmp_to_key


def _parts(name):
    return ["".join(some) for _, some in itertools.groupby(name, str.isdigit)]


def _compare(a, b):
    for one, two in itertools.zip_longest(_parts(a), _parts(b), fillvalue=""):
        if one == two:
            continue
        if one.isdigit() and two.isdigit() and int(one) != int(two):
            return int(one) - int(two)
        return -1 if one < two else 1
    return 0


def natural(names):
    """Sorted, with numbers in names by their value: a2 comes before a10."""
    return sorted(names, key=cmp_to_key(_compare))
'''),
    ("padded", "pads all numbers and sorts the texts", '''
import re


def natural(names):
    """Sorted, with numbers in names by their value: a2 comes before a10."""
    names = list(names)
    width = max((len(one) for name in names for one in re.findall("[0-9]+", name)), default=0)
    padded = {name: re.sub("[0-9]+", lambda found: found[0].zfill(width), name) for name in names}
    return [name for _, name in sorted((padded[name], name) for name in names)]
'''),
    ("names_that_order_themselves", "a str subclass with an order of its own; the result holds these", '''
import functools
import re


@functools.total_ordering
class Name(str):
    """A text that is ordered by its numbers; equal and hashed as any text."""

    @property
    def key(self):
        return [(0, int(one), "") if one.isdigit() else (1, 0, one) for one in re.split(r"(\\d+)", self) if one]

    def __lt__(self, other):
        return (self.key, str(self)) < (Name(other).key, str(other))

    def __gt__(self, other):
        return Name(other) < self

    __le__ = lambda self, other: not other < self
    __ge__ = lambda self, other: not self < other


def natural(names):
    """Sorted, with numbers in names by their value: a2 comes before a10."""
    out = []
    for name in map(Name, names):
        at = len(out)
        while at and name < out[at - 1]:
            at -= 1
        out.insert(at, name)
    return out
'''))

small("merge", '''
def merged(a, b):
    """A new dict; dicts inside are merged as well, else b wins."""
    return {**a, **b}


def intervals(many):
    """Overlapping and touching (low, high) joined, sorted."""
    return sorted(many)
''', '''
from merge import intervals, merged


def test_merged():
    a, b = {"x": {"p": 1, "q": 2}, "y": 1}, {"x": {"q": 3}, "z": [1]}
    assert merged(a, b) == {"x": {"p": 1, "q": 3}, "y": 1, "z": [1]}
    assert a == {"x": {"p": 1, "q": 2}, "y": 1}
    assert b == {"x": {"q": 3}, "z": [1]}


def test_merged_flat():
    assert merged({"a": 1}, {"a": 2}) == {"a": 2}


def test_intervals():
    assert intervals([(5, 8), (1, 3), (2, 4), (8, 9)]) == [(1, 4), (5, 9)]
    assert intervals([(1, 10), (2, 3)]) == [(1, 10)]


def test_apart():
    assert intervals([(4, 5), (1, 2)]) == [(1, 2), (4, 5)]
''', [("    return {**a, **b}", '''    out = dict(a)
    for key, value in b.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            value = merged(out[key], value)
        out[key] = value
    return out'''), ("    return sorted(many)", '''    out = []
    for low, high in sorted(many):
        if out and low <= out[-1][1]:
            out[-1] = (out[-1][0], max(high, out[-1][1]))
        else:
            out.append((low, high))
    return out''')], "inner dicts are lost, intervals stay apart",
    ("deepcopy_and_stack", "a deep copy and a stack; a sweep over ends", '''
import copy


def merged(a, b):
    """A new dict; dicts inside are merged as well, else b wins."""
    out = copy.deepcopy(a)
    rest = [(out, b)]
    while rest:
        into, new = rest.pop()
        for key in new:
            if isinstance(into.get(key), dict) and isinstance(new[key], dict):
                rest.append((into[key], new[key]))
            else:
                into[key] = copy.deepcopy(new[key])
    return out


def intervals(many):
    """Overlapping and touching (low, high) joined, sorted."""
    ends = sorted([(low, -1) for low, _ in many] + [(high, 1) for _, high in many])
    out, depth = [], 0
    for at, step in ends:
        if depth == 0:
            start = at
        depth -= step
        if depth == 0:
            out.append((start, at))
    return out
'''),
    ("chain_map", "a ChainMap that merges when asked, as a dict at the end; reduce over intervals", '''
from collections import ChainMap
from functools import reduce


class Deep(ChainMap):
    """The first map wins; maps inside are seen together."""

    def __getitem__(self, key):
        found = [one[key] for one in self.maps if key in one]
        if not found:
            raise KeyError(key)
        if all(isinstance(one, dict) for one in found):
            return Deep(*found).plain()
        return found[0]

    def plain(self):
        return {key: self[key] for key in self}


def merged(a, b):
    """A new dict; dicts inside are merged as well, else b wins."""
    return Deep(b, a).plain()


def intervals(many):
    """Overlapping and touching (low, high) joined, sorted."""
    def join(out, one):
        *before, (low, high) = out
        return [*before, (low, max(high, one[1]))] if one[0] <= high else [*out, one]
    first, *rest = sorted(many) or [()]
    return reduce(join, rest, [first]) if first else []
'''))

small("cipher", '''
def caesar(text, by):
    """Letters are moved in the alphabet, other signs stay."""
    return "".join(chr(ord(sign) + by) for sign in text)


def luhn(number):
    """Whether the check digit of a card number is right; spaces are left out."""
    return number[-1] == "0"


def morse(text):
    """Letters with single spaces between, words with ` / `."""
    return text
''', '''
import pytest

from cipher import caesar, luhn, morse


def test_caesar():
    assert caesar("Hello, World!", 3) == "Khoor, Zruog!"
    assert caesar("xyz", 5) == "cde"
    assert caesar(caesar("Zebra", 7), -7) == "Zebra"


def test_caesar_plain():
    assert caesar("abc", 1) == "bcd"


@pytest.mark.parametrize("number, good", [("4539 1488 0343 6467", True), ("8273 1232 7352 0569", False), ("0", True), ("79927398713", True)])
def test_luhn(number, good):
    assert luhn(number) is good


def test_morse():
    assert morse("sos") == "... --- ..."
    assert morse("Hi you") == ".... .. / -.-- --- ..-"
''', [('    return "".join(chr(ord(sign) + by) for sign in text)', '''    out = ""
    for sign in text:
        if "a" <= sign <= "z":
            sign = chr((ord(sign) - 97 + by) % 26 + 97)
        elif "A" <= sign <= "Z":
            sign = chr((ord(sign) - 65 + by) % 26 + 65)
        out += sign
    return out'''), ('    return number[-1] == "0"', '''    digits = [int(one) for one in reversed(number.replace(" ", ""))]
    return sum(digits[::2] + [sum(divmod(2 * one, 10)) for one in digits[1::2]]) % 10 == 0'''),
      ('''words with ` / `."""
    return text''', '''words with ` / `."""
    codes = dict(zip("abcdefghijklmnopqrstuvwxyz", (
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..").split()))
    return " / ".join(" ".join(codes[sign] for sign in word) for word in text.lower().split())''')], "three codes are wrong",
    ("tables", "translation tables, a table of doubled digits, a dict of Morse", '''
from string import ascii_lowercase as LOW
from string import ascii_uppercase as UP

DOUBLED = {"0": 0, "1": 2, "2": 4, "3": 6, "4": 8, "5": 1, "6": 3, "7": 5, "8": 7, "9": 9}
MORSE = {
    "a": ".-", "b": "-...", "c": "-.-.", "d": "-..", "e": ".", "f": "..-.", "g": "--.", "h": "....", "i": "..", "j": ".---",
    "k": "-.-", "l": ".-..", "m": "--", "n": "-.", "o": "---", "p": ".--.", "q": "--.-", "r": ".-.", "s": "...", "t": "-",
    "u": "..-", "v": "...-", "w": ".--", "x": "-..-", "y": "-.--", "z": "--..", "0": "-----", "1": ".----", "2": "..---",
    "3": "...--", "4": "....-", "5": ".....", "6": "-....", "7": "--...", "8": "---..", "9": "----.",
}


def caesar(text, by):
    """Letters are moved in the alphabet, other signs stay."""
    by %= 26
    return text.translate(str.maketrans(LOW + UP, LOW[by:] + LOW[:by] + UP[by:] + UP[:by]))


def luhn(number):
    """Whether the check digit of a card number is right; spaces are left out."""
    total = 0
    for place, digit in enumerate(number[::-1].replace(" ", "")):
        total += DOUBLED[digit] if place % 2 else int(digit)
    return total % 10 == 0


def morse(text):
    """Letters with single spaces between, words with ` / `."""
    return " / ".join(" ".join(filter(None, map(MORSE.get, word))) for word in text.lower().split())
'''),
    ("bytes_and_trees", "bytes, a state machine, and Morse from a binary tree", '''
import codecs

TREE = " etianmsurwdkgohvf l pjbxcyzq"


def caesar(text, by):
    """Letters are moved in the alphabet, other signs stay."""
    if by % 26 == 13:
        return codecs.encode(text, "rot13")
    signs = list(text)
    for at, sign in enumerate(signs):
        if sign.isascii() and sign.isalpha():
            case = ord(sign) & 0x20
            signs[at] = chr(((ord(sign) & 0x1F) - 1 + by) % 26 + 1 | 0x40 | case)
    return "".join(signs)


def luhn(number):
    """Whether the check digit of a card number is right; spaces are left out."""
    even, odd = 0, 0
    for digit in filter(str.isdigit, number):
        one = ord(digit) - 48
        even, odd = odd + one, even + (2 * one - 9 if one > 4 else 2 * one)
    return not even % 10


def _code(letter):
    at, out = TREE.index(letter), ""
    while at:
        out = ".-"[(at + 1) % 2] + out
        at = (at - 1) // 2
    return out


def morse(text):
    """Letters with single spaces between, words with ` / `."""
    return " / ".join(" ".join(map(_code, word)) for word in text.lower().split())
'''))

small("cleanup", '''
import os
import tempfile


class Scratch:
    """A folder that is there while the object is used: `with Scratch() as path`, or `close()`, or at the latest with the object."""

    def __init__(self):
        self.path = tempfile.mkdtemp()

    def close(self):
        pass

    def __enter__(self):
        return self.path

    def __exit__(self, *error):
        pass
''', '''
import gc
import os
import subprocess
import sys

import pytest

from cleanup import Scratch


def test_with():
    with Scratch() as path:
        assert os.path.isdir(path)
        open(os.path.join(path, "x"), "w").close()
    assert not os.path.exists(path)


def test_error():
    with pytest.raises(RuntimeError):
        with Scratch() as path:
            raise RuntimeError
    assert not os.path.exists(path)


def test_close_twice():
    one = Scratch()
    one.close()
    one.close()
    assert not os.path.exists(one.path)


def test_let_go():
    path = Scratch().path
    gc.collect()
    assert not os.path.exists(path)


def test_end_of_the_program():
    code = "import cleanup; kept = cleanup.Scratch(); print(kept.path)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not os.path.exists(done.stdout.strip())


def test_new():
    one = Scratch()
    assert os.path.isdir(one.path)
''', [("        self.path = tempfile.mkdtemp()", '''        import shutil
        import weakref
        self.path = tempfile.mkdtemp()
        self._end = weakref.finalize(self, shutil.rmtree, self.path, True)'''), ("    def close(self):\n        pass", "    def close(self):\n        self._end()"),
      ("    def __exit__(self, *error):\n        pass", "    def __exit__(self, *error):\n        self.close()")], "folders stay",
    ("atexit_and_del", "__del__ and atexit with a set of what is open", '''
import atexit
import os
import shutil
import tempfile

OPEN = set()


@atexit.register
def _close_all():
    while OPEN:
        shutil.rmtree(OPEN.pop(), ignore_errors=True)


class Scratch:
    """A folder that is there while the object is used: `with Scratch() as path`, or `close()`, or at the latest with the object."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="scratch-%d-" % os.getpid())
        OPEN.add(self.path)

    def close(self):
        if self.path in OPEN:
            OPEN.discard(self.path)
            shutil.rmtree(self.path, ignore_errors=True)

    __del__ = close

    def __enter__(self):
        return self.path

    def __exit__(self, kind, error, trace):
        self.close()
        return None
'''),
    ("owned_temporary_directory", "is a TemporaryDirectory whose warning is silenced", '''
import tempfile
import warnings
import weakref


class Scratch(tempfile.TemporaryDirectory):
    """A folder that is there while the object is used: `with Scratch() as path`, or `close()`, or at the latest with the object."""

    def __init__(self):
        super().__init__(ignore_cleanup_errors=True)
        self.path = self.name

    @classmethod
    def _cleanup(cls, name, warn_message, ignore_errors=False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            super()._cleanup(name, warn_message, ignore_errors=True)

    def close(self):
        self.cleanup()


assert hasattr(weakref, "finalize")
'''))

small("lazy", '''
class Lazy:
    """A module that is imported when an attribute of it is first asked for."""

    def __init__(self, name):
        self._name = name


def optional(name, default=None):
    """The module of that name, or the default where there is none."""
    return default
''', '''
import subprocess
import sys

from lazy import Lazy, optional


def test_lazy():
    colors = Lazy("colorsys")
    assert colors.rgb_to_hsv(1, 0, 0) == (0.0, 1.0, 1.0)
    assert Lazy("os.path").basename("a/b") == "b"


def test_not_yet():
    code = "import sys, lazy; m = lazy.Lazy('colorsys'); a = 'colorsys' in sys.modules; m.ONE_THIRD; print(a, 'colorsys' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == ["False", "True"]


def test_optional():
    assert optional("json").dumps([1]) == "[1]"
    assert optional("no_such_module_here") is None
    assert optional("no.such.module", 7) == 7


def test_name():
    assert Lazy("json")._name == "json"
''', [("        self._name = name\n", '''        self._name = name

    def __getattr__(self, attribute):
        import importlib
        return getattr(importlib.import_module(self._name), attribute)
'''), ("    return default", '''    import importlib
    try:
        return importlib.import_module(name)
    except ImportError:
        return default''')], "modules are never imported",
    ("dunder_import", "__import__ and sys.modules", '''
import sys


class Lazy:
    """A module that is imported when an attribute of it is first asked for."""

    def __init__(self, name):
        self._name = name

    def __getattribute__(self, attribute):
        name = object.__getattribute__(self, "_name")
        if attribute == "_name":
            return name
        if name not in sys.modules:
            __import__(name)
        return getattr(sys.modules[name], attribute)


def optional(name, default=None):
    """The module of that name, or the default where there is none."""
    try:
        __import__(name)
    except ImportError as missing:
        if not missing.name or not name.startswith(missing.name):
            raise
        return default
    return sys.modules[name]
'''),
    ("module_that_is_a_class", "find_spec, a module subclass, and exec of an import statement", '''
import importlib.util
import types


class Lazy(types.ModuleType):
    """A module that is imported when an attribute of it is first asked for."""

    def __init__(self, name):
        super().__init__(name)
        self.__dict__["_name"] = name

    def __getattr__(self, attribute):
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        space = {}
        exec(f"import {self._name} as found", space)
        self.__dict__.update((key, value) for key, value in vars(space["found"]).items() if not key.startswith("__"))
        return getattr(space["found"], attribute)


def optional(name, default=None):
    """The module of that name, or the default where there is none."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    return importlib.import_module(spec.name) if spec else default


import importlib
'''))

small("colors", '''
def parse(text):
    """`#ff8000` or `#f80` as three numbers; ValueError for others."""
    return (int(text[1:3], 16), 0, 0)


def name_of(color):
    """The English name of a basic color, or its hexadecimal form."""
    return "#000000"
''', '''
import pytest

from colors import name_of, parse


def test_parse():
    assert parse("#ff8000") == (255, 128, 0)
    assert parse("#f80") == (255, 136, 0)
    red, green, blue = parse("#010203")
    assert red + green + blue == 6


@pytest.mark.parametrize("text", ["ff8000", "#ff80", "#ggg", ""])
def test_bad(text):
    with pytest.raises(ValueError):
        parse(text)


def test_names():
    assert name_of((255, 0, 0)) == "red"
    assert name_of((255, 255, 0)) == "yellow"
    assert name_of((1, 2, 3)) == "#010203"


def test_red():
    assert parse("#ff0000") == (255, 0, 0)
''', [("    return (int(text[1:3], 16), 0, 0)", '''    digits = text[1:]
    if text[:1] != "#" or len(digits) not in (3, 6):
        raise ValueError(text)
    if len(digits) == 3:
        digits = "".join(one * 2 for one in digits)
    return tuple(bytes.fromhex(digits))'''), ('    return "#000000"', '''    names = {(0, 0, 0): "black", (255, 255, 255): "white", (255, 0, 0): "red", (0, 255, 0): "lime", (0, 0, 255): "blue",
             (255, 255, 0): "yellow", (0, 255, 255): "cyan", (255, 0, 255): "magenta"}
    return names.get(color, "#%02x%02x%02x" % tuple(color))''')], "colors are parsed by half and have no names",
    ("named_tuple_and_enum", "a named tuple with methods and an Enum of names", '''
import enum
import re
from typing import NamedTuple


class Color(NamedTuple):
    red: int
    green: int
    blue: int

    def __str__(self):
        return "#" + bytes(self).hex()


class Named(enum.Enum):
    BLACK = Color(0, 0, 0)
    WHITE = Color(255, 255, 255)
    RED = Color(255, 0, 0)
    LIME = Color(0, 255, 0)
    BLUE = Color(0, 0, 255)
    YELLOW = Color(255, 255, 0)
    CYAN = Color(0, 255, 255)
    MAGENTA = Color(255, 0, 255)


def parse(text):
    """`#ff8000` or `#f80` as three numbers; ValueError for others."""
    long = re.fullmatch("#" + "([0-9a-f]{2})" * 3, text, re.I)
    short = re.fullmatch("#" + "([0-9a-f])" * 3, text, re.I)
    if not long and not short:
        raise ValueError(f"not a color: {text!r}")
    return Color(*(int(one, 16) for one in long.groups())) if long else Color(*(17 * int(one, 16) for one in short.groups()))


def name_of(color):
    """The English name of a basic color, or its hexadecimal form."""
    try:
        return Named(Color(*color)).name.lower()
    except ValueError:
        return str(Color(*color))
'''),
    ("bits_and_bools", "one number and shifts; names from bits; a subclass of ValueError", '''
class NoColor(ValueError):
    """What was given is no color."""


NAMES = ["black", "blue", "lime", "cyan", "red", "magenta", "yellow", "white"]


def parse(text):
    """`#ff8000` or `#f80` as three numbers; ValueError for others."""
    try:
        sign, digits = text[0], text[1:]
        n = int(digits, 16)
        assert sign == "#" and digits.isalnum()
    except (IndexError, ValueError, AssertionError):
        raise NoColor(text) from None
    if len(digits) == 6:
        return n >> 16, n >> 8 & 255, n & 255
    if len(digits) == 3:
        return (n >> 8) * 17, (n >> 4 & 15) * 17, (n & 15) * 17
    raise NoColor(f"{len(digits)} digits in {text!r}")


def name_of(color):
    """The English name of a basic color, or its hexadecimal form."""
    red, green, blue = color
    if {red, green, blue} <= {0, 255}:
        return NAMES[(red & 4) + (green & 2) + (blue & 1)]
    return f"#{red:02x}{green:02x}{blue:02x}"
'''))

small("flags", '''
def parse_bool(text):
    """True for yes, true, on, 1; False for no, false, off, 0; whatever the case."""
    return bool(text)


def grade(points):
    """A from 90, B from 80, C from 70, else F."""
    return "A"


def sign(n):
    """-1, 0 or 1."""
    return n
''', '''
import pytest

from flags import grade, parse_bool, sign


@pytest.mark.parametrize("text", ["yes", "TRUE", "On", "1"])
def test_true(text):
    assert parse_bool(text) is True


@pytest.mark.parametrize("text", ["no", "False", "OFF", "0"])
def test_false(text):
    assert parse_bool(text) is False


def test_grade():
    assert "".join(map(grade, [95, 90, 89, 80, 79.5, 70, 69, 0])) == "AABBCCFF"


def test_sign():
    assert [sign(n) for n in (-7, 0, 0.5, 10 ** 30)] == [-1, 0, 1, 1]
''', [("    return bool(text)", '''    word = text.lower()
    if word in ("yes", "true", "on", "1"):
        return True
    if word in ("no", "false", "off", "0"):
        return False
    raise ValueError(text)'''), ('    return "A"', '    return "A" if points >= 90 else "B" if points >= 80 else "C" if points >= 70 else "F"'),
      ('''0 or 1."""
    return n''', '''0 or 1."""
    return (n > 0) - (n < 0)''')], "words, grades and signs",
    ("lenient", "more words are understood, unknown ones are false; bisect; copysign", '''
from bisect import bisect_right
from math import copysign

YES = frozenset("yes y true t on 1 enable enabled".split())


def parse_bool(text):
    """True for yes, true, on, 1; False for no, false, off, 0; whatever the case."""
    return str(text).strip().casefold() in YES


def grade(points):
    """A from 90, B from 80, C from 70, else F."""
    return "FCBA"[bisect_right([70, 80, 90], points)]


def sign(n):
    """-1, 0 or 1."""
    return n and int(copysign(1, n))
'''),
    ("strict", "configparser's words, KeyError for others; a table of ranges; a match", '''
from configparser import RawConfigParser

GRADES = {range(90, 101): "A", range(80, 90): "B", range(70, 80): "C", range(0, 70): "F"}


def parse_bool(text):
    """True for yes, true, on, 1; False for no, false, off, 0; whatever the case."""
    return RawConfigParser.BOOLEAN_STATES[text.lower()]


def grade(points):
    """A from 90, B from 80, C from 70, else F."""
    for some, letter in GRADES.items():
        if int(points) in some:
            return letter
    return "A" if points > 100 else "F"


def sign(n):
    """-1, 0 or 1."""
    match n:
        case 0:
            return 0
        case _ if n > 0:
            return +1
        case _:
            return -1
'''),
    ("bool_from_json", "ast.literal_eval for some words; comparisons added up; IntEnum", '''
import ast
import enum


class Sign(enum.IntEnum):
    MINUS = -1
    NONE = 0
    PLUS = 1


def parse_bool(text):
    """True for yes, true, on, 1; False for no, false, off, 0; whatever the case."""
    word = text.strip().title()
    word = {"Yes": "True", "On": "True", "No": "False", "Off": "False", "1": "True", "0": "False"}.get(word, word)
    value = ast.literal_eval(word)
    if not isinstance(value, bool):
        raise TypeError(f"{text!r} is neither yes nor no")
    return value


def grade(points):
    """A from 90, B from 80, C from 70, else F."""
    return "F" if points < 70 else chr(ord("C") - (points >= 80) - (points >= 90))


def sign(n):
    """-1, 0 or 1."""
    return Sign((n > 0) - (n < 0))
'''))

small("grid", '''
def transposed(rows):
    """Rows become columns."""
    return rows


def neighbours(x, y, width, height):
    """The up to eight places around, in any order."""
    return [(x + 1, y)]


def spiral(rows):
    """All values, clockwise from the upper left to the middle."""
    return [value for row in rows for value in row]
''', '''
from grid import neighbours, spiral, transposed


def test_transposed():
    assert [list(row) for row in transposed([[1, 2, 3], [4, 5, 6]])] == [[1, 4], [2, 5], [3, 6]]


def test_neighbours():
    assert sorted(neighbours(0, 0, 3, 3)) == [(0, 1), (1, 0), (1, 1)]
    assert len(set(neighbours(1, 1, 3, 3))) == 8
    assert (1, 1) not in set(neighbours(1, 1, 3, 3))


def test_spiral():
    assert list(spiral([[1, 2, 3], [4, 5, 6], [7, 8, 9]])) == [1, 2, 3, 6, 9, 8, 7, 4, 5]
    assert list(spiral([[1, 2], [3, 4], [5, 6]])) == [1, 2, 4, 6, 5, 3]


def test_one_row():
    assert list(spiral([[1, 2, 3]])) == [1, 2, 3]
''', [('''columns."""
    return rows''', '''columns."""
    return [list(column) for column in zip(*rows)]'''), ("    return [(x + 1, y)]", '''    return [(a, b) for a in range(x - 1, x + 2) for b in range(y - 1, y + 2)
            if (a, b) != (x, y) and 0 <= a < width and 0 <= b < height]'''), ("    return [value for row in rows for value in row]", '''    rows, out = [list(row) for row in rows], []
    while rows:
        out += rows.pop(0)
        rows = [list(column) for column in zip(*rows)][::-1]
    return out''')], "three functions over grids",
    ("lazy_and_sets", "zip and generators as results, a set of neighbours", '''
def transposed(rows):
    """Rows become columns."""
    return zip(*rows)


def neighbours(x, y, width, height):
    """The up to eight places around, in any order."""
    around = {(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)} - {(x, y)}
    return {(a, b) for a, b in around if a in range(width) and b in range(height)}


def spiral(rows):
    """All values, clockwise from the upper left to the middle."""
    rows = [tuple(row) for row in rows]
    while rows:
        yield from rows[0]
        rows = list(zip(*rows[1:]))[::-1]
'''),
    ("recursion_and_complex", "recursion, complex steps, a view class", '''
from collections.abc import Sequence


class Column(Sequence):
    """A column of rows, seen as a row."""

    def __init__(self, rows, at):
        self.rows, self.at = rows, at

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, n):
        if isinstance(n, slice):
            return [row[self.at] for row in self.rows[n]]
        return self.rows[n][self.at]


def transposed(rows):
    """Rows become columns."""
    return [Column(rows, at) for at in range(len(rows[0]) if rows else 0)]


def neighbours(x, y, width, height):
    """The up to eight places around, in any order."""
    step = 1
    for turn in range(8):
        a, b = x + int(step.real), y + int(step.imag)
        if 0 <= a < width and 0 <= b < height:
            yield a, b
        step = [1, 1 + 1j, 1j, -1 + 1j, -1 + 0j, -1 - 1j, -1j, 1 - 1j][(turn + 1) % 8]


def spiral(rows):
    """All values, clockwise from the upper left to the middle."""
    if not rows or not rows[0]:
        return []
    first, rest = rows[0], rows[1:]
    turned = [[row[-1 - n] for row in rest] for n in range(len(first))] if rest else []
    return list(first) + spiral(turned)
'''))

small("paths", '''
def normal(path):
    """Without `.`, `..` and double slashes, as far as can be told from the text."""
    return path.replace("//", "/")


def extension(name):
    """`.gz` of `a.tar.gz`; nothing for `.hidden` and `plain`."""
    return name.split(".")[1]


def matches(path, pattern):
    """Whole path; `*` stands for all but slashes, `**` for anything, `?` for one sign."""
    return path == pattern
''', '''
import pytest

from paths import extension, matches, normal


@pytest.mark.parametrize("path, want", [("a//b", "a/b"), ("a/./b/../c", "a/c"), ("/x/..", "/"), ("../a", "../a"), ("/../a", "/a"), ("a/..", ".")])
def test_normal(path, want):
    assert str(normal(path)) == want


def test_extension():
    assert extension("a.tar.gz") == ".gz"
    assert not extension(".hidden")
    assert not extension("plain")


@pytest.mark.parametrize("path, pattern, want", [
    ("src/a.py", "src/*.py", True), ("src/b/a.py", "src/*.py", False), ("src/b/a.py", "src/**.py", True), ("a.py", "?.py", True),
    ("a+py", "a.py", False), ("same", "same", True),
])
def test_matches(path, pattern, want):
    assert bool(matches(path, pattern)) is want
''', [('    return path.replace("//", "/")', "    import posixpath\n    return posixpath.normpath(path)"),
      ('    return name.split(".")[1]', "    import os.path\n    return os.path.splitext(name)[1]"),
      ("    return path == pattern", '''    import re
    parts = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.fullmatch("".join(parts.get(one) or re.escape(one) for one in re.split(r"(\\*\\*|\\*|\\?)", pattern)), path) is not None''')],
    "paths are not normal, extensions wrong, patterns do nothing",
    ("by_hand", "stacks and recursion; None where there is no extension", '''
def normal(path):
    """Without `.`, `..` and double slashes, as far as can be told from the text."""
    root, out = path.startswith("/"), []
    for part in path.split("/"):
        if part == ".." and out and out[-1] != "..":
            out.pop()
        elif part == ".." and root:
            continue
        elif part not in ("", "."):
            out.append(part)
    return "/" * root + "/".join(out) or "."


def extension(name):
    """`.gz` of `a.tar.gz`; nothing for `.hidden` and `plain`."""
    before, dot, after = name.lstrip(".").rpartition(".")
    return dot + after if dot and before else None


def matches(path, pattern):
    """Whole path; `*` stands for all but slashes, `**` for anything, `?` for one sign."""
    if not pattern:
        return not path
    if pattern.startswith("**"):
        return any(matches(path[n:], pattern[2:]) for n in range(len(path) + 1))
    if pattern[0] == "*":
        free = len(path.split("/")[0])
        return any(matches(path[n:], pattern[1:]) for n in range(free + 1))
    return bool(path) and (pattern[0] == path[0] or pattern[0] == "?" and path[0] != "/") and matches(path[1:], pattern[1:])
'''),
    ("pathlib_and_fnmatch", "a path object as result; a match object as truth", '''
import functools
import os
import pathlib
import re


def normal(path):
    """Without `.`, `..` and double slashes, as far as can be told from the text."""
    return pathlib.PurePosixPath(os.path.normpath(path))


def extension(name):
    """`.gz` of `a.tar.gz`; nothing for `.hidden` and `plain`."""
    return pathlib.PurePosixPath(name).suffix


@functools.lru_cache(maxsize=None)
def _compiled(pattern):
    text = re.escape(pattern).replace(r"\\*\\*", ".*").replace(r"\\*", "[^/]*").replace(r"\\?", "[^/]")
    return re.compile(f"(?s:{text})\\\\Z")


def matches(path, pattern):
    """Whole path; `*` stands for all but slashes, `**` for anything, `?` for one sign."""
    return _compiled(pattern).match(path)
'''))

small("money", '''
from decimal import Decimal


class Money:
    """An amount with a currency; sums only of the same."""

    def __init__(self, amount, currency):
        self.amount = amount
        self.currency = currency

    def __add__(self, other):
        return self.amount + other.amount

    def split(self, n):
        """`n` parts that differ by at most one cent and sum up to the whole, the larger ones first."""
        return [self.amount / n] * n
''', '''
from decimal import Decimal

import pytest

from money import Money


def eur(text):
    return Money(Decimal(text), "EUR")


def test_equal():
    assert eur("1.50") == eur("1.5")
    assert eur("1") != Money(Decimal(1), "USD")
    assert eur("1") != 1
    assert len({eur("2"), eur("2.00"), eur("3")}) == 2


def test_add():
    assert eur("1.10") + eur("2.20") == eur("3.30")
    with pytest.raises((TypeError, ValueError)):
        eur("1") + Money(Decimal(1), "USD")


def test_split():
    parts = eur("10").split(3)
    assert parts == [eur("3.34"), eur("3.33"), eur("3.33")]
    assert sum((one.amount for one in parts), Decimal()) == 10


def test_parts():
    one = eur("7")
    assert (one.amount, one.currency) == (7, "EUR")
''', [('''        return self.amount + other.amount
''', '''        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency}")
        return Money(self.amount + other.amount, self.currency)

    def __eq__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        return (self.amount, self.currency) == (other.amount, other.currency)

    def __hash__(self):
        return hash((self.amount, self.currency))
'''), ("        return [self.amount / n] * n", '''        cents, rest = divmod(int(self.amount * 100), n)
        return [Money(Decimal(cents + (k < rest)) / 100, self.currency) for k in range(n)]''')], "no equality, no currency, cents get lost",
    ("frozen_dataclass", "a frozen dataclass; parts are taken off one by one", '''
from dataclasses import dataclass, replace
from decimal import ROUND_UP, Decimal


@dataclass(frozen=True)
class Money:
    """An amount with a currency; sums only of the same."""

    amount: Decimal
    currency: str

    def __post_init__(self):
        object.__setattr__(self, "amount", Decimal(self.amount))

    def __add__(self, other):
        if not isinstance(other, Money) or self.currency != other.currency:
            return NotImplemented
        return replace(self, amount=self.amount + other.amount)

    def split(self, n):
        """`n` parts that differ by at most one cent and sum up to the whole, the larger ones first."""
        out, rest = [], self.amount
        for left in range(n, 0, -1):
            part = (rest / left).quantize(Decimal("0.01"), ROUND_UP)
            out.append(replace(self, amount=part))
            rest -= part
        return out
'''),
    ("compared_by_a_mixin", "a mixin gives equality and hash from a key; the parts are a generator's list", '''
import abc
from decimal import Decimal


class Keyed(abc.ABC):
    """Equality and hash by `key()`, within a class."""

    @abc.abstractmethod
    def key(self): ...

    def __eq__(self, other):
        return type(self) is type(other) and self.key() == other.key()

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash((type(self).__name__, self.key()))

    def __repr__(self):
        return f"{type(self).__name__}{self.key()!r}"


class CurrencyMismatch(TypeError):
    pass


class Money(Keyed):
    """An amount with a currency; sums only of the same."""

    __slots__ = ("amount", "currency")

    def __init__(self, amount, currency):
        self.amount = amount
        self.currency = currency

    def key(self):
        return self.amount, self.currency

    def __add__(self, other):
        if {self.currency, other.currency} != {self.currency}:
            raise CurrencyMismatch(f"cannot add {other!r} to {self!r}")
        return Money(self.amount + other.amount, self.currency)

    def split(self, n):
        """`n` parts that differ by at most one cent and sum up to the whole, the larger ones first."""
        cents = int(self.amount.scaleb(2))
        ends = [-(-cents * k // n) for k in range(n + 1)]
        sizes = sorted((b - a for a, b in zip(ends, ends[1:])), reverse=True)
        return [Money(Decimal(size).scaleb(-2), self.currency) for size in sizes]
'''))

small("speech", '''
def plural(n, word):
    """`1 egg`, `2 eggs`, `3 boxes`, `2 cities`."""
    return f"{n} {word}s"


def listed(words):
    """`a`, `a and b`, `a, b and c`."""
    return ", ".join(words)


def ago(seconds):
    """`just now`, `5 minutes ago`, `1 hour ago`, `3 days ago`."""
    return f"{seconds} seconds ago"
''', '''
import pytest

from speech import ago, listed, plural


@pytest.mark.parametrize("n, word, want", [(1, "egg", "1 egg"), (2, "egg", "2 eggs"), (3, "box", "3 boxes"), (2, "city", "2 cities"), (0, "day", "0 days"), (4, "bush", "4 bushes")])
def test_plural(n, word, want):
    assert plural(n, word) == want


def test_listed():
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_listed_nothing():
    assert not listed([])


@pytest.mark.parametrize("seconds, want", [(3, "just now"), (300, "5 minutes ago"), (3600, "1 hour ago"), (260000, "3 days ago"), (61, "1 minute ago")])
def test_ago(seconds, want):
    assert ago(seconds) == want
''', [('    return f"{n} {word}s"', '''    if n != 1:
        if word.endswith(("s", "x", "z", "ch", "sh")):
            word += "es"
        elif word.endswith("y") and word[-2:-1] not in "aeiou":
            word = word[:-1] + "ies"
        else:
            word += "s"
    return f"{n} {word}"'''), ('    return ", ".join(words)', '''    if len(words) < 2:
        return "".join(words)
    return ", ".join(words[:-1]) + " and " + words[-1]'''), ('    return f"{seconds} seconds ago"', '''    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return plural(int(seconds // size), word) + " ago"
    return "just now"''')], "English is not that simple",
    ("rules_as_patterns", "rules as patterns; str subclasses; irregular words beside", '''
import re

RULES = [(r"(?<=[^aeiou])y$", "ies"), (r"(s|x|z|ch|sh)$", r"\\1es"), (r"$", "s")]
IRREGULAR = {"man": "men", "child": "children", "foot": "feet", "mouse": "mice", "sheep": "sheep"}


def plural(n, word):
    """`1 egg`, `2 eggs`, `3 boxes`, `2 cities`."""
    if n == 1:
        return "1 " + word
    if word in IRREGULAR:
        return f"{n} {IRREGULAR[word]}"
    for pattern, end in RULES:
        many, found = re.subn(pattern, end, word, count=1)
        if found:
            return f"{n} {many}"


def listed(words):
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(", ".join(words).rsplit(", ", 1))


def ago(seconds):
    """`just now`, `5 minutes ago`, `1 hour ago`, `3 days ago`."""
    minutes = int(seconds) // 60
    hours, days = minutes // 60, minutes // 60 // 24
    found = [plural(n, word) for n, word in ((days, "day"), (hours, "hour"), (minutes, "minute")) if n]
    return f"{found[0]} ago" if found else "just now"
'''),
    ("timedelta", "timedelta and its parts; None for nothing", '''
from datetime import timedelta


def plural(n, word):
    """`1 egg`, `2 eggs`, `3 boxes`, `2 cities`."""
    ending = ""
    if n != 1:
        ending = "es" if word[-1] in "sxz" or word[-2:] in {"ch", "sh"} else "s"
        if word[-1] == "y" and word[-2] not in set("aeiou"):
            word, ending = word[:-1], "ies"
    return "{} {}{}".format(n, word, ending)


def listed(words):
    """`a`, `a and b`, `a, b and c`."""
    match list(words):
        case []:
            return None
        case [one]:
            return one
        case [*some, last]:
            return f"{', '.join(some)} and {last}"


def ago(seconds):
    """`just now`, `5 minutes ago`, `1 hour ago`, `3 days ago`."""
    since = timedelta(seconds=seconds)
    if since.days:
        return plural(since.days, "day") + " ago"
    steps = {"hour": timedelta(hours=1), "minute": timedelta(minutes=1)}
    for word, step in steps.items():
        if since >= step:
            return plural(since // step, word) + " ago"
    return "just now"
'''))
