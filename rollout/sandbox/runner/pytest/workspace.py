"""One command in a work tree that outlives it: files of earlier commands in, the command, files that differ out.

In: the layer, which is what differs from the base tree and from an empty `/tmp`, and a command. Out: one event `worked`
with how the command ended and the layer as it is then. The command runs behind all barriers of a job; this process does
not, so it ends every process of the command before it looks at a file, and never follows a link.

An entry of a layer has a path `p` below `repo/` or `tmp/`, a kind `k` (`f` file, `d` folder, `o` folder that hides the one
below it, `l` link, `x` deleted), a mode `m` and the content `c` in base64, or the target of a link.
"""

import base64
import json
import os
import select
import shutil
import signal
import stat
import sys
import sysconfig
import time

# Made again by whoever needs it.
LEFT_OUT = {"__pycache__", ".pytest_cache"}
TOOLS = ".bin"
# A layer travels with every command.
MAX_BYTES, MAX_ENTRIES = 24 << 20, 20000
MAX_DEPTH = 100
# Seconds that the processes of a command have to be gone after they were killed.
GONE = 5
OPAQUE = "user.overlay.opaque"


class Lost(Exception):
    """Why the files of a command are not kept."""


def put(layer, roots, owner=None, overlay=False):
    """Writes a layer: into empty upper layers of an overlay, or over a plain tree. Follows no link."""
    for entry in layer:
        parts = entry["p"].split("/")
        if not all(part and part not in (".", "..") and "\0" not in part for part in parts) or parts[0] not in roots:
            raise OSError("the path `%s` leaves the work tree" % entry["p"])
        path, kind = roots[parts[0]], entry["k"]
        for part in parts[1:-1]:
            path += "/" + part
            if os.path.islink(path) or not os.path.isdir(path):
                raise OSError("no folder holds `%s`" % entry["p"])
        path += "/" + parts[-1]
        if kind in "do":
            if os.path.islink(path) or not os.path.isdir(path):
                remove(path)
                os.mkdir(path)
            os.chmod(path, entry["m"] | 0o700)
            if kind == "o" and overlay:
                os.setxattr(path, OPAQUE, b"y")
        else:
            remove(path)
        if kind == "f":
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
                file.write(base64.b64decode(entry["c"]))
                os.fchmod(file.fileno(), entry["m"])
        elif kind == "l":
            os.symlink(entry["c"], path)
        elif kind == "x" and overlay:
            os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
            continue
        if owner is not None and kind != "x":
            os.chown(path, owner, owner, follow_symlinks=False)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


class Found:
    """The layer as it is found after a command. `shown` are names in `/tmp` that the machine shows there."""

    def __init__(self, shown):
        self.entries, self.bytes = [], 0
        self.not_kept = {"tmp/" + name for name in shown | {TOOLS}}

    def add(self, path, kind, mode=0, content=""):
        try:
            path.encode()
            content.encode()
        except UnicodeEncodeError:
            return
        self.entries.append({"p": path, "k": kind, "m": mode & 0o777, "c": content})
        self.bytes += len(path) + len(content) * 3 // 4
        if len(self.entries) > MAX_ENTRIES or self.bytes > MAX_BYTES:
            raise Lost("it left more than %d files or %d MiB" % (MAX_ENTRIES, MAX_BYTES >> 20))

    def take(self, place, path, status):
        """What lies at `place`. True for a folder."""
        mode = status.st_mode
        if stat.S_ISREG(mode):
            if self.bytes + status.st_size > MAX_BYTES:
                raise Lost("it left more than %d MiB" % (MAX_BYTES >> 20))
            self.add(path, "f", mode, base64.b64encode(content_of(place)).decode())
        elif stat.S_ISLNK(mode):
            self.add(path, "l", 0, os.readlink(place))
        elif stat.S_ISCHR(mode) and status.st_rdev == 0:
            self.add(path, "x")
        return stat.S_ISDIR(mode)

    def upper(self, place, path, depth=0):
        """All of an overlay's upper layer; a folder stands before what is in it."""
        if depth == 0:
            self.device = os.lstat(place).st_dev
        for name in names(place, depth):
            inner, inside = place + "/" + name, path + "/" + name
            status = os.lstat(inner)
            # Something of the machine that is shown there.
            if status.st_dev != self.device or inside in self.not_kept:
                continue
            if self.take(inner, inside, status):
                self.add(inside, "o" if is_opaque(inner) else "d", status.st_mode)
                self.upper(inner, inside, depth + 1)

    def changed(self, place, path, before, depth=0):
        """What of a plain tree differs from what it was; what is gone is told by `gone`."""
        for name in names(place, depth):
            inner, inside = place + "/" + name, path + "/" + name
            status = os.lstat(inner)
            known = before.get(inside)
            if stat.S_ISDIR(status.st_mode):
                if known is None or known[0] != "d":
                    self.add(inside, "d", status.st_mode)
                self.changed(inner, inside, before, depth + 1)
            elif known != mark(status):
                self.take(inner, inside, status)

    def gone(self, root, before):
        hidden = []
        for path in sorted(before):
            if path.startswith(tuple(hidden)):
                continue
            if not os.path.lexists(root + path[len("repo"):]):
                self.add(path, "x")
                hidden.append(path + "/")


def names(place, depth):
    if depth > MAX_DEPTH:
        raise Lost("it left folders that are nested too deeply")
    try:
        found = os.listdir(place)
    except PermissionError:
        os.chmod(place, 0o700)
        found = os.listdir(place)
    return sorted(name for name in found if name not in LEFT_OUT)


def content_of(place):
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(place, flags)
    except PermissionError:
        os.chmod(place, 0o600)
        descriptor = os.open(place, flags)
    with open(descriptor, "rb") as file:
        return file.read(MAX_BYTES + 1)


def is_opaque(place):
    try:
        return os.getxattr(place, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def mark(status):
    """What no command can make as it was: the kernel alone sets the second time."""
    if stat.S_ISDIR(status.st_mode):
        return ("d",)
    return ("f", status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)


def marks(root):
    """How a plain tree is now."""
    found = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        for name in folders + files:
            path = folder + "/" + name
            found["repo" + path[len(root):]] = mark(os.lstat(path))
    return found


def run(channel, spec, confine, end_all, collect):
    """Runs the command and tells what came of it. Never returns.

    `confine` raises the barriers around the command, `end_all` ends its processes, `collect` reads the layer.
    """
    refusal, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(refusal)
            become(spec, confine)
        except BaseException as error:
            barrier, reason = error.args if len(error.args) == 2 and isinstance(error.args[0], str) else ("setup", error)
            os.write(tell, json.dumps({"barrier": str(barrier), "reason": str(reason)}).encode())
        finally:
            os._exit(71)
    os.close(tell)
    with open(refusal, "rb") as file:
        refused = file.read()
    if refused:
        channel.send("refused", **json.loads(refused))
        os._exit(71)
    channel.send("start")
    code = wait(pid, spec["timeout_s"])
    layer, lost = [], None
    try:
        end_all()
        layer = collect()
    except Lost as error:
        lost = str(error)
    except (OSError, RecursionError, MemoryError) as error:
        lost = "they cannot be read: %s" % (getattr(error, "strerror", None) or type(error).__name__)
    channel.send("worked", exit=0 if code is None else code, late=code is None, layer=None if lost else layer, lost=lost)
    os._exit(0)


def become(spec, confine):
    """Becomes the command, with every barrier up."""
    os.setsid()
    tools = "/tmp/" + TOOLS
    remove(tools)
    os.mkdir(tools)
    for name in ("python", "python3"):
        os.symlink(sys.executable, tools + "/" + name)
    folders = [os.path.normpath("/repo/" + folder) for folder in spec["python_path"]] or ["/repo"]
    path = tools + ":" + os.environ.get("PATH", "/usr/bin:/bin")
    os.environ.update(PYTHONPATH=":".join(folders + packages()), PWD="/repo", PATH=path)
    confine()
    os.chdir("/repo")
    shell = next((shell for shell in ("/bin/bash", "/usr/bin/bash") if os.path.exists(shell)), "/bin/sh")
    os.execv(shell, [os.path.basename(shell), "-c", spec["workspace"]["command"]])


def packages():
    """Folders of packages that this process finds, and that a Python under another name might not."""
    own = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    own |= {folder + "/lib-dynload" for folder in own} | {"/run/train"}
    return [place for place in sys.path if place.startswith("/") and place not in own and os.path.isdir(place)]


def wait(pid, seconds):
    """The end of the command; none where its time is up. Whatever else ends is taken note of."""
    poll = select.poll()
    poll.register(os.pidfd_open(pid), select.POLLIN)
    late = time.monotonic() + seconds
    while time.monotonic() < late:
        poll.poll(50)
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if ended == pid:
                return os.waitstatus_to_exitcode(status)
            if ended == 0:
                break
    return None


def kill_namespace():
    """Ends everything else in a PID namespace whose first process this is."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass
    reap()


def kill_others(own):
    """Ends every process but those of `own`, where this is not the first process of its namespace."""
    late = time.monotonic() + GONE
    while time.monotonic() < late:
        others = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in own]
        if not others:
            return
        for pid in others:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        reap_now()
        time.sleep(0.002)
    raise Lost("its processes could not be ended")


def reap():
    late = time.monotonic() + GONE
    while time.monotonic() < late:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.001)
        except ChildProcessError:
            return
    raise Lost("its processes could not be ended")


def reap_now():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass


def ancestors():
    """This process, and those that it comes from."""
    found, pid = {1}, os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        with open("/proc/%d/stat" % pid) as file:
            pid = int(file.read().rsplit(")", 1)[1].split()[1])
    return found
