"""A run that is compared with another one looks like a plain program's, not like that of tests.

In: the test files that run. Out: nothing; arguments, environment, modules, importers and clocks are those of a program.
Code that does its work only where it sees that tests run shows itself: it differs from the gold patch here.
"""

import ast
import dataclasses
import os
import re
import sys
import time
import unittest.case
from importlib.machinery import SourceFileLoader

import pytest
from _pytest import assertion, runner
from _pytest._io.saferepr import saferepr
from _pytest.assertion import rewrite

# Those that count from a moment that is nobody's business; the time of day is also asked for in other ways.
CLOCKS = ["monotonic", "perf_counter", "monotonic_ns", "perf_counter_ns"]
HOUR = 3600
# What the code of a program may be called.
PROGRAM = "/repo/app.py"
# In the names of copies of tests (`data/vary.rs`).
COPY = re.compile(r"_varied_\d+")
# Of each value that is compared.
VALUE_LIMIT = 2000
# Of containers within each other.
DEPTH = 8
SCALARS = (bool, int, float, complex, str, bytes, bytearray, type(None))


def look_like_a_program(files):
    sys.argv[:] = ["app.py"]
    sys.orig_argv[:] = ["python3", "app.py"]
    runner._update_current_test_var = lambda item, when: None
    sys.modules = Modules(sys.modules)
    os.environ.pop("PYTEST_VERSION", None)
    unittest.case.safe_repr = shortly
    if hasattr(assertion, "assertstate_key") and hasattr(rewrite, "rewrite_asserts"):
        assertion.install_importhook = lambda config: rewrite_quietly(config, files)


class Modules(dict):
    """The modules without those of pytest. The interpreter keeps its own list, so an import of pytest still works; what is
    new goes into both."""

    def __init__(self, modules):
        super().__init__({name: one for name, one in modules.items() if not name.startswith(("pytest", "_pytest", "pluggy"))})
        self.modules = modules

    def __setitem__(self, name, module):
        super().__setitem__(name, module)
        self.modules[name] = module

    def __delitem__(self, name):
        super().__delitem__(name)
        self.modules.pop(name, None)

    def pop(self, name, *default):
        self.modules.pop(name, None)
        return super().pop(name, *default)


def rewrite_quietly(config, files):
    """Rewrites the assertions of these files without an importer of its own, and without names that no program has."""
    state = assertion.AssertionState(config, "rewrite")
    config.stash[assertion.assertstate_key] = state
    state.hook = rewrite.AssertionRewritingHook(config)
    plain = SourceFileLoader.source_to_code

    def source_to_code(self, data, path, **options):
        if os.fspath(path) not in files:
            return plain(self, data, path, **options)
        tree = ast.parse(data, filename=path)
        rewrite.rewrite_asserts(tree, bytes(data), os.fspath(path), config)
        for node in ast.walk(tree):
            for field in ("id", "asname"):
                name = getattr(node, field, None)
                if isinstance(name, str) and name.startswith("@"):
                    # No underscore in front: in a class that would make a private name of it.
                    setattr(node, field, "v_" + name.rpartition("_")[2])
        return compile(tree, PROGRAM, "exec", dont_inherit=True)

    SourceFileLoader.source_to_code = source_to_code
    return state.hook


class Brief:
    """Only copies of tests run, and the tests that they are copies of; of what they compare only the values are told."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items):
        copied = {COPY.sub("", item.nodeid.split("[")[0]) for item in items if COPY.search(item.nodeid)}
        items[:] = [item for item in items if COPY.sub("", item.nodeid.split("[")[0]) in copied]

    @pytest.hookimpl(tryfirst=True)
    def pytest_assertrepr_compare(self, op, left, right):
        # How far a value is from one that it need not equal is a repair's own business.
        shown = (shortly(left), op, shortly(right)) if op in ("==", "is") else ("<one>", op, "<other>")
        return ["%s %s %s" % shown]


def shortly(value, short=False):
    """A value that is plain data, with objects in it as the values that they hold (`@{...}`): what they are called is not
    compared."""
    return saferepr(plain(value, DEPTH), maxsize=VALUE_LIMIT)


class Shown:
    """Is shown as this text."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


def plain(value, depth):
    kind = type(value)
    for base in SCALARS:
        if isinstance(value, base):
            return value if kind is base else Shown(base.__repr__(value))
    if depth == 0:
        return Shown("...")
    for base in (list, tuple, set, frozenset):
        if isinstance(value, base):
            parts = [plain(one, depth - 1) for one in base.__iter__(value)]
            return parts if base is list else tuple(parts) if base is tuple else Shown("{%s}" % ", ".join(map(repr, parts)))
    if isinstance(value, dict):
        parts = ["%r: %r" % (plain(name, depth - 1), plain(one, depth - 1)) for name, one in dict.items(value)]
        return Shown("{%s}" % ", ".join(parts))
    if kind.__module__.split(".")[0] in sys.stdlib_module_names:
        return value
    if dataclasses.is_dataclass(kind):
        held = [getattr(value, field.name, None) for field in dataclasses.fields(value) if field.compare]
    else:
        slots = [name for base in kind.__mro__ for name in vars(base).get("__slots__", ())]
        held = [getattr(value, name, None) for name in slots] + list(getattr(value, "__dict__", {}).values())
    return Shown("@{%s}" % ", ".join(repr(plain(one, depth - 1)) for one in held))


def later():
    """The clocks say that an hour has passed."""
    for name in CLOCKS:
        clock = getattr(time, name)
        by = HOUR * 10**9 if name.endswith("_ns") else HOUR
        setattr(time, name, lambda clock=clock, by=by: clock() + by)
