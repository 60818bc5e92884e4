"""Whether those who judge are still who they were before any code under test ran.

In: the functions of pytest, unittest and Python that decide what a test did. Out: the first of them that somebody
exchanged, by name. Example: a module that sets `unittest.TestCase.assertEqual` to a function that does nothing.

Names that a tree adds are its own business, unless they hide inherited ones. What a fixture exchanges for a while has to
be back when its test is over.
"""

import builtins
import importlib
import sys
import types
import unittest.case


# Replaced by honest programs, and no judges: they only talk.
TALKERS = {"print", "open", "input", "breakpoint", "help", "exit", "quit", "copyright", "credits", "license", "_"}
MODULES = ["runner", "reports", "python", "main", "nodes", "skipping", "unittest", "assertion.rewrite", "raises"]
MODULES += ["python_api", "outcomes", "fixtures"]
KINDS = (type, types.FunctionType, types.BuiltinFunctionType, classmethod, staticmethod, property)


def judges():
    """Every place that is looked at: its name, the names in it, and whether a new name in it is a change."""
    places = [("builtins", builtins, False), ("unittest", unittest.case, False)]
    places.append(("unittest.TestCase", unittest.TestCase, True))
    names = ["_pytest." + name for name in MODULES] + ["pluggy._callers", "pluggy._hooks", "pluggy._manager"]
    for name in names:
        try:
            module = importlib.import_module(name)
        except ImportError:  # Private to pytest: other versions have other places.
            continue
        places.append((name, module, False))
        for word, value in list(vars(module).items()):
            if isinstance(value, type) and value.__module__ == name and not issubclass(value, BaseException):
                places.append((name + "." + word, value, True))
    return places


# Taken before the first fork, so that no job has to.
KNOWN = None
# The standard library as it was then: the functions and classes of each module, by name.
LIBRARY = None
# What programs exchange as they like, and what they are meant to exchange.
HOOKS = {"showwarning", "formatwarning", "excepthook", "unraisablehook", "displayhook", "breakpointhook", "stdin", "stdout",
         "stderr"}


def take(own):
    """What `own` and all others are now: a function that tells the first change."""
    return compare_with(judges() + [(one.__name__, one, isinstance(one, type)) for one in own])


def library():
    """The functions and classes of the standard library's modules that are loaded."""
    loaded = [(name, module) for name, module in list(sys.modules.items()) if name.split(".")[0] in sys.stdlib_module_names]
    kinds = (type, types.FunctionType, types.BuiltinFunctionType)
    return {
        id(module): {word: value for word, value in vars(module).items() if isinstance(value, kinds) and word not in HOOKS}
        for name, module in loaded if isinstance(module, types.ModuleType) and name not in ("builtins", "__main__")
    }


class Watch:
    """References taken now, to be compared later."""

    def __init__(self, own=(), changed_files=()):
        self.changed = KNOWN or take(own)
        self.files = {"/repo/" + path for path in changed_files}
        self.plugins = -1
        self.executable = sys.executable

    def exchanged_oracle(self, test_module):
        """A function of the standard library that a test module uses, and that a changed file exchanged for its own."""
        if sys.executable != self.executable and isinstance(vars(test_module).get("sys"), types.ModuleType):
            return "sys.executable"
        for module in [value for value in vars(test_module).values() if isinstance(value, types.ModuleType)]:
            known, now = (LIBRARY or {}).get(id(module), {}), vars(module)
            for word, value in known.items():
                new = now.get(word)
                if new is not value and self.is_of_changed_file(new):
                    return module.__name__ + "." + word
        return None

    def is_of_changed_file(self, value):
        function = getattr(value, "__func__", value)
        if isinstance(function, types.FunctionType):
            return function.__code__.co_filename in self.files
        kind = value if isinstance(value, type) else type(value)
        return getattr(sys.modules.get(kind.__module__), "__file__", None) in self.files

    def foreign_plugin(self, manager):
        """The first hook that a changed file brought; none where the tree's own settings brought them all."""
        count = len(manager.get_plugins())
        if count == self.plugins:
            return None
        self.plugins = count
        for caller in list(vars(manager.hook).values()):
            for one in getattr(caller, "get_hookimpls", list)():
                code = getattr(getattr(one.function, "__func__", one.function), "__code__", None)
                if code is not None and code.co_filename in self.files:
                    return one.plugin_name
        return None


def inside(value):
    """The function behind a method, with what it does, which can be exchanged as well."""
    function = getattr(value, "__func__", value)
    if type(function) is types.FunctionType:
        return (function, function.__code__, function.__defaults__)
    return (None, None, None)


def compare_with(places, kinds=KINDS):
    """A function that names what changed. All that it needs is its own, out of the reach of other modules."""
    values, functions, classes, len = [], [], [], builtins.len
    for name, holder, is_class in places:
        names = vars(holder)
        kept = {word: value for word, value in names.items() if isinstance(value, kinds) and word not in TALKERS}
        for word, value in kept.items():
            values.append((names, word, value, name))
            function, code, defaults = inside(value)
            if function is not None:
                functions.append((function, code, defaults, name + "." + word))
        if is_class:
            classes.append((name, holder, set(names), len(names)))

    def changed():
        for names, word, value, name in values:
            if names.get(word) is not value:
                return name + "." + word
        for function, code, defaults, name in functions:
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return name
        for name, holder, before, count in classes:
            if len(vars(holder)) != count:
                for word in vars(holder):
                    # A new name that hides an inherited one.
                    if word not in before and (word[:2] == "__" or hasattr(super(holder, holder), word)):
                        return name + "." + word
        return None

    return changed
