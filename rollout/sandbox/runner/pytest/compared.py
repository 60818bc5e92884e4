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
from _pytest import assertion, nodes, runner
from _pytest._io.saferepr import saferepr
from _pytest.assertion import rewrite

# Those that count from a moment that is nobody's business; the time of day is also asked for in other ways.
CLOCKS = ["monotonic", "perf_counter", "monotonic_ns", "perf_counter_ns"]
HOUR = 3600
# What the code of a program may be called.
PROGRAM = "/repo/app.py"
# In the names of copies of tests (`data/vary.rs`), and of those that are the same for each of their cases.
COPY, ONCE = re.compile(r"_varied_\d+(_once)?"), "_once"
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
    # Nobody reads a traceback here, and making one takes longer than many a test.
    nodes.Node._repr_failure_py = lambda self, excinfo, style=None: "it failed"
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
        tree = Asserts().visit(ast.parse(data, filename=path))
        begin = next((at for at, one in enumerate(tree.body) if not comes_first(one)), len(tree.body))
        tree.body.insert(begin, ast.parse("import _pytest.assertion.rewrite as v_assertion").body[0])
        ast.fix_missing_locations(tree)
        return compile(tree, PROGRAM, "exec", dont_inherit=True)

    SourceFileLoader.source_to_code = source_to_code
    rewrite.of_one, rewrite.of_two = of_one, of_two
    return state.hook


class Asserts(ast.NodeTransformer):
    """Failed assertions tell the values that they compare. pytest's own way tells more, and takes ten times as long."""

    def visit_Assert(self, node):
        parts = node.test.values if is_and(node.test) else [node.test]
        asserts = [ast.Assert(*self.telling(part, [node.msg] * (node.msg is not None))) for part in parts]
        # What was compared lives no longer than it would.
        names = [ast.Name(name, ast.Store()) for name in ("v_left", "v_right")]
        return [ast.copy_location(one, node) for one in asserts + [ast.Assign(names, ast.Constant(None))]]

    @staticmethod
    def telling(test, message):
        """A condition that keeps what it compares, and the text where it does not hold."""
        left, right = ast.Name("v_left", ast.Load()), ast.Name("v_right", ast.Load())
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            sign = ast.Constant(SIGNS[type(test.ops[0])])
            condition = ast.Compare(kept("v_left", test.left), test.ops, [kept("v_right", test.comparators[0])])
            return condition, call("of_two", left, sign, right, *message)
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return ast.UnaryOp(test.op, kept("v_left", test.operand)), call("of_one", ast.Constant("not "), left, *message)
        return kept("v_left", test), call("of_one", ast.Constant(""), left, *message)

    def skip(self, node):
        return node

    # No assertion is within an expression.
    visit_Expr = visit_Assign = visit_Return = skip


SIGNS = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Is: "is", ast.IsNot: "is not",
    ast.In: "in", ast.NotIn: "not in",
}


def comes_first(node):
    """Whether nothing may stand before this statement of a module."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or isinstance(node, ast.ImportFrom) and node.module == "__future__"


def is_and(test):
    return isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And)


def kept(name, value):
    return ast.NamedExpr(ast.Name(name, ast.Store()), value)


def call(name, *arguments):
    function = ast.Attribute(ast.Name("v_assertion", ast.Load()), name, ast.Load())
    return ast.Call(function, list(arguments), [])


def of_two(left, sign, right, *message):
    # How far a value is from one that it need not equal is a repair's own business.
    shown = (shortly(left), sign, shortly(right)) if sign in ("==", "is") else ("<one>", sign, "<other>")
    return said("%s %s %s" % shown, message)


def of_one(before, value, *message):
    return said(before + shortly(value), message)


def said(text, message):
    return "\n".join([str(one) for one in message] + ["assert " + text])


class Brief:
    """Only copies of tests run, and the tests that they are copies of."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items):
        copied = {COPY.sub("", item.nodeid.split("[")[0]) for item in items if COPY.search(item.nodeid)}
        seen, chosen = set(), []
        for item in items:
            name = item.nodeid.split("[")[0]
            if COPY.sub("", name) in copied and not (name.endswith(ONCE) and name in seen):
                seen.add(name)
                chosen.append(item)
        items[:] = chosen


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
