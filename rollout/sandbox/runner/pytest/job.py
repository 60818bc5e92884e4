"""One job of the embedded sandbox: raise the barriers, drop every privilege, then run pytest, or jest.

Runs in the forked child, which is process 1 of a fresh PID namespace. Everything before `pytest_plugin.run` is ours;
no code under test is loaded before the last privilege is gone. The runner of a container takes its barriers and its
end from here.
"""

import contextlib
import ctypes
import json
import os
import random
import re
import resource
import signal
import stat
import sys

import compiled
import jest
import landlock
import pytest_plugin
import workspace

EVENTS, ARCHIVE = 3, 4
UID = 1000
# Where a job may write. `/tmp` and `/dev/shm` are its own.
WRITABLE = ["/tmp", "/dev/shm", "/dev/null", "/dev/zero", "/dev/full"]

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC = 1, 2, 4, 8, 32, 4096, 16384
MNT_DETACH = 2
PR_SET_DUMPABLE = 4
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID = 0x20000, 0x08000000, 0x20000000
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 22, 24, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL, SECCOMP_MODE_FILTER = 4, 2
CAPABILITY_VERSION = 0x20080522

# PyDLL keeps the interpreter lock: no other thread exists, and a fork never happens inside of it.
LIBC = ctypes.PyDLL(None, use_errno=True)
LIBC.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
LIBC.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4

# Barriers that are namespaces, and what the kernel calls them.
NAMESPACES = {
    "user-ns": "user", "pid-ns": "pid", "mount-ns": "mnt", "net-ns": "net", "ipc-ns": "ipc", "uts-ns": "uts",
}


class Refused(Exception):
    """A barrier that could not be raised, by name."""


class CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class CapData(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def check(barrier, answer):
    if answer != 0:
        raise Refused(barrier, os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def refusing(name):
    try:
        yield
    except OSError as error:
        raise Refused(name, error.strerror or str(error))


def mount(barrier, source, target, kind=None, flags=0, options=None):
    words = [word if word is None else os.fsencode(word) for word in (source, target, kind, options)]
    check(barrier, LIBC.mount(words[0], words[1], words[2], flags, words[3]))


def writable(path):
    try:
        with open(path, "r+b", buffering=0):
            return True
    except OSError:
        return False


def die_with_parent():
    check("parent-death-signal", LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


class Barriers:
    """What stands between a job and the machine."""

    def __init__(self, settings):
        code = bytes.fromhex(settings["seccomp"])
        self.filter = Filter(len(code) // 8, code)
        self.switch_user = settings["switch_user"]
        self.outside = settings.get("outside", {})
        self.below_tmp = settings["below_tmp"]
        self.jest = settings["jest"]
        with open("/proc/sys/kernel/cap_last_cap") as last:
            self.last_capability = int(last.read())
        with refusing("landlock"):
            self.landlock = landlock.abi()

    def next_pid_namespace(self, own):
        """The next fork becomes process 1 of a fresh PID namespace."""
        check("pid-ns", LIBC.setns(own, CLONE_NEWPID))
        check("pid-ns", LIBC.unshare(CLONE_NEWPID))

    def raise_around(self, spec):
        check("mount-ns", LIBC.unshare(CLONE_NEWNS | CLONE_NEWIPC))
        disk = spec["disk_bytes"]
        safe = MS_NOSUID | MS_NODEV
        mount("overlay", "scratch", "/scratch", "tmpfs", safe, "size=%d,mode=755" % disk)
        for folder in ("lower", "upper", "work", "tmp", "shm"):
            os.mkdir("/scratch/" + folder)
        os.chmod("/scratch/tmp", 0o1777)
        os.chmod("/scratch/shm", 0o1777)
        try:
            mount("overlay", "/.host" + spec["tree"], "/scratch/lower", None, MS_BIND)
        except Refused as refused:
            raise Refused("overlay", "cannot bind the tree `%s`: %s" % (spec["tree"], refused.args[1]))
        write_changes(spec["changes"] + spec["compiled"])
        if spec["workspace"]:
            self.open_work_tree(spec["workspace"]["layer"])
        layers = "lowerdir=/scratch/lower,upperdir=/scratch/upper,workdir=/scratch/work,userxattr"
        mount("overlay", "repo", "/repo", "overlay", safe, layers)
        ablation = spec.get("ablation", {})
        if ablation.get("before"):
            attempt_first(ablation["before"])
        # The tests that judge cannot be rewritten, whoever owns them.
        if not ablation.get("read_only") and not spec["workspace"]:
            mount("overlay", None, "/repo", None, MS_REMOUNT | MS_BIND | MS_RDONLY | safe)
        mount("overlay", "/scratch/tmp", "/tmp", None, MS_BIND)
        mount("overlay", "/scratch/shm", "/dev/shm", None, MS_BIND)
        for shown, source in self.below_tmp:
            os.makedirs(shown, exist_ok=True)
            mount("mount-ns", "/.host" + source, shown, None, MS_BIND)
        mount("pid-ns", "proc", "/proc", "proc", safe | MS_NOEXEC)
        for hidden in ("/scratch", "/.host"):
            check("mount-ns", LIBC.umount2(os.fsencode(hidden), MNT_DETACH))

    def open_work_tree(self, layer):
        """Lays what earlier commands left over the tree, and lets the job write there."""
        os.chmod("/scratch/upper", 0o777)
        roots = {"repo": "/scratch/upper", "tmp": "/scratch/tmp"}
        with refusing("overlay"):
            workspace.put(layer, roots, UID if self.switch_user else None, overlay=True)
        # The only way to it once `/scratch` is hidden; no process of the command has it.
        self.upper = os.open("/scratch/upper", os.O_RDONLY | os.O_DIRECTORY)

    def limit(self, spec):
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")
        bounds = {
            resource.RLIMIT_AS: spec["memory_bytes"],
            resource.RLIMIT_FSIZE: spec["disk_bytes"],
            resource.RLIMIT_NPROC: spec["processes"],
            resource.RLIMIT_NOFILE: 1024,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_CPU: spec["timeout_s"] * 4 + 5,
        }
        if spec["runner"] == "jest":
            # Node.js reserves far more address space than it uses; the fork server watches what is used.
            del bounds[resource.RLIMIT_AS]
        for bound, value in bounds.items():
            hard = resource.getrlimit(bound)[1]
            if hard != resource.RLIM_INFINITY:
                value = min(value, hard)
            resource.setrlimit(bound, (value, value))

    def confine_writes(self, writable=WRITABLE):
        with refusing("landlock"):
            landlock.restrict(writable)

    def measured(self):
        """What stands around this process, by what the kernel says of it."""
        with open("/proc/self/status") as file:
            status = dict(line.split(":", 1) for line in file)
        with open("/proc/self/mountinfo") as file:
            mounts = [line.split(" - ") for line in file]
        with open("/proc/self/cgroup") as file:
            groups = [line.split(":", 2) for line in file]
        counted = {number == "0" for number, _, path in groups if re.search(r"/train-\d+-\d+-\d+$", path.strip())}
        repo = [left.split()[5] for left, right in mounts if left.split()[4] == "/repo" and right.startswith("overlay ")]
        sets = [status["Cap" + name].strip("\t\n0") for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")]
        bounds = [resource.getrlimit(bound)[0] for bound in (resource.RLIMIT_AS, resource.RLIMIT_NPROC)]
        found = {
            barrier: self.outside.get(kind) not in (None, os.readlink("/proc/self/ns/" + kind))
            for barrier, kind in NAMESPACES.items()
        }
        found["read-only-root"] = bool(os.statvfs("/").f_flag & os.ST_RDONLY)
        found["overlay"] = bool(repo) and "ro" in repo[0].split(",")
        found["landlock-%d" % self.landlock] = not writable("/proc/self/comm")
        found["capabilities"] = not any(sets)
        found["no-new-privs"] = status["NoNewPrivs"].strip() == "1"
        # Where Landlock does not know of truncation, it brings a filter of its own, which does not count.
        own = int(status.get("Seccomp_filters", "1")) > landlock.filters(self.landlock)
        found["seccomp"] = status["Seccomp"].strip() == "2" and own
        found["rlimits"] = resource.RLIM_INFINITY not in bounds
        # The fork server's own; it needs nothing of the kernel.
        found["memory-watch"] = True
        found["cgroup-none"] = not counted
        found["cgroup-v1"], found["cgroup-v2"] = counted == {False}, True in counted
        return [barrier for barrier, up in found.items() if up]

    def drop_privileges(self):
        for capability in range(self.last_capability + 1):
            check("capabilities", LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
        if self.switch_user:
            os.setgroups([])
            os.setresgid(UID, UID, UID)
            os.setresuid(UID, UID, UID)
        check("capabilities", LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
        none = (CapData * 2)()
        check("capabilities", LIBC.capset(ctypes.byref(CapHeader(CAPABILITY_VERSION, 0)), none))

    def close_calls(self):
        check("no-new-privs", LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        address = ctypes.addressof(self.filter)
        check("seccomp", LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address, 0, 0))


def attempt_first(program):
    """Where no sandbox is fresh: what an attempt did to the tree before it is judged. Only measurements ask for it."""
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir("/repo")
            exec(program, {"__name__": "__main__"})
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def write_changes(changes):
    """Writes the job's files into the empty upper layer, before it is laid over the tree.

    Nothing in that layer is a link and nobody else can see it yet, so no path can lead out of it.
    """
    written = {change["path"] for change in changes if change["content"] is not None}
    for change in changes:
        parts = change["path"].split("/")
        if not all(part and part not in (".", "..") and "\0" not in part for part in parts):
            raise Refused("overlay", "the path `%s` leaves the tree" % change["path"])
        if change["content"] is None:
            # A folder that became a file, or a file that became a folder, is hidden by what took its place.
            replaced = any(path in written for path in compiled.folders_of(change["path"]))
            if replaced or any(name.startswith(change["path"] + "/") for name in written):
                continue
            os.mknod(place_of(parts), stat.S_IFCHR, os.makedev(0, 0))
            continue
        content = change["content"]
        with open(place_of(parts), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())


def place_of(parts):
    """Where a file of the upper layer lies, with the folders above it made."""
    folder = "/scratch/upper"
    for part in parts[:-1]:
        folder += "/" + part
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o755)
    return folder + "/" + parts[-1]


def run(descriptors, barriers):
    """Reads the job, raises the barriers, runs pytest. Never returns."""
    spec_fd, events, output = descriptors[:3]
    with open(spec_fd, "rb") as file:
        spec = json.loads(file.read())
    changed = {change["path"] for change in spec["changes"]}
    given = len(descriptors) > 3 and not spec["compile"]
    archive = os.pread(descriptors[3], os.fstat(descriptors[3]).st_size, 0) if given else b""
    spec["compiled"] = compiled.files(archive, changed)
    nothing = os.open("/dev/null", os.O_RDONLY)
    for target, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, target)
    # The control socket's number is free by now.
    os.dup2(events, EVENTS, inheritable=False)
    if spec["compile"]:
        os.dup2(descriptors[3], ARCHIVE, inheritable=False)
    os.closerange(ARCHIVE + spec["compile"], 1 << 20)
    channel = pytest_plugin.Channel(EVENTS, spec.pop("nonce"))
    try:
        os.umask(0o022)
        barriers.raise_around(spec)
        if spec["workspace"]:
            work(channel, spec, barriers)
        barriers.limit(spec)
        barriers.confine_writes(WRITABLE + ["/repo"] * bool(spec.get("ablation", {}).get("read_only")))
        barriers.drop_privileges()
        barriers.close_calls()
    except Refused as refused:
        channel.send("refused", barrier=refused.args[0], reason=refused.args[1])
        os._exit(71)
    except OSError as error:
        channel.send("refused", barrier="setup", reason=str(error))
        os._exit(71)
    if spec["probe"]:
        os.write(1, json.dumps(barriers.measured()).encode())
        channel.send("start")
        channel.send("finish", exit=0)
        os._exit(0)
    if spec["command"]:
        channel.send("start")
        os.chdir("/repo")
        command = spec["command"]
        os.execv(command[0], command)
    test(channel, spec, barriers)


def work(channel, spec, barriers):
    """A command in a work tree. This process keeps its privileges, runs nothing of it, and looks at what it left."""

    def confine():
        barriers.limit(spec)
        barriers.confine_writes(WRITABLE + ["/repo"])
        barriers.drop_privileges()
        barriers.close_calls()

    def collect():
        found = workspace.Found({place.split("/")[2] for place, _ in barriers.below_tmp})
        os.fchdir(barriers.upper)
        found.upper(".", "repo")
        os.chdir("/tmp")
        found.upper(".", "tmp")
        return found.entries

    # Of the same user as the command where that is no other one: it must not open what this process has open.
    check("capabilities", LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
    workspace.run(channel, spec, confine, workspace.kill_namespace, collect)


def test(channel, spec, barriers):
    """Runs the tests, or compiles the tree, with every barrier up. Never returns."""
    os.chdir("/repo")
    if spec["runner"] == "jest":
        # Says itself when it is about to load code under test.
        jest.run(channel, spec, barriers.jest, LIBC.prctl)
    channel.send("start")
    folders = [os.path.normpath("/repo/" + folder) for folder in spec["python_path"]]
    sys.path[:0] = folders
    os.environ.update(PYTHONPATH=":".join(folders), PWD="/repo")
    random.seed(0)
    if spec["compile"]:
        compiled.write(ARCHIVE)
        channel.send("finish", exit=0)
        os._exit(0)
    pytest_plugin.run(channel, spec)
