"""Landlock: where a process and all that it starts may write, whatever the mounts say.

In: paths. Out: the kernel's ABI, with the calling thread restricted for ever. Nothing here knows which sandbox asks: it
needs Linux, ctypes and no privilege. Example: `restrict(["/tmp", "/dev/shm", "/dev/null"])`.

What is not asked of the kernel: reads, unless `readable` is given, and the network, since tests talk to themselves over
`localhost`. The first ABI (Linux 5.13) has no right to move files between folders: such a move fails with `EXDEV` there.
The first two (before Linux 6.2) let anybody empty what he owns; there a filter of system calls refuses what empties a
file that was not opened for writing, wherever it lies.
"""

import ctypes
import errno
import os
import stat
import struct

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION, PATH_BENEATH, LOG_OFF = 1, 1, 1
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2

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

# Of the machines that we run on: what the kernel calls them, and the numbers of truncate, openat and, where it exists, open.
MACHINES = {"x86_64": (0xC000003E, 76, 257, 2), "aarch64": (0xC00000B7, 45, 56, None)}
# Of a filter of system calls: what it does, and what it answers.
LOAD, IS, IS_AT_LEAST, HAS, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
# Where it finds the number of a call, the machine's, and the lower half of the second and the third word.
NUMBER, MACHINE, SECOND, THIRD = 0, 4, 24, 32
OPENAT2, FOREIGN_TABLE = 437, 0x40000000

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


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]


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
    if filters(version):
        steps = no_truncation(*MACHINES[os.uname().machine])
        every = Filter(len(steps), b"".join(struct.pack("=HBBI", *step) for step in steps))
        if LIBC.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(every)) != 0:
            raise OSError(ctypes.get_errno(), "seccomp: cannot forbid to truncate files")
    return version


def filters(version):
    """How many filters of system calls come with it."""
    return 1 if version < SINCE[TRUNCATE] else 0


def no_truncation(machine, truncate, openat, plain_open):
    """Refuses `truncate`, and to open with `O_TRUNC` but not for writing, which Landlock is not asked about.

    `ftruncate` needs a file that was opened for writing. The flags of `openat2` are out of a filter's sight: it does not
    exist. Each step: what to do, how many steps to pass over if it holds and if not, and its value.
    """
    no_open = FOREIGN_TABLE - 1 if plain_open is None else plain_open
    return [
        (LOAD, 0, 0, MACHINE),
        (IS, 1, 0, machine),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (IS_AT_LEAST, 13, 0, FOREIGN_TABLE),
        (IS, 12, 0, truncate),
        (IS, 12, 0, OPENAT2),
        (IS, 2, 0, no_open),
        (IS, 3, 0, openat),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, SECOND),
        (HAS, 2, 5, os.O_TRUNC),
        (LOAD, 0, 0, THIRD),
        (HAS, 0, 3, os.O_TRUNC),
        (AND, 0, 0, os.O_ACCMODE),
        (IS, 1, 0, os.O_WRONLY),
        (IS, 0, 1, os.O_RDWR),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE | errno.EACCES),
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),
    ]


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
