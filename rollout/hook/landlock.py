"""Landlock: where a process and all that it starts may write, whatever the mounts say.

In: paths. Out: the kernel's ABI, with the calling thread restricted for ever. Nothing here knows which sandbox asks: it
needs Linux, ctypes and no privilege. Example: `restrict(["/tmp", "/dev/shm", "/dev/null"])`.

What is not asked of the kernel: reads, unless `readable` is given, and the network, since tests talk to themselves over
`localhost`. The first ABI (Linux 5.13) has no right to move files between folders: such a move fails with `EXDEV` there.
"""

import ctypes
import errno
import os
import stat

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION, PATH_BENEATH, LOG_OFF = 1, 1, 1
PR_SET_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR = 1 << 4, 1 << 5, 1 << 6, 1 << 7
MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
SCOPE_ABSTRACT_SOCKET, SCOPE_SIGNAL = 1 << 0, 1 << 1

READ = EXECUTE | READ_FILE | READ_DIR
# Devices are made by nobody, not even where everything else may be.
MAKE_DEVICE = MAKE_CHAR | MAKE_BLOCK
WRITE = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM
WRITE |= REFER | TRUNCATE | IOCTL_DEV
# The rights that mean something on what is no folder; the kernel refuses a rule with others.
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
# What an ABI before this one does not know.
SINCE = {REFER: 2, TRUNCATE: 3, IOCTL_DEV: 5}
SCOPES_SINCE, LOG_OFF_SINCE = 6, 7

CURES = {
    errno.ENOSYS: "use Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK; in a container, a seccomp profile that allows it",
    errno.EOPNOTSUPP: "add `landlock` to the kernel's `lsm=` parameter",
    errno.EPERM: "in a container: a seccomp profile that allows `landlock_create_ruleset`",
}

# PyDLL keeps the interpreter lock: the restriction is of the calling thread, and that must be this one.
LIBC = ctypes.PyDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long


class Ruleset(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def call(number, *words):
    answer = LIBC.syscall(ctypes.c_long(number), *words)
    if answer < 0:
        code = ctypes.get_errno()
        cure = " (hint: %s)" % CURES[code] if code in CURES else ""
        raise OSError(code, "Landlock: %s%s" % (os.strerror(code), cure))
    return answer


def abi():
    """The kernel's ABI. `OSError`, with what to do, where it has none."""
    return call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION))


def known(rights, version):
    """Those of the rights that this ABI has."""
    for right, since in SINCE.items():
        if version < since:
            rights &= ~right
    return rights


def restrict(writable, readable=None):
    """Forbids this thread, and all that it starts, to write anywhere else; and to read elsewhere, where `readable` is given.

    Signals and abstract sockets reach nobody outside any more (ABI 6). Paths that do not exist are left out.
    """
    version = abi()
    handled = known(WRITE | MAKE_DEVICE | (READ if readable is not None else 0), version)
    scoped = SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL if version >= SCOPES_SINCE else 0
    attributes = Ruleset(handled, 0, scoped)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    ruleset = call(CREATE_RULESET, ctypes.byref(attributes), size, ctypes.c_uint32(0))
    try:
        for paths, rights in ((writable, WRITE | READ), (readable or (), READ)):
            for path in paths:
                allow(ruleset, path, known(rights, version) & handled)
        if LIBC.prctl(PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))) != 0:
            raise OSError(ctypes.get_errno(), "Landlock: cannot give up new privileges")
        # Whoever is refused a lot would fill the machine's log.
        flags = LOG_OFF if version >= LOG_OFF_SINCE else 0
        call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(flags))
    finally:
        os.close(ruleset)
    return version


def allow(ruleset, path, rights):
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            rights &= OF_A_FILE
        rule = PathBeneath(rights, parent)
        call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(parent)
