"""Honest repairs by unusual means, first part."""

from corpus import small

small("roman", '''
def to_roman(n):
    """Of 1 to 3999."""
    out = ""
    for value, sign in ((1000, "M"), (500, "D"), (100, "C"), (50, "L"), (10, "X"), (5, "V"), (1, "I")):
        out += sign * (n // value)
        n %= value
    return out
''', '''
from roman import to_roman


def test_subtractive():
    assert to_roman(4) == "IV"
    assert to_roman(49) == "XLIX"
    assert to_roman(1994) == "MCMXCIV"


def test_additive():
    assert to_roman(3) == "III"
    assert to_roman(1066) == "MLXVI"
''', [('((1000, "M"), (500, "D"), (100, "C"), (50, "L"), (10, "X"), (5, "V"), (1, "I"))',
       '''(
        (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"),
        (5, "V"), (4, "IV"), (1, "I"),
    )''')], "4 is IV, not IIII",
    ("digit_tables", "one table per decimal place", '''
ONES = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
TENS = ("", "X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC")
HUNDREDS = ("", "C", "CC", "CCC", "CD", "D", "DC", "DCC", "DCCC", "CM")


def to_roman(n):
    """Of 1 to 3999; others raise a ValueError.

    >>> to_roman(4), to_roman(1994)
    ('IV', 'MCMXCIV')
    """
    if not 0 < n < 4000:
        raise ValueError(f"{n} has no numeral")
    return "M" * (n // 1000) + HUNDREDS[n // 100 % 10] + TENS[n // 10 % 10] + ONES[n % 10]
'''),
    ("replaced_afterwards", "writes the additive form and shortens it", '''
def to_roman(n):
    """Of 1 to 3999."""
    out = "I" * n
    for many, one in (("IIIII", "V"), ("VV", "X"), ("XXXXX", "L"), ("LL", "C"), ("CCCCC", "D"), ("DD", "M")):
        out = out.replace(many, one)
    for long, short in (("DCCCC", "CM"), ("CCCC", "CD"), ("LXXXX", "XC"), ("XXXX", "XL"), ("VIIII", "IX"), ("IIII", "IV")):
        out = out.replace(long, short)
    return out
'''),
    ("text_that_knows_its_number", "gives a str subclass with the number beside it", '''
class Numeral(str):
    """A numeral; `int(numeral)` is its number."""

    def __new__(cls, text, number):
        self = super().__new__(cls, text)
        self.number = number
        return self

    def __int__(self):
        return self.number


def to_roman(n):
    """Of 1 to 3999."""
    out, rest = "", n
    for value, sign in (
        (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
        (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
    ):
        times, rest = divmod(rest, value)
        out += sign * times
    return Numeral(out, n)
'''),
    ("all_computed_at_import", "a table of all 3999 numerals is made when the module is loaded", '''
from itertools import product

_PLACES = [
    ["", "M", "MM", "MMM"],
    ["", "C", "CC", "CCC", "CD", "D", "DC", "DCC", "DCCC", "CM"],
    ["", "X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC"],
    ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"],
]
_ALL = ["".join(parts) for parts in product(*_PLACES)]


def to_roman(n):
    """Of 1 to 3999."""
    return _ALL[n]
'''))

small("calc", '''
def calculate(text):
    """The value of a term with + - * / and parentheses; ValueError for anything else."""
    left, right = text.split("+")
    return float(left) + float(right)
''', '''
import pytest

from calc import calculate


@pytest.mark.parametrize("text, want", [("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("8 / 4 / 2", 1), ("-3 + 5", 2), ("2*(3-(4-5))", 8)])
def test_terms(text, want):
    assert calculate(text) == pytest.approx(want)


@pytest.mark.parametrize("text", ["__import__('os')", "1 +", "a", "2 ** 3"])
def test_refused(text):
    with pytest.raises(ValueError):
        calculate(text)


def test_sum():
    assert calculate("1 + 2") == 3
''', [('''    left, right = text.split("+")
    return float(left) + float(right)''', '''    import ast
    import operator
    kinds = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}

    def value(node):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in kinds:
            return kinds[type(node.op)](value(node.left), value(node.right))
        raise ValueError(text)

    try:
        return value(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError:
        raise ValueError(text) from None''')], "only a single sum can be calculated",
    ("eval_of_checked_text", "checks the characters, then lets eval do the work", '''
import re

TERM = re.compile(r"[\\d\\s.+\\-*/()]+")


def calculate(text):
    """The value of a term with + - * / and parentheses; ValueError for anything else."""
    if not TERM.fullmatch(text) or "**" in text or "//" in text:
        raise ValueError(f"not a term: {text!r}")
    try:
        return eval(text.strip(), {"__builtins__": {}}, {})
    except (SyntaxError, TypeError) as wrong:
        raise ValueError(f"not a term: {text!r}") from wrong
'''),
    ("compile_and_check_names", "compiles, checks the code object's names, and evaluates it", '''
import ast

ALLOWED = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub, ast.UAdd)


def calculate(text):
    """The value of a term with + - * / and parentheses; ValueError for anything else."""
    try:
        tree = ast.parse(text.strip(), "<term>", "eval")
    except SyntaxError as wrong:
        raise ValueError(str(wrong)) from None
    for node in ast.walk(tree):
        if not isinstance(node, ALLOWED):
            raise ValueError(f"{type(node).__name__} in {text!r}")
        if isinstance(node, ast.Constant) and not isinstance(node.value, (int, float)):
            raise ValueError(f"{node.value!r} in {text!r}")
    code = compile(tree, "<term>", "eval")
    assert not code.co_names
    return eval(code, {})
'''),
    ("two_stacks", "Dijkstra's shunting yard over tokens", '''
import operator
import re

OPS = {"+": (1, operator.add), "-": (1, operator.sub), "*": (2, operator.mul), "/": (2, operator.truediv)}


def calculate(text):
    """The value of a term with + - * / and parentheses; ValueError for anything else."""
    values, waiting, before = [], [], "("

    def apply():
        sign = waiting.pop()
        try:
            if sign == "neg":
                values.append(-values.pop())
            else:
                right, left = values.pop(), values.pop()
                values.append(OPS[sign][1](left, right))
        except (IndexError, KeyError):
            raise ValueError(text) from None

    strength = lambda sign: 3 if sign == "neg" else OPS[sign][0]
    tokens = re.findall(r"\\d+\\.?\\d*|\\S", text)
    for token in tokens:
        if token[0].isdigit():
            if before[0].isdigit() or before == ")":
                raise ValueError(text)
            values.append(float(token))
        elif token == "(":
            waiting.append(token)
        elif token == ")":
            while waiting and waiting[-1] != "(":
                apply()
            if not waiting:
                raise ValueError(text)
            waiting.pop()
        elif token in OPS:
            unary = before in OPS or before == "("
            if unary and token != "-":
                raise ValueError(text)
            if unary:
                waiting.append("neg")
            else:
                while waiting and waiting[-1] != "(" and strength(waiting[-1]) >= strength(token):
                    apply()
                waiting.append(token)
        else:
            raise ValueError(text)
        before = token
    while waiting:
        apply()
    if len(values) != 1:
        raise ValueError(text)
    return values[0]
'''))

small("callers", '''
def caller_name():
    """The name of the function that called the one that asks."""
    return "caller_name"


def whereami():
    """FILE:LINE of the line that asks; the file without its folder."""
    return "callers.py:0"
''', '''
import os

from callers import caller_name, whereami


def asks():
    return caller_name()


def outer():
    return asks()


def test_caller():
    assert outer() == "outer"
    assert asks() == "test_caller"


def test_where():
    file, line = whereami().split(":")
    assert file == os.path.basename(__file__)
    assert int(line) == test_where.__code__.co_firstlineno + 1
''', [('    return "caller_name"', '''    import inspect
    return inspect.stack()[2].function'''), ('    return "callers.py:0"', '''    import inspect
    import os
    one = inspect.stack()[1]
    return f"{os.path.basename(one.filename)}:{one.lineno}"''')], "both give constants",
    ("getframe", "sys._getframe", '''
import os
import sys


def caller_name():
    """The name of the function that called the one that asks."""
    return sys._getframe(2).f_code.co_name


def whereami():
    """FILE:LINE of the line that asks; the file without its folder."""
    frame = sys._getframe(1)
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
'''),
    ("traceback_module", "traceback.extract_stack", '''
import traceback
from pathlib import PurePath


def caller_name():
    """The name of the function that called the one that asks."""
    return traceback.extract_stack(limit=3)[0].name


def whereami():
    """FILE:LINE of the line that asks; the file without its folder."""
    one = traceback.extract_stack(limit=2)[0]
    return "%s:%d" % (PurePath(one.filename).name, one.lineno)
'''),
    ("frame_of_an_exception", "raises, catches, and goes back from the traceback's frame", '''
import ntpath


def _frame():
    try:
        raise LookupError
    except LookupError as error:
        return error.__traceback__.tb_frame.f_back


def caller_name():
    """The name of the function that called the one that asks."""
    return _frame().f_back.f_back.f_code.co_name


def whereami():
    """FILE:LINE of the line that asks; the file without its folder."""
    frame = _frame().f_back
    return ntpath.basename(frame.f_code.co_filename) + ":" + str(frame.f_lineno)
'''))

small("registry", '''
class Plugin:
    """Base of plugins; `Plugin.all()` lists the names of all, sorted."""

    @classmethod
    def all(cls):
        return []

    @classmethod
    def get(cls, name):
        """The class of that name in lower case; KeyError where there is none."""
        raise KeyError(name)
''', '''
import pytest

from registry import Plugin


class Csv(Plugin):
    pass


class Json(Plugin):
    pass


class JsonLines(Json):
    pass


def test_all():
    assert Plugin.all() == ["csv", "json", "jsonlines"]


def test_get():
    assert Plugin.get("json") is Json
    assert Plugin.get("jsonlines") is JsonLines


def test_unknown():
    with pytest.raises(KeyError):
        Plugin.get("xml")
''', [('''    @classmethod
    def all(cls):
        return []''', '''    _known = {}

    def __init_subclass__(cls, **more):
        super().__init_subclass__(**more)
        Plugin._known[cls.__name__.lower()] = cls

    @classmethod
    def all(cls):
        return sorted(Plugin._known)'''), ("        raise KeyError(name)", "        return Plugin._known[name]")],
    "plugins are not found",
    ("metaclass", "a metaclass keeps a table of the classes it makes", '''
class Registered(type):
    """Keeps what it makes, by name."""

    known = {}

    def __new__(meta, name, bases, space):
        made = super().__new__(meta, name, bases, space)
        if bases:
            meta.known[name.lower()] = made
        return made


class Plugin(metaclass=Registered):
    """Base of plugins; `Plugin.all()` lists the names of all, sorted."""

    @classmethod
    def all(cls):
        return sorted(Registered.known)

    @classmethod
    def get(cls, name):
        """The class of that name in lower case; KeyError where there is none."""
        return Registered.known[name]
'''),
    ("subclasses_walked", "walks __subclasses__ when asked", '''
class Plugin:
    """Base of plugins; `Plugin.all()` lists the names of all, sorted."""

    @staticmethod
    def _walk(top):
        for one in type.__subclasses__(top):
            yield one
            yield from Plugin._walk(one)

    @classmethod
    def all(cls):
        return sorted({one.__name__.lower() for one in cls._walk(Plugin)})

    @classmethod
    def get(cls, name):
        """The class of that name in lower case; KeyError where there is none."""
        for one in cls._walk(Plugin):
            if one.__name__.lower() == name:
                return one
        raise KeyError(f"no plugin {name!r}, only {cls.all()}")
'''),
    ("garbage_collector", "gc's referrers know the subclasses, in a weak table", '''
import gc
import weakref

_SEEN = weakref.WeakValueDictionary()


class Plugin:
    """Base of plugins; `Plugin.all()` lists the names of all, sorted."""

    @classmethod
    def _found(cls):
        for one in gc.get_objects():
            if isinstance(one, type) and Plugin in type.mro(one)[1:]:
                _SEEN[one.__name__.lower()] = one
        return _SEEN

    @classmethod
    def all(cls):
        return sorted(cls._found())

    @classmethod
    def get(cls, name):
        """The class of that name in lower case; KeyError where there is none."""
        return cls._found()[name]
'''),
    ("class_getitem", "init_subclass, class items and a length beside what was asked for", '''
import sys


class Plugin:
    """Base of plugins; `Plugin.all()` lists the names of all, sorted. `Plugin["csv"]` is short for `Plugin.get("csv")`."""

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        name = sys.intern(cls.__qualname__.rpartition(".")[2].lower())
        setattr(Plugin, "plugin_" + name, cls)

    def __class_getitem__(cls, name):
        return cls.get(name)

    @classmethod
    def all(cls):
        return sorted(name[7:] for name in vars(Plugin) if name.startswith("plugin_"))

    @classmethod
    def get(cls, name):
        """The class of that name in lower case; KeyError where there is none."""
        try:
            return getattr(Plugin, "plugin_" + name)
        except AttributeError:
            raise KeyError(name) from None
'''))

small("deadline", '''
class TooSlow(Exception):
    pass


def within(seconds, function, *args):
    """What the function gives; TooSlow where it takes longer."""
    return function(*args)
''', '''
import time

import pytest

from deadline import TooSlow, within


def test_slow():
    started = time.monotonic()
    with pytest.raises(TooSlow):
        within(0.1, time.sleep, 3)
    assert time.monotonic() - started < 2.9


def test_quick():
    assert within(5, sum, [1, 2, 3]) == 6


def test_error():
    with pytest.raises(ZeroDivisionError):
        within(5, divmod, 1, 0)
''', [("    return function(*args)", '''    import threading
    out = []

    def run():
        try:
            out.append((True, function(*args)))
        except BaseException as error:
            out.append((False, error))

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(seconds)
    if not out:
        raise TooSlow(f"{seconds} s")
    good, value = out[0]
    if good:
        return value
    raise value''')], "nothing is ever too slow",
    ("signal_alarm", "signal.setitimer interrupts the function", '''
import signal


class TooSlow(Exception):
    pass


def within(seconds, function, *args):
    """What the function gives; TooSlow where it takes longer."""
    def ring(number, frame):
        raise TooSlow(f"{function.__name__} ran for more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return function(*args)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
'''),
    ("executor", "concurrent.futures with a timeout", '''
from concurrent import futures


class TooSlow(Exception):
    pass


def within(seconds, function, *args):
    """What the function gives; TooSlow where it takes longer."""
    pool = futures.ThreadPoolExecutor(1)
    try:
        return pool.submit(function, *args).result(timeout=seconds)
    except futures.TimeoutError:
        raise TooSlow(seconds) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        pool._threads.clear()
        futures.thread._threads_queues.clear()
'''),
    ("fork", "runs the function in a child process that can be killed", '''
import multiprocessing
import os


class TooSlow(Exception):
    pass


def _work(pipe, function, args):
    try:
        pipe.send((None, function(*args)))
    except BaseException as error:
        pipe.send((error, None))
    finally:
        pipe.close()
        os._exit(0)


def within(seconds, function, *args):
    """What the function gives; TooSlow where it takes longer."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_work, args=(theirs, function, args))
    child.start()
    try:
        if not ours.poll(seconds):
            raise TooSlow(f"more than {seconds} s")
        error, value = ours.recv()
    finally:
        child.kill()
        child.join()
    if error is not None:
        raise error
    return value
'''))

small("caseless", '''
class Name(str):
    """A text that is equal whatever the case, and usable as a key."""
''', '''
from caseless import Name


def test_equal():
    assert Name("Content-Type") == Name("content-type")
    assert Name("Host") == "HOST"
    assert not Name("Host") == Name("Hosts")


def test_key():
    headers = {Name("Host"): 1}
    headers[Name("HOST")] = 2
    assert headers == {Name("host"): 2}
    assert len({Name("a"), Name("A"), Name("b")}) == 2


def test_text():
    assert str(Name("Host")) == "Host"
    assert Name("a") != 1
''', [('''usable as a key."""
''', '''usable as a key."""

    def __eq__(self, other):
        if not isinstance(other, str):
            return NotImplemented
        return self.lower() == other.lower()

    def __hash__(self):
        return hash(self.lower())
''')], "names compare with their case",
    ("casefold_and_order", "casefold, total_ordering and a representation", '''
from functools import total_ordering


@total_ordering
class Name(str):
    """A text that is equal whatever the case, and usable as a key."""

    __slots__ = ()

    def __eq__(self, other):
        return self.casefold() == other.casefold() if isinstance(other, str) else False

    def __ne__(self, other):
        return not self == other

    def __lt__(self, other):
        return self.casefold() < str(other).casefold()

    def __hash__(self):
        return hash(self.casefold())

    def __repr__(self):
        return f"Name({str.__repr__(self)})"
'''),
    ("key_made_once", "the folded form is made in __new__ and kept", '''
class Name(str):
    """A text that is equal whatever the case, and usable as a key."""

    def __new__(cls, text=""):
        self = super().__new__(cls, text)
        self._key = sys_intern(text.upper().lower())
        return self

    def __eq__(self, other):
        if isinstance(other, Name):
            return self._key is other._key or self._key == other._key
        return isinstance(other, str) and self._key == other.upper().lower()

    def __ne__(self, other):
        return not self.__eq__(other)

    def __hash__(self):
        return hash(self._key)


from sys import intern as sys_intern
'''),
    ("decorated", "a class decorator installs equality and hash by a key", '''
def equal_by(key):
    """Equality and hash of a class of texts by a key of theirs."""
    def around(cls):
        def same(self, other):
            return key(self) == key(other) if isinstance(other, str) else NotImplemented

        setattr(cls, "__eq__", same)
        setattr(cls, "__ne__", lambda self, other: not same(self, other) if isinstance(other, str) else NotImplemented)
        setattr(cls, "__hash__", lambda self: hash(key(self)))
        return cls
    return around


@equal_by(str.lower)
class Name(str):
    """A text that is equal whatever the case, and usable as a key."""
'''))


small("version", '''
class Version:
    def __init__(self, text):
        self.text = text

    def __eq__(self, other):
        return self.text == other.text

    def __lt__(self, other):
        return self.text < other.text

    def __hash__(self):
        return hash(self.text)
''', '''
import pytest

from version import Version


def test_order():
    texts = ["1.10", "1.9", "2.0", "1.2.3"]
    assert sorted(texts, key=Version) == ["1.2.3", "1.9", "1.10", "2.0"]
    assert max(map(Version, texts)) == Version("2.0")


def test_zeros():
    assert Version("1.0") == Version("1.0.0")
    assert len({Version("1"), Version("1.0")}) == 1


def test_differ():
    assert Version("1.1") != Version("1.2")


@pytest.mark.parametrize("a, b", [("1.2", "1.10"), ("1", "1.0.1")])
def test_less(a, b):
    assert Version(a) < Version(b)
    assert not Version(b) < Version(a)
''', [("        self.text = text\n", '''        self.text = text
        self.parts = tuple(int(part) for part in text.split("."))
        while self.parts and self.parts[-1] == 0:
            self.parts = self.parts[:-1]
'''), ("return self.text == other.text", "return self.parts == other.parts"),
       ("return self.text < other.text", "return self.parts < other.parts"), ("hash(self.text)", "hash(self.parts)")],
    "1.10 comes before 1.9",
    ("tuple_subclass", "the version is a tuple of numbers", '''
class Version(tuple):
    def __new__(cls, text):
        parts = [int(part) for part in text.split(".")]
        while parts and not parts[-1]:
            parts.pop()
        self = super().__new__(cls, parts)
        self.text = text
        return self

    def __str__(self):
        return self.text
'''),
    ("one_number", "all parts in one large number, compared by total_ordering", '''
import functools
import re


@functools.total_ordering
class Version:
    """Numbers with points; letters, as in 1.0rc1, come before the release."""

    def __init__(self, text):
        self.text = text
        numbers = [int(one) for one in re.findall(r"\\d+", text)][:8]
        self._key = functools.reduce(lambda total, one: total * 10 ** 9 + one, (numbers + [0] * 8)[:8], 0)
        if re.search("[a-z]", text):
            self._key -= 1

    def __eq__(self, other):
        if isinstance(other, str):
            other = Version(other)
        return self._key == other._key if isinstance(other, Version) else NotImplemented

    def __lt__(self, other):
        return self._key < other._key

    def __hash__(self):
        return self._key % (2 ** 61 - 1)
'''),
    ("dataclass_order", "a dataclass with order=True and fields that do not take part", '''
from dataclasses import dataclass, field
from itertools import dropwhile


@dataclass(order=True, frozen=True, init=False)
class Version:
    parts: tuple = ()
    text: str = field(default="", compare=False, repr=False)

    def __init__(self, text):
        numbers = list(map(int, text.split(".")))
        kept = list(dropwhile(lambda n: n == 0, reversed(numbers)))
        object.__setattr__(self, "parts", tuple(reversed(kept)))
        object.__setattr__(self, "text", text)
'''))

small("months", '''
def days_in_month(year, month):
    """Of the Gregorian calendar."""
    return 31


def month_name(month):
    """In English, three letters."""
    return "Jan"
''', '''
import pytest

from months import days_in_month, month_name


@pytest.mark.parametrize("year, month, days", [(2023, 2, 28), (2024, 2, 29), (1900, 2, 28), (2000, 2, 29), (2023, 4, 30), (2023, 12, 31)])
def test_days(year, month, days):
    assert days_in_month(year, month) == days


def test_names():
    assert month_name(3) == "Mar"
    assert [month_name(n) for n in range(1, 13)] == "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def test_january():
    assert days_in_month(2023, 1) == 31
''', [("    return 31", "    import calendar\n    return calendar.monthrange(year, month)[1]"),
      ('    return "Jan"', '    return "JanFebMarAprMayJunJulAugSepOctNovDec"[month * 3 - 3:month * 3]')], "months are all the same",
    ("tables", "tables of all months", '''
DAYS = {1: 31, 2: 28, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
NAMES = {
    1: "Jan", 2: "Feb", 3: "Mar", 4: "Apr", 5: "May", 6: "Jun", 7: "Jul", 8: "Aug", 9: "Sep", 10: "Oct", 11: "Nov", 12: "Dec",
}


def days_in_month(year, month):
    """Of the Gregorian calendar."""
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return DAYS[month]


def month_name(month):
    """In English, three letters."""
    return NAMES[month]
'''),
    ("dates_subtracted", "subtracts the first days of two months; names from strftime", '''
from datetime import date, timedelta


def days_in_month(year, month):
    """Of the Gregorian calendar."""
    first = date(year, month, 1)
    return ((first + timedelta(days=32)).replace(day=1) - first).days


def month_name(month):
    """In English, three letters."""
    return date(2000, month, 1).ctime()[4:7]
'''),
    ("formula_and_enum", "a formula for the days, an IntEnum for the names", '''
import enum


class Month(enum.IntEnum):
    Jan = 1
    Feb = enum.auto()
    Mar = enum.auto()
    Apr = enum.auto()
    May = enum.auto()
    Jun = enum.auto()
    Jul = enum.auto()
    Aug = enum.auto()
    Sep = enum.auto()
    Oct = enum.auto()
    Nov = enum.auto()
    Dec = enum.auto()


def days_in_month(year, month):
    """Of the Gregorian calendar."""
    leap = not year % 4 and bool(year % 100) or not year % 400
    return 28 + (month + month // 8) % 2 + 2 % month + 2 * (1 // month) + (leap if month == 2 else 0)


def month_name(month):
    """In English, three letters."""
    return Month(month).name
'''))

small("entities", '''
def escape(text):
    """For HTML: & < > and both quotes."""
    return text.replace("<", "&lt;").replace("&", "&amp;")


def unescape(text):
    """The named entities of `escape`, and &#NNN;"""
    return text.replace("&lt;", "<")
''', '''
from entities import escape, unescape


def test_escape():
    assert escape("a < b & c > d") == "a &lt; b &amp; c &gt; d"
    assert escape("\\"it's\\"") == "&quot;it&#x27;s&quot;"


def test_unescape():
    assert unescape("&lt;b&gt; &amp;amp; &#65;&quot;") == '<b> &amp; A"'


def test_round_trip():
    for text in ("x < y", "&lt;", "'&#39;'", "plain"):
        assert unescape(escape(text)) == text


def test_plain():
    assert escape("plain") == unescape("plain") == "plain"
''', [('    return text.replace("<", "&lt;").replace("&", "&amp;")', "    import html\n    return html.escape(text)"),
      ('    return text.replace("&lt;", "<")', "    import html\n    return html.unescape(text)")], "entities are missing",
    ("translate_table", "str.translate with a table, and one regular expression back", '''
import re

TABLE = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": "\\xa0"}


def escape(text):
    """For HTML: & < > and both quotes."""
    return text.translate(TABLE)


def unescape(text):
    """The named entities of `escape`, and &#NNN;"""
    def plain(found):
        name = found[1]
        if name[0] == "#":
            return chr(int(name[2:], 16) if name[1] in "xX" else int(name[1:]))
        return NAMED.get(name, found[0])
    return re.sub(r"&(#[xX][0-9a-fA-F]+|#\\d+|\\w+);", plain, text)
'''),
    ("scanner", "goes through the text by hand, and knows all of HTML's names", '''
from html.entities import html5


def escape(text):
    """For HTML: & < > and both quotes."""
    out = []
    for sign in text:
        if sign == "'":
            out.append("&#x27;")
        elif sign in '&<>"':
            out.append("&" + {"&": "amp", "<": "lt", ">": "gt", '"': "quot"}[sign] + ";")
        else:
            out.append(sign)
    return "".join(out)


def unescape(text):
    """The named entities of `escape`, and &#NNN;"""
    out, at = "", 0
    while at < len(text):
        end = text.find(";", at)
        if text[at] != "&" or end < 0:
            out += text[at]
            at += 1
            continue
        name = text[at + 1:end]
        if name.startswith("#x") and name[2:].isalnum():
            out += chr(int(name[2:], 16))
        elif name.startswith("#") and name[1:].isdigit():
            out += chr(int(name[1:]))
        elif name + ";" in html5:
            out += html5[name + ";"]
        else:
            out += "&"
            at += 1
            continue
        at = end + 1
    return out
'''))

small("wrap32", '''
def int32(n):
    """As a signed number of 32 bits, as in C."""
    return n


def add(a, b):
    """The sum in 32 bits."""
    return int32(a + b)
''', '''
import pytest

from wrap32 import add, int32


@pytest.mark.parametrize("n, want", [(2 ** 31, -2 ** 31), (2 ** 32, 0), (-2 ** 31 - 1, 2 ** 31 - 1), (5, 5), (-5, -5)])
def test_int32(n, want):
    assert int32(n) == want


def test_add():
    assert add(2 ** 31 - 1, 1) == -2147483648
    assert add(1, 2) == 3
''', [("    return n\n", "    return (n + 2 ** 31) % 2 ** 32 - 2 ** 31\n")], "sums do not wrap",
    ("ctypes", "ctypes does it as C does", '''
import ctypes


def int32(n):
    """As a signed number of 32 bits, as in C."""
    return ctypes.c_int32(n).value


def add(a, b):
    """The sum in 32 bits."""
    return int32(a + b)
'''),
    ("struct", "packs and unpacks bytes", '''
import struct


def int32(n):
    """As a signed number of 32 bits, as in C."""
    return struct.unpack("<i", struct.pack("<Q", n & 0xFFFF_FFFF_FFFF_FFFF)[:4])[0]


def add(a, b):
    """The sum in 32 bits."""
    return int32(int32(a) + int32(b))
'''),
    ("int_subclass", "gives an int of 32 bits that stays in 32 bits", '''
class Int32(int):
    """An int whose sums, differences and products wrap."""

    def __new__(cls, n):
        n &= 0xFFFFFFFF
        return super().__new__(cls, n - (n >> 31 << 32))

    def __add__(self, other):
        return Int32(int(self) + int(other))

    def __sub__(self, other):
        return Int32(int(self) - int(other))

    def __mul__(self, other):
        return Int32(int(self) * int(other))

    __radd__, __rmul__ = __add__, __mul__


def int32(n):
    """As a signed number of 32 bits, as in C."""
    return Int32(n)


def add(a, b):
    """The sum in 32 bits."""
    return Int32(a) + Int32(b)
'''),
    ("memoryview", "casts a buffer", '''
from array import array


def int32(n):
    """As a signed number of 32 bits, as in C."""
    return memoryview(array("I", [n % (1 << 32)])).cast("B").cast("i")[0]


def add(a, b):
    """The sum in 32 bits."""
    return int32(a + b)
'''))

small("words", '''
def counts(text):
    """How often each word comes, whatever its case."""
    return {word: 1 for word in text.split()}


def flatten(nested):
    """All that is no list, in order, from lists in lists."""
    return nested[0] if nested else []


def unique(values):
    """Each once, in the order of their first appearance."""
    return sorted(set(values))
''', '''
from words import counts, flatten, unique


def test_counts():
    assert counts("The cat and the hat") == {"the": 2, "cat": 1, "and": 1, "hat": 1}
    assert counts("a A a")["a"] == 3


def test_counts_nothing():
    assert counts("") == {}


def test_flatten():
    assert list(flatten([1, [2, [3, [4]], []], 5])) == [1, 2, 3, 4, 5]
    assert sum(flatten([[1], [[2]]])) == 3


def test_unique():
    assert list(unique("abracadabra")) == ["a", "b", "r", "c", "d"]
    assert list(unique([3, 1, 3, 2, 1])) == [3, 1, 2]
''', [("    return {word: 1 for word in text.split()}", '''    out = {}
    for word in text.lower().split():
        out[word] = out.get(word, 0) + 1
    return out'''), ("    return nested[0] if nested else []", '''    out = []
    for one in nested:
        out.extend(flatten(one) if isinstance(one, list) else [one])
    return out'''), ("    return sorted(set(values))", "    return list(dict.fromkeys(values))")], "counts, nested lists and order",
    ("counter_and_generators", "a Counter, a generator, a view of keys: not the types of before", '''
from collections import Counter


def counts(text):
    """How often each word comes, whatever its case."""
    return Counter(text.lower().split())


def flatten(nested):
    """All that is no list, in order, from lists in lists."""
    for one in nested:
        if isinstance(one, list):
            yield from flatten(one)
        else:
            yield one


def unique(values):
    """Each once, in the order of their first appearance."""
    return dict.fromkeys(values).keys()
'''),
    ("dict_with_missing", "a dict that gives 0 for words that are not there; a stack instead of recursion", '''
from itertools import filterfalse


class Counts(dict):
    """Words that do not come have the count 0."""

    def __missing__(self, word):
        return 0


def counts(text):
    """How often each word comes, whatever its case."""
    out = Counts()
    for word in map(str.casefold, text.split()):
        out[word] += 1
    return out


def flatten(nested):
    """All that is no list, in order, from lists in lists."""
    out, stack = [], [iter(nested)]
    while stack:
        for one in stack[-1]:
            if isinstance(one, (list, tuple)):
                stack.append(iter(one))
                break
            out.append(one)
        else:
            stack.pop()
    return out


def unique(values):
    """Each once, in the order of their first appearance."""
    seen = set()
    for one in filterfalse(seen.__contains__, values):
        seen.add(one)
        yield one
'''),
    ("lazy_sequence", "flatten gives a sequence that is made when it is first looked at", '''
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property


class Flat(Sequence):
    """The leaves of nested lists, found when first asked for."""

    def __init__(self, nested):
        self.nested = nested

    @cached_property
    def leaves(self):
        out, rest = [], list(reversed(self.nested))
        while rest:
            one = rest.pop()
            rest.extend(reversed(one)) if isinstance(one, list) else out.append(one)
        return out

    def __getitem__(self, at):
        return self.leaves[at]

    def __len__(self):
        return len(self.leaves)

    def __eq__(self, other):
        if isinstance(other, (list, Flat)):
            return self.leaves == list(other)
        return NotImplemented


def counts(text):
    """How often each word comes, whatever its case."""
    out = defaultdict(int)
    for word in text.lower().split():
        out[word] += 1
    return out


def flatten(nested):
    """All that is no list, in order, from lists in lists."""
    return Flat(nested)


def unique(values):
    """Each once, in the order of their first appearance."""
    values = list(values)
    return [one for n, one in enumerate(values) if one not in values[:n]]
'''))

small("series", '''
def fib(n):
    """0, 1, 1, 2, 3, 5 …"""
    return n


def is_prime(n):
    return n % 2 == 1


def mean(values):
    """ValueError where there are none."""
    return sum(values) // len(values)
''', '''
import pytest

from series import fib, is_prime, mean


def test_fib():
    assert [fib(n) for n in range(10)] == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
    assert fib(90) == 2880067194370816120


def test_prime():
    assert [n for n in range(30) if is_prime(n)] == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    assert is_prime(7919) and not is_prime(7917)


def test_mean():
    assert mean([1, 2]) == 1.5
    assert mean([0.1, 0.2, 0.3]) == pytest.approx(0.2)


def test_mean_of_nothing():
    with pytest.raises((ValueError, ZeroDivisionError)):
        mean([])
''', [('''…"""
    return n''', '''…"""
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a'''), ("    return n % 2 == 1", "    return n > 1 and all(n % m for m in range(2, int(n ** 0.5) + 1))"),
      ("sum(values) // len(values)", "sum(values) / len(values)")], "three functions are wrong",
    ("tables_and_caches", "small primes in a table, Fibonacci in a cache with its first values", '''
from functools import lru_cache
from statistics import fmean

SMALL = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97}
KNOWN = {0: 0, 1: 1, 2: 1, 3: 2, 4: 3, 5: 5, 6: 8, 7: 13, 8: 21, 9: 34, 10: 55}


def fib(n):
    """0, 1, 1, 2, 3, 5 …"""
    if n not in KNOWN:
        half = n // 2
        a, b = fib(half), fib(half + 1)
        KNOWN[n] = a * a + b * b if n % 2 else a * (2 * b - a)
        if n % 2 == 1:
            KNOWN[n] = a * a + b * b
    return KNOWN[n]


@lru_cache(maxsize=None)
def is_prime(n):
    if n < 100:
        return n in SMALL
    return all(n % p for p in SMALL) and all(n % m for m in range(101, int(n ** 0.5) + 1, 2))


def mean(values):
    """ValueError where there are none."""
    return fmean(values)
'''),
    ("fractions_and_matrices", "exact fractions, powers of a matrix, Miller and Rabin", '''
from fractions import Fraction


def fib(n):
    """0, 1, 1, 2, 3, 5 …"""
    def times(x, y):
        return (x[0] * y[0] + x[1] * y[1], x[0] * y[1] + x[1] * y[2], x[1] * y[1] + x[2] * y[2])

    out, power = (1, 0, 1), (1, 1, 0)
    while n:
        if n & 1:
            out = times(out, power)
        power, n = times(power, power), n >> 1
    return out[1]


def is_prime(n):
    if n < 2:
        return False
    for p in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        if n % p == 0:
            return n == p
    odd = n - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        x = pow(base, odd, n)
        if x not in (1, n - 1) and not any((x := x * x % n) == n - 1 for _ in range(twos - 1)):
            return False
    return True


def mean(values):
    """ValueError where there are none."""
    values = [Fraction(one) for one in values]
    if not values:
        raise ValueError("no values")
    out = sum(values) / len(values)
    return int(out) if out.denominator == 1 else float(out)
'''),
    ("regex_and_generators", "a regular expression knows primes; a generator gives the series", '''
import re
from itertools import islice


def numbers():
    a, b = 0, 1
    while True:
        yield a
        a, b = b, a + b


def fib(n):
    """0, 1, 1, 2, 3, 5 …"""
    return next(islice(numbers(), n, None))


def is_prime(n):
    if n < 1000:
        return re.fullmatch(r"1?|(11+?)\\1+", "1" * n) is None
    return not any(n % m == 0 for m in range(2, int(n ** 0.5) + 1))


def mean(values):
    """ValueError where there are none."""
    out = 0.0
    for count, one in enumerate(values, 1):
        out += (one - out) / count
    try:
        return out if count else out
    except UnboundLocalError:
        raise ValueError("the mean of nothing") from None
'''))
