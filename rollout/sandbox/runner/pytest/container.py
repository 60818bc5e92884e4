"""The runner inside of a container: one container, one job.

In: on standard input, the fork server's settings when it starts, and much later one job: `<bytes of the spec> <bytes of
the files> <bytes of the byte code>`, a line, then all three. Out: on standard output one line `ready <json>`, then the
events of the job; on standard error what the code prints, or the byte code of a tree that was to be compiled. The exit
status tells how the job ended; 86 says that memory ran out.
A job for jest brings our files in JavaScript with it. They are written before Landlock closes their folder for ever.
It is sent into the container as text, so any image will do that has Python and pytest. The parent loads no code under
test and waits: it goes when the job ends, and when the other side of standard input is gone.
"""

import gc
import json
import os
import select
import shutil
import signal
import sys
import traceback

import compiled
import jest
import job
import memory
import pytest_plugin
import workspace

OUT_OF_MEMORY, BROKEN = 86, 85
EVENTS = 3
# Where jest finds our files, as in the embedded sandbox: a memory file system of its own.
HOOK = "/run/train"
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
# What the kernel says of this process; the other side compares it with what it asked for.
PROMISED = ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
# Where either kind of cgroup keeps its limits; what no limit looks like is larger than any machine.
LIMITS = {
    "memory": ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    "pids": ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
}
NO_LIMIT = 1 << 50
# Seconds between two looks at the memory of the job.
WATCH = 0.1
OOM_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


def main(settings):
    # Of the same user as the job, which must not open what this process has open.
    job.check("capabilities", job.LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
    pytest_plugin.warm("/tmp/warm")
    shutil.rmtree("/tmp/warm")
    found = jest.look(settings["jest"])
    try:
        barriers = job.Barriers({**settings, "switch_user": False, "below_tmp": [], "jest": found})
    except job.Refused as refused:
        os.write(1, b"refused " + json.dumps({"barrier": refused.args[0], "reason": refused.args[1]}).encode() + b"\n")
        os._exit(BROKEN)
    gc.collect()
    gc.freeze()
    killed = oom_kills()
    pid = os.fork()
    if pid == 0:
        try:
            run(barriers)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(BROKEN)
    ready = {"status": status(), "landlock": barriers.landlock, "jest": found}
    os.write(1, b"ready " + json.dumps(ready).encode() + b"\n")
    exit_code, out_of_memory = wait(pid, settings["memory_bytes"])
    os._exit(OUT_OF_MEMORY if out_of_memory or oom_kills() > killed else min(exit_code, BROKEN))


def status():
    """What the kernel says of the barriers around this process."""
    with open("/proc/self/status") as file:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    told = {name: lines.get(name, "") for name in PROMISED}
    told["user"] = str(os.getuid())
    told["root"] = "read-only" if os.statvfs("/").f_flag & os.ST_RDONLY else "writable"
    with open("/proc/net/dev") as file:
        told["network"] = " ".join(line.split(":")[0].strip() for line in file if ":" in line)
    told.update({name: "limited" if is_limited(paths) else "not limited" for name, paths in LIMITS.items()})
    return told


def is_limited(paths):
    for path in paths:
        try:
            with open(path) as file:
                text = file.read().strip()
                return text.isdigit() and int(text) < NO_LIMIT
        except OSError:
            pass
    return False


def oom_kills():
    """Processes that were killed for the container's memory, by whichever kind of cgroup there is."""
    for path in OOM_COUNTERS:
        try:
            with open(path) as file:
                for line in file:
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        except OSError:
            pass
    return 0


def wait(pid, limit):
    """The end of the job, or of whoever asked for it: a job that nobody waits for is killed."""
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    # No event is asked for: only the end of the other side is told.
    poll.register(0, 0)
    spare, own = memory.anonymous_bytes("self"), ("1", str(os.getpid()))
    ready, out_of_memory = [], False
    while not ready and not out_of_memory:
        ready = [descriptor for descriptor, _ in poll.poll(1000 * WATCH)]
        out_of_memory = memory.used_bytes(spare, own) > limit
    if pidfd not in ready:
        os.kill(pid, signal.SIGKILL)
    _, ended = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(ended)
    return code if code >= 0 else 64 - code, out_of_memory


def run(barriers):
    """In the child: takes the job, raises what the engine could not, runs the tests. Never returns."""
    job.check("capabilities", job.LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
    with open(0, "rb", closefd=False) as stream:
        header = stream.readline()
        if not header:
            os._exit(0)  # Nobody has a job any more.
        spec_bytes, file_bytes, code_bytes = (int(word) for word in header.split())
        spec = json.loads(stream.read(spec_bytes))
        write_tree("/repo", spec.pop("tree"), stream.read(file_bytes))
        changed = {change["path"] for change in spec["changes"]}
        write_compiled("/repo", compiled.files(stream.read(code_bytes), changed))
        write_hook(HOOK, spec.pop("hook"))
    # First of all: the number that it is opened under may be that of the events.
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(1, EVENTS, inheritable=False)
    os.dup2(2, 1)
    os.closerange(EVENTS + 1, 1 << 16)
    if spec["compile"]:
        os.dup2(2, job.ARCHIVE, inheritable=False)
    channel = pytest_plugin.Channel(EVENTS, spec.pop("nonce"))
    try:
        os.umask(0o022)
        if spec["workspace"]:
            work(channel, spec, barriers)
        confine(spec, barriers, job.WRITABLE)
    except job.Refused as refused:
        channel.send("refused", barrier=refused.args[0], reason=refused.args[1])
        os._exit(BROKEN)
    except OSError as error:
        channel.send("refused", barrier="setup", reason=str(error))
        os._exit(BROKEN)
    job.test(channel, spec, barriers)


def confine(spec, barriers, writable):
    """Raises what the engine could not, around this process and all that it starts."""
    barriers.limit(spec)
    # Rather this process than the one that watches it.
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    barriers.confine_writes(writable)
    barriers.close_calls()


def work(channel, spec, barriers):
    """A command in a work tree. Never returns."""
    job.check("capabilities", job.LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
    # What the command leaves behind becomes this process's own.
    job.check("pid-ns", job.LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
    own, before, shown = workspace.ancestors(), workspace.marks("/repo"), set(os.listdir("/tmp"))
    workspace.put(spec["workspace"]["layer"], {"repo": "/repo", "tmp": "/tmp"})

    def collect():
        found = workspace.Found(shown)
        found.gone("/repo", before)
        found.changed("/repo", "repo", before)
        os.chdir("/tmp")
        found.upper(".", "tmp")
        return found.entries

    def confine_command():
        # Nothing of the command runs yet, and whose files below `/proc` are not its own cannot write there.
        job.check("capabilities", job.LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
        confine(spec, barriers, job.WRITABLE + ["/repo"])

    workspace.run(channel, spec, confine_command, lambda: workspace.kill_others(own), collect)


def write_tree(root, entries, content):
    """Writes the job's files into an empty folder. The list is ours: no name leaves it, and links come last."""
    made, place = set(), 0
    for name, mode, size, link, changed_s in entries:
        path = root + "/" + name
        folder = os.path.dirname(path)
        if folder not in made:
            os.makedirs(folder, exist_ok=True)
            made.add(folder)
        if link is not None:
            os.symlink(link, path)
            continue
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content[place:place + size])
        place += size
        # The byte code of a file names the second of its last change.
        if changed_s is not None:
            os.utime(path, (changed_s, changed_s))


def write_compiled(root, files):
    """Writes byte code beside the sources that it was made of."""
    for file in files:
        path = root + "/" + file["path"]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as target:
            target.write(file["content"])


def write_hook(folder, files):
    """Writes our own files, for reading only. Whoever owns them is asked by Landlock as well, from the first test on."""
    for name, text in files:
        with open(os.open(folder + "/" + name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
            file.write(text)
    # Where the engine could make it nobody's, as Podman does, Landlock alone keeps new files out.
    if os.stat(folder).st_uid == os.getuid():
        os.chmod(folder, 0o500)
