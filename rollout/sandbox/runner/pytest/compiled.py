"""The byte code of a clean tree, made once and given to every job: a suite spends most of its time on compiling tests.

In: a tree. Out: an archive of the files that Python and pytest would have left in its `__pycache__` folders, had they
been allowed to. Nothing of the tree is run for it. A job takes those of the files that it does not change.
"""

import ast
import importlib.util
import marshal
import os
import struct
import time
import warnings

import raises

raises.install()

# Private to pytest: where a version has neither, tests are compiled in every job.
try:
    from _pytest.assertion.rewrite import PYC_TAIL, rewrite_asserts
except ImportError:
    PYC_TAIL = rewrite_asserts = None

# Dependencies have their byte code beside them (see `package/index.py`).
LEFT_OUT = {"__pycache__", "site-packages"}
# Every job writes the archive out, so a huge tree gets only a part of it.
MAX_ARCHIVE, MAX_SOURCE, MAX_SECONDS = 8 << 20, 1 << 20, 20


def write(descriptor):
    """Compiles the tree in the working directory, tests first, and writes the archive."""
    archive, size, began = {}, 0, time.monotonic()
    for path in sorted(sources(), key=lambda path: (not is_test(path), path)):
        if time.monotonic() - began > MAX_SECONDS:
            break
        try:
            with warnings.catch_warnings():
                # What warns is compiled in every job, where the tree's own filters count.
                warnings.simplefilter("error")
                name, code = compiled(path)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError, Warning):
            continue  # Whoever imports it will be told.
        size += len(code)
        if size > MAX_ARCHIVE:
            break
        archive[path] = (name, code)
    left = memoryview(marshal.dumps(archive))
    while left:
        left = left[os.write(descriptor, left):]


def sources():
    for folder, folders, names in os.walk("."):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in LEFT_OUT]
        for name in names:
            path = os.path.normpath(os.path.join(folder, name))
            if name.endswith(".py") and not os.path.islink(path) and os.path.getsize(path) <= MAX_SOURCE:
                yield path


def is_test(path):
    name = os.path.basename(path)
    return name == "conftest.py" or name.startswith("test_") or name.endswith("_test.py")


def compiled(path):
    """Where the byte code of a source belongs, and the file's bytes (PEP 552, by time and size)."""
    place = os.path.join(os.getcwd(), path)
    status = os.stat(path)
    with open(path, "rb") as file:
        source = file.read()
    if is_test(path) and rewrite_asserts is not None:
        tree = ast.parse(source, filename=place)
        rewrite_asserts(tree, source, place)
        code = compile(tree, place, "exec", dont_inherit=True)
        folder, name = os.path.split(path)
        target = os.path.join(folder, "__pycache__", name[:-3] + PYC_TAIL)
    else:
        code = compile(source, place, "exec", dont_inherit=True)
        target = importlib.util.cache_from_source(path)
    head = struct.pack("<4sLLL", importlib.util.MAGIC_NUMBER, 0, int(status.st_mtime) & 0xFFFFFFFF, len(source))
    return target, head + marshal.dumps(code)


def files(archive, changed):
    """The files of an archive, but for sources that are changed."""
    return [
        {"path": name, "content": code}
        for path, (name, code) in (marshal.loads(archive).items() if archive else [])
        if path not in changed and not any(folder in changed for folder in folders_of(name))
    ]


def folders_of(path):
    """`a` and `a/b` of `a/b/c.py`: where a job writes a file of that name, nothing lies below it."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
