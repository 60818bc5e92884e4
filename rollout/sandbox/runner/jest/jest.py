"""jest, watched by a process that loads no code under test: the only one that holds the event channel.

In: a job and the channel. Out: the same events that pytest is told through. Node.js runs as a child; its records come
over a pipe, each with a word that the child's own modules hold. They are believed as a whole only: numbered without a
gap, two tests that must fail failed in every file, a file of such tests outside of the tree failed too, and what jest
says at the end is what was told as it happened.
"""

import json
import os
import random
import select

PR_SET_DUMPABLE = 4
RECORDS = 3
MAX_BYTES = 64 << 20
CANARY = "test(%s, () => { expect(%d).toBe(%d); });\ntest(%s, async () => { throw new Error(%s); });\n"


class Unbelievable(Exception):
    """What is wrong with the records."""


class Watched:
    """What the child told about its run."""

    def __init__(self, channel, spec, word, canaries, outside):
        self.send = channel.send
        self.stop = spec["stop_at_first_failure"]
        self.word, self.canaries, self.outside = word, canaries, outside
        self.number = self.size = 0
        self.partial = b""
        self.tests, self.failed_canaries, self.files = {}, {}, {}
        self.ready = self.done = self.stopped = self.closed = self.told = False
        self.count = max(1, len(spec["ids"] or []))

    def take(self, data):
        self.size += len(data)
        if self.size > MAX_BYTES:
            raise Unbelievable("more records than any suite sends")
        lines = (self.partial + data).split(b"\n")
        self.partial = lines.pop()
        for line in lines:
            if not self.stopped:
                self.record(line)

    def record(self, line):
        try:
            record = json.loads(line)
            ours = record["word"] == self.word and record["number"] == self.number and not self.done
        except (ValueError, KeyError, TypeError):
            ours = False
        if not ours:
            raise Unbelievable("a record is not ours")
        self.number += 1
        kind = record["kind"]
        if kind == "ready":
            self.ready = True
            self.send("start")
            self.send("collected", count=self.count)
            return
        if kind == "broken":
            raise Unbelievable(record["reason"])
        if kind == "done":
            self.done = True
            return
        path, name = record["file"], record.get("name")
        if path == self.outside:
            self.outside_record(kind, record)
            return
        file = os.path.relpath(path, "/repo")
        if kind == "canary":
            if record["status"] != "failed" or name not in self.canaries:
                raise Unbelievable("a test that must fail did not")
            self.failed_canaries.setdefault(file, []).append(name)
        elif kind == "failure":
            self.tell_failure(identity(file, name), record)
        elif kind == "test":
            self.tell(file, name, record["status"], record.get("why", ""))
        elif kind == "file":
            self.compare(file, record)

    def outside_record(self, kind, record):
        if kind == "file":
            self.files[self.outside] = [status for name, status in record["tests"] if name not in self.canaries]

    def tell(self, file, name, status, why=""):
        known = self.tests.setdefault(file, {})
        known[name] = worst(known.get(name), status)
        self.send("test", id=identity(file, name), status=status, why=why)
        if status == "failed" and self.stop:
            self.stopped = True

    def tell_failure(self, test, record):
        if self.told:
            return
        self.told = True
        keys = ("exception", "message", "trace", "frames", "stdout", "stderr")
        self.send("failure", test=test, **{key: record[key] for key in keys})

    def compare(self, file, record):
        """What jest says about a file, and what its tests said while they ran."""
        self.files[file] = record
        if record["broken"]:
            self.tell(file, None, "failed")
            return
        seen = {name: status for name, status in self.tests.get(file, {}).items() if name is not None}
        said = {}
        for name, status in record["tests"]:
            if name in seen:
                said[name] = worst(said.get(name), status)
        if said != seen:
            raise Unbelievable("jest tells `%s` otherwise than its tests did" % file)
        if sorted(self.failed_canaries.get(file, [])) != sorted(self.canaries):
            raise Unbelievable("a test that must fail did not run")

    def check_end(self):
        if not self.done:
            raise Unbelievable("the end was not told")
        if self.files.get(self.outside) != ["failed", "failed"]:
            raise Unbelievable("a file that must fail did not")
        if set(self.tests) - set(self.files):
            raise Unbelievable("the end of a file was not told")


def worst(known, status):
    order = ("passed", "skipped", "failed")
    return status if known is None else max(known, status, key=order.index)


def identity(file, name):
    return file if name is None else "%s::%s" % (file, name)


def look(places):
    """Where Node.js and jest lie in this root, as `run` wants to be told; or else what is missing."""
    node = next((node for node in places["nodes"] if os.access(node, os.X_OK)), None)
    if node is None:
        return {"missing": "Node.js is at none of `%s`" % "`, `".join(places["nodes"])}
    others = []
    for folders in places["modules"]:
        version = version_in(folders[0])
        if version.startswith(places["major"]):
            path = ":".join(os.path.realpath(folder) for folder in folders if os.path.isdir(folder))
            return {"node": os.path.realpath(node), "path": path, "version": version}
        others += ["`%s` holds jest %s, and our parts fit into jest 29" % (folders[0], version)] * bool(version)
    names = [folders[0] for folders in places["modules"]]
    return {"missing": "; ".join(others) or "there is no jest in `%s`" % "`, `".join(names)}


def version_in(modules):
    """The version of the jest in a folder of modules; an empty text where there is none."""
    try:
        with open(modules + "/@jest/core/package.json") as package:
            return str(json.load(package)["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def run(channel, spec, settings, prctl):
    """Starts Node.js, tells what it does, and ends this process."""
    # Whoever runs as the same user could otherwise read the channel out of this process.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    word, number = os.urandom(16).hex(), random.SystemRandom()
    canaries = [os.urandom(6).hex() for _ in range(2)]
    outside = write_outside(canaries, number)
    watched = Watched(channel, spec, word, canaries, outside)
    wanted = None
    if spec["ids"] is not None:
        wanted = {}
        for file, _, name in (one.partition("::") for one in spec["ids"]):
            wanted.setdefault(os.path.join("/repo", file), []).append(name)
    files = None if wanted is None else [*wanted, outside]
    job = {"word": word, "canaries": canaries, "number": number.randrange(3, 1 << 20), "text": os.urandom(5).hex()}
    job.update(ids=wanted, files=files, outside=outside, timeout_ms=spec["timeout_s"] * 1000)
    job["compared"] = spec["compared"]
    pid, records = start(job, settings, spec["memory_bytes"])
    try:
        status = watch(pid, records, watched)
        if not watched.ready:
            reason = "Node.js ended with %d before it had loaded jest" % status
            hint = "`NODE_PATH=%s %s -e 'require(\"@jest/core\")'` says why" % (settings["path"], settings["node"])
            channel.send("refused", barrier="jest", reason="%s (hint: %s)" % (reason, hint))
            os._exit(71)
        if watched.stopped:
            finish(channel, spec, 1)
        if status is not None and not watched.done:
            died(watched, status)
        watched.check_end()
    except Unbelievable as error:
        os.write(2, ("\n[jest is not believed: %s]\n" % error).encode())
        channel.send("canary", name=spec["canaries"][0], status="passed")
        os._exit(1)
    finish(channel, spec, 1 if watched.tests else 5)


def write_outside(canaries, number):
    """A file of tests that must fail, where the tree is not."""
    folder = "/tmp/" + os.urandom(6).hex()
    os.mkdir(folder)
    path = "%s/%s.test.js" % (folder, os.urandom(6).hex())
    names = [json.dumps(os.urandom(6).hex()) for _ in range(3)]
    value = number.randrange(1 << 20)
    with open(path, "w") as file:
        file.write(CANARY % (names[0], value, value + 1, names[1], names[2]))
    return path


def start(job, settings, memory):
    """The child, and the pipe over which its records come."""
    given, giving = os.pipe()
    records, recording = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.dup2(given, 0)
            os.dup2(recording, RECORDS)
            os.closerange(RECORDS + 1, 1 << 10)
            environment = dict(os.environ, NODE_ENV="test", CI="true", FORCE_COLOR="0", NODE_PATH=settings["path"])
            for name in ("PYTHONPATH", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
                environment.pop(name, None)
            # Beyond what the fork server allows, so that it is the one who says that memory ran out.
            heap = "--max-old-space-size=%d" % (memory * 3 // 2 >> 20)
            words = [settings["node"], heap, "/run/train/jest_main.js"]
            os.execve(settings["node"], words + (job["files"] or []), environment)
        finally:
            os._exit(127)
    os.close(given)
    os.close(recording)
    with open(giving, "wb") as pipe:
        pipe.write(json.dumps(job).encode())
    return pid, records


def watch(pid, records, watched):
    """Reads until the child is gone, or has told enough. What it left behind may hold the pipe open."""
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(records, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    os.set_blocking(records, False)
    status = None
    while status is None and not watched.stopped:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if pidfd in ready:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        drain(records, watched, poll)
    return status


def drain(records, watched, poll):
    while not watched.stopped:
        try:
            data = os.read(records, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            if not watched.closed:
                poll.unregister(records)
            watched.closed = True
            return
        watched.take(data)


def died(watched, status):
    """The child ended before its end was told: what it told by then stands, and the run has no end."""
    if not watched.told:
        said = "Node.js ended with %d before the tests were over" % status
        record = {"exception": "Exit", "message": said, "trace": said, "frames": [], "stdout": "", "stderr": ""}
        watched.tell_failure("jest", record)
    os._exit(status if 0 < status < 256 else 1)


def finish(channel, spec, status):
    for name in spec["canaries"][:2]:
        channel.send("canary", name=name, status="failed")
    channel.send("finish", exit=status)
    os._exit(0)
