"""Fork server of the embedded sandbox: imports pytest once, then forks one child for each job.

In: messages on the control socket, `job <memory bytes>` with descriptors (the job, its event pipe, its output pipe,
and, where there is one, the compiled tree) and `kill`. Out: `ready <json>` once, then `done <status>` for each job, with
` memory` behind it where it was killed for that.
It runs as process 1 of its own PID namespace, loads no code under test, and never reads a job: only the forked child
does, so nothing of one job can be found in the memory of the next.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time

import job
import pytest_plugin
from memory import anonymous_bytes, used_bytes

CONTROL = 3
# Modules that tests commonly ask for. All of them are standard library: trusted, and free for a child to have.
COMMON = """abc argparse ast asyncio base64 bisect calendar cmath collections collections.abc concurrent.futures
configparser contextlib copy csv ctypes dataclasses datetime decimal difflib email enum fnmatch fractions functools
glob gzip hashlib heapq html html.parser importlib.metadata inspect io itertools json logging math multiprocessing
numbers operator os pathlib pdb pickle platform pprint queue random re sched secrets shlex shutil signal socket
statistics string struct subprocess tempfile textwrap threading time timeit token tokenize traceback types typing
unittest unittest.mock urllib.parse uuid warnings weakref xml.etree.ElementTree zipfile zlib zoneinfo""".split()
# Seconds between two looks at the memory of a running job.
WATCH = 0.1


def main():
    settings = json.loads(sys.argv[1])
    for entry in settings["sys_path"]:
        if entry not in sys.path:
            sys.path.append(entry)
    for name in COMMON:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    version = pytest_plugin.warm(settings["warm"])
    control = socket.socket(fileno=CONTROL)
    job.die_with_parent()
    own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        barriers = job.Barriers(settings)
    except job.Refused as refused:
        control.send(b"refused " + json.dumps({"barrier": refused.args[0], "reason": refused.args[1]}).encode())
        sys.exit(1)
    # What lives now lives for ever: the collector of a child need not look at it, so its pages stay shared.
    gc.collect()
    gc.freeze()
    ready = {"python": sys.version.split()[0], "pytest": version}
    control.send(b"ready " + json.dumps(ready).encode())
    serve(control, own_pids, barriers)


def serve(control, own_pids, barriers):
    """One job after the other, until the other side hangs up."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 64, 4)
        if not message:
            os._exit(0)
        if not message.startswith(b"job "):
            continue
        barriers.next_pid_namespace(own_pids)
        pid = os.fork()
        if pid == 0:
            try:
                control.close()
                job.run(descriptors, barriers)
            finally:
                os._exit(70)
        for descriptor in descriptors:
            os.close(descriptor)
        status, out_of_memory = watch(control, pid, int(message[4:]))
        control.send(b"done %d%s" % (status, b" memory" if out_of_memory else b""))


def watch(control, pid, memory):
    """Waits for a job. Its PID 1 takes every other process of its namespace with it."""
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(control, select.POLLIN)
    look = time.monotonic() + WATCH
    spare = anonymous_bytes("self")
    out_of_memory = False
    while True:
        ready = [descriptor for descriptor, _ in poll.poll(1000 * WATCH)]
        if pidfd in ready:
            break
        if ready:
            message = control.recv(64)
            if not message:
                os._exit(0)
            if message == b"kill":
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() >= look:
            look = time.monotonic() + WATCH
            if used_bytes(spare) > memory:
                out_of_memory = True
                os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(pidfd)
    return os.waitstatus_to_exitcode(status), out_of_memory


main()
