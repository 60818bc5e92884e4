"""pytest told through events: what ran, what it did, and the first failure as it fails.

In: a selection of tests and a channel. Out: JSON lines `{"n": nonce, "s": 0, "k": "start"}`, numbered without a gap.
A verdict is read from them alone: text that the code under test prints is never looked at.
"""

import json
import linecache
import os
import re
import reprlib
import sys
from pathlib import Path

import compared
import integrity
import pytest
from _pytest import config as pytest_config
from _pytest.config import argparsing

BASE = ["-p", "no:cacheprovider", "-p", "no:pastebin", "-p", "no:faulthandler", "-p", "no:stepwise"]
BASE += ["--rootdir=/repo", "-q", "--no-header", "--tb=short", "--color=no"]
# The tree's own settings count, except for options: those may ask for plugins that are not here.
BASE += ["-o", "addopts=", "--continue-on-collection-errors"]
# A run that is compared with another one looks like a plain program's, not like that of tests.
COMPARED = ["-s", "--tb=no", "--no-summary", "-p", "no:logging", "-p", "no:debugging"]
TRACE_LIMIT = 8192
MESSAGE_LIMIT = 500
# Of each failure after the first, and of each in a run that is compared.
WHY_LIMIT, COMPARED_LIMIT = 200, 4000
# The innermost frames of the tree that are told, of how many with their locals, and how much of each.
FRAMES, WITH_LOCALS, LOCALS, LOCAL_LIMIT = 6, 2, 12, 120
OUTPUT_LIMIT = 2000
# Ids without a test that are told, and tests with such a beginning for each.
MISSING, NEAR = 100, 3
# The head of a frame in a short traceback: `tests/test_a.py:4: in test_sum`.
FRAME = re.compile(r"^(\S.*?):\d+: (?:in |[A-Z]\w*$)")

# Filled before the first fork: a configuration with all default plugins, which no tree has touched.
PREPARED = None

WARM_UP = """
import pytest

@pytest.fixture
def three():
    yield 3

class TestGroup:
    def test_passes(self, three):
        assert three == 3

@pytest.mark.parametrize("number", [1, 2])
def test_fails(number, tmp_path, capsys, monkeypatch):
    with pytest.raises(ValueError):
        int("x")
    assert {"a": [number]} == {"a": [3]}
"""


class Channel:
    """Numbered events on one descriptor."""

    def __init__(self, descriptor, nonce, write=os.write, dumps=json.dumps):
        number = 0

        def send(kind, **fields):
            nonlocal number
            fields.update(n=nonce, s=number, k=kind)
            number += 1
            line = dumps(fields).encode() + b"\n"
            while line:
                line = line[write(descriptor, line):]

        self.send = send


class Reporter:
    """The plugin: one per job."""

    def __init__(self, channel, spec):
        self.send = channel.send
        self.ids = spec["ids"]
        self.stop = spec["stop_at_first_failure"]
        self.canaries = spec["canaries"]
        ablation = spec.get("ablation", {})
        self.wary = not ablation.get("canaries")
        self.compared = spec["compared"]
        self.watch = None if ablation.get("integrity") or self.compared else self.watch_all(spec)
        self.phases = {}
        self.unread = set()
        self.whys = {}
        self.told = False

    @staticmethod
    def watch_all(spec):
        changed = [change["path"] for change in spec.get("changes", []) if change["content"] is not None]
        return integrity.Watch(OWN, changed)

    @staticmethod
    def chosen(ids, items):
        """The tests of these ids, in their order. An id without `::` is a file, and stands for all of its tests."""
        known, files = {}, {}
        for item in items:
            known.setdefault(item.nodeid, item)
            files.setdefault(item.nodeid.split("::", 1)[0], []).append(item)
        return [item for name in ids for item in ([known[name]] if name in known else files.get(name, []))]

    def missing(self, items):
        """Ids that no test has, although its file was read; with the first tests whose ids begin so."""
        known = {item.nodeid for item in items}
        known.update(name.split("::", 1)[0] for name in list(known))
        lost = [name for name in self.ids if name not in known and name.split("::", 1)[0] not in self.unread]
        near = lambda name: [item.nodeid for item in items if item.nodeid.startswith(name)][:NEAR]
        return {name: near(name) for name in lost[:MISSING]}

    # The outermost wrapper: what it does last, no other plugin undoes.
    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, session, items):
        yield
        if self.compared:
            compared.later()
        missing = {}
        if self.ids is not None:
            missing = self.missing(items)
            items[:] = self.chosen(self.ids, items)
        self.send("collected", count=len(items), missing=missing)
        if items and self.wary:
            self.add_canaries(session, items)

    def add_canaries(self, session, items):
        """Tests that must fail. One that passes shows that somebody changed the runner."""
        item, function, place = self.canaries
        borders = [0] + [i for i in range(1, len(items)) if items[i - 1].parent is not items[i].parent]
        index = borders[place % len(borders)]
        module = items[index].getparent(pytest.Module)
        if module is not None:
            canary = pytest.Function.from_parent(module, name=function, callobj=must_fail)
            # Nobody reads its traceback, and making one costs more than many a real test.
            canary.repr_failure = Canary.repr_failure.__get__(canary)
            items.insert(index, canary)
        else:
            items.insert(index, Canary.from_parent(session, name=function))
        items.append(Canary.from_parent(session, name=item))

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item, call):
        outcome = yield
        report = outcome.get_result()
        if report.failed and item.name not in self.canaries:
            self.tell(report, call.excinfo)
            self.whys.setdefault(item.nodeid, self.why(report, call.excinfo))
            # Only the first failure is told, so later ones need no traceback.
            item.config.option.tbstyle = "no"

    def why(self, report, excinfo):
        if excinfo is None:
            return str(report.longrepr)[:WHY_LIMIT]
        if self.compared:
            return ": ".join(describe(excinfo.value, COMPARED_LIMIT))
        return ": ".join(describe(excinfo.value))[:WHY_LIMIT]

    def pytest_exception_interact(self, node, call, report):
        if report.failed and isinstance(node, pytest.Collector):
            self.unread.add(node.nodeid.split("::", 1)[0])
            self.tell(report, call.excinfo)
            if self.stop:
                node.session.shouldfail = "stopped at the first failure"

    def tell(self, report, excinfo):
        if self.told:
            return
        self.told = True
        kind, message = describe(excinfo.value) if excinfo is not None else ("Failed", str(report.longrepr))
        fields = dict(frames=frames(excinfo), stdout=captured(report, "stdout"), stderr=captured(report, "stderr"))
        trace = told(report.longreprtext)
        self.send("failure", test=report.nodeid, exception=kind, message=message, trace=trace, **fields)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report):
        """Keeps the canaries out of what people read."""
        return ("", "", "") if report.nodeid.rpartition("::")[2] in self.canaries else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report):
        phases = self.phases.setdefault(report.nodeid, {})
        expected = {"skipped": "xfailed", "passed": "xpassed"} if hasattr(report, "wasxfail") else {}
        phases[report.when] = expected.get(report.outcome, report.outcome)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        yield
        phases = self.phases.pop(item.nodeid, {})
        if "failed" in phases.values():
            status = "failed"
        elif [phases.get(phase) for phase in ("setup", "call", "teardown")] == ["passed"] * 3:
            status = "passed"
        else:
            status = next((one for one in ("xfailed", "xpassed") if one in phases.values()), "skipped")
        self.look(item.config.pluginmanager, getattr(item, "module", None))
        if item.name in self.canaries:
            self.send("canary", name=item.name, status=status)
            return
        self.send("test", id=item.nodeid, status=status, why=self.whys.pop(item.nodeid, ""))
        if status == "failed" and self.stop:
            item.session.shouldfail = "stopped at the first failure"


    def look(self, manager=None, module=None):
        """A run whose judges were exchanged, or joined by others, is not believed."""
        if self.watch is None:
            return
        what = self.watch.changed() or manager is not None and self.watch.foreign_plugin(manager)
        what = what or module is not None and self.watch.exchanged_oracle(module)
        if what:
            self.send("spoiled", what=what)


class Canary(pytest.Item):
    """A test that is not a function, and fails."""

    def runtest(self):
        must_fail()

    def repr_failure(self, excinfo):
        return "a test that has to fail"


OWN = (Reporter, Canary)


def must_fail():
    seen, expected = object(), object()
    if seen != expected:
        raise AssertionError("a test that has to fail")


def describe(error, limit=None):
    """Name and first line, or with a `limit` all that it says about values. A collection error is told by its cause."""
    error = error.__cause__ or error if isinstance(error, pytest.Collector.CollectError) else error
    cause = getattr(error, "cause", None)
    if type(error).__name__ == "ConftestImportFailure" and isinstance(cause, BaseException):
        error = cause
    try:
        lines = str(error).strip().splitlines()
    except BaseException:
        lines = ["(the exception cannot be printed)"]
    if limit is not None and lines and not lines[0].startswith("assert "):
        return type(error).__name__, " ".join(lines)[:limit]
    return type(error).__name__, (lines[0] if lines else "")[:limit or MESSAGE_LIMIT]


def frames(excinfo):
    """The innermost frames of the tree, outermost first; the last ones with their locals."""
    if excinfo is None:
        return []
    own = [entry for entry in excinfo.traceback if str(entry.path).startswith("/repo/")][-FRAMES:]
    last = len(own) - WITH_LOCALS
    return [frame(entry, place >= last) for place, entry in enumerate(own)]


def frame(entry, with_locals):
    path, line = str(entry.path), entry.lineno + 1
    values = [name for name in entry.frame.f_locals if not name.startswith("@")] if with_locals else []
    shown = {name: shortly(entry.frame.f_locals[name]) for name in values[:LOCALS]}
    source = linecache.getline(path, line).strip()[:LOCAL_LIMIT]
    return {"file": path[len("/repo/"):], "line": line, "function": entry.name, "source": source, "locals": shown}


def shortly(value):
    """What the code under test says about a value of its own; it may lie, and it may fail."""
    try:
        return SHORT.repr(value)[:LOCAL_LIMIT]
    except BaseException as error:
        return "<no repr: %s>" % type(error).__name__


SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = LOCAL_LIMIT


def captured(report, stream):
    text = "".join(text for name, text in report.sections if name.startswith("Captured " + stream))
    return text[-OUTPUT_LIMIT:]


def told(text):
    """The frames of the tree and what was said, without those of the runner and the standard library."""
    kept, own = [], True
    for line in text.splitlines():
        frame = FRAME.match(line)
        if frame:
            own = not frame.group(1).startswith(("/", "<frozen", "../"))
        elif line.startswith(("E  ", "_ _")):
            own = True
        if own:
            kept.append(line)
    return bounded("\n".join(kept))


def bounded(text):
    """Both ends of a long text: where it began and what it said last."""
    if len(text) <= TRACE_LIMIT:
        return text
    head, tail = TRACE_LIMIT // 4, TRACE_LIMIT * 3 // 4
    return text[:head] + "\n[...]\n" + text[-tail:]


def files_of(ids):
    files = list(dict.fromkeys(name.split("::", 1)[0] for name in ids))
    # A file that is not there would end the run before the others are read.
    return [file for file in files if os.path.exists(file)] or files


def run(channel, spec):
    """Runs pytest in this process and ends it without running anything of the code under test again."""
    reporter = Reporter(channel, spec)
    plugins = [reporter]
    if reporter.compared:
        compared.look_like_a_program({"/repo/" + file for file in files_of(spec["ids"] or [])})
        plugins.append(compared.Brief())
    args = BASE + COMPARED * reporter.compared + (files_of(spec["ids"]) if spec["ids"] is not None else [])
    spec.clear()
    leave = os._exit
    try:
        status = int(session(args, plugins))
    except BaseException as error:  # A conftest that cannot be imported, or an option that does not exist.
        if not reporter.told:
            kind, message = describe(error)
            channel.send("failure", test="conftest.py", exception=kind, message=message, trace=bounded(repr(error)))
        status = 4
    reporter.look()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass
    channel.send("finish", exit=status)
    leave(0)


def session(args, plugins):
    if PREPARED is None:
        return pytest.main(args, plugins=plugins)
    config, manager = PREPARED, PREPARED.pluginmanager
    config.invocation_params = pytest_config.Config.InvocationParams(args=args, plugins=plugins, dir=Path.cwd())
    for plugin in plugins:
        manager.register(plugin)
    config = manager.hook.pytest_cmdline_parse(pluginmanager=manager, args=args)
    try:
        return config.hook.pytest_cmdline_main(config=config)
    finally:
        config._ensure_unconfigure()


def warm(folder):
    """Does once, before any fork, what pytest would do in every job. Returns pytest's version."""
    path = list(sys.path)
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    nothing = os.open("/dev/null", os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nothing, descriptor)
    os.makedirs(folder, exist_ok=True)
    test = os.path.join(folder, "test_warm_up.py")
    with open(test, "w") as file:
        file.write(WARM_UP)
    for _ in range(3):
        pytest.main(BASE + ["--rootdir=" + folder, test])
        sys.modules.pop("test_warm_up", None)
    sys.stdout.flush()
    sys.stderr.flush()
    for descriptor, old in zip((1, 2), kept):
        os.dup2(old, descriptor)
        os.close(old)
    os.close(nothing)
    sys.path[:] = path
    prepare()
    integrity.KNOWN = integrity.take(OWN)
    integrity.LIBRARY = integrity.library()
    return pytest.__version__


def prepare():
    """Registers the default plugins and builds the option parser. Other versions of pytest do it in every job."""
    global PREPARED
    if not pytest.__version__.startswith("8."):
        return
    build, built = argparsing.Parser._getparser, {}

    def remembered(self):
        key = (id(self), tuple(len(group.options) for group in self._groups), len(self._anonymous.options))
        if key not in built:
            built[key] = build(self)
        return built[key]

    try:
        config = pytest_config.get_config(BASE)
        argparsing.Parser._getparser = remembered
        config._parser._getparser()
        PREPARED = config
    except Exception:
        argparsing.Parser._getparser = build
