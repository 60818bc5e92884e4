"""Writes the corpora beside this folder and checks each row in plain pytest (or jest).

    python corpus.py attacks|honest|js_attacks|js_honest [NAME...]     # all rows are written, those named are checked

Of each row: the gold patch passes, the empty patch fails every test of FAIL_TO_PASS and none of PASS_TO_PASS, the
prediction passes all. What FAIL_TO_PASS is, the run without a patch decides.
"""

import difflib
import hashlib
import importlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).parent
REPOS, ROWS = {}, []


def repo(name, files, tests, gold, problem="a test fails", language="python"):
    """One small repository with a bug. `gold` is a list of (path, old text, new text)."""
    assert name not in REPOS, name
    files = {path: text.lstrip("\n") for path, text in files.items()}
    REPOS[name] = dict(files=files, tests={p: t.lstrip("\n") for p, t in tests.items()}, problem=problem,
                       gold=changed(files, gold), language=language)


def changed(files, edits):
    files = dict(files)
    for path, old, new in edits:
        assert files[path].count(old) == 1, (path, old, files[path].count(old))
        files[path] = files[path].replace(old, new)
    return files


def row(repo_name, name, how, files=None, edits=(), kind=None, **notes):
    """A prediction: whole `files`, or `edits` of the files with the bug."""
    base = REPOS[repo_name]["files"]
    after = changed(base, edits)
    after.update({path: text.lstrip("\n") for path, text in (files or {}).items()})
    given = {path: text for path, text in after.items() if base.get(path) != text}
    assert name not in [one["name"] for one in ROWS], name
    ROWS.append(dict(name=name, repo=repo_name, kind=kind or name, how=how, files=given, notes=notes))


def small(name, code, tests, gold, problem, *repairs):
    """A repository of one module, and honest repairs of it: (kind, how, code)."""
    repo(name, {f"{name}.py": code}, {f"tests/test_{name}.py": tests}, [(f"{name}.py", *edit) for edit in gold], problem)
    for kind, how, text, *more in repairs:
        files = {f"{name}.py": text} if isinstance(text, str) else text
        row(name, f"{name}_{kind}", how, files, kind=kind, **(more[0] if more else {}))


def diff(before, after):
    out = ""
    for path in sorted(set(before) | set(after)):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        lines = difflib.unified_diff((old or "").splitlines(True), (new or "").splitlines(True),
                                     f"a/{path}" if old is not None else "/dev/null", f"b/{path}")
        out += f"diff --git a/{path} b/{path}\n" + ("new file mode 100644\n" if old is None else "")
        for line in lines:
            out += line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"
    return out


def ran(one, files):
    """What plain pytest or jest says: the exit status, and the outcome of each test."""
    with tempfile.TemporaryDirectory() as place:
        root = pathlib.Path(place).resolve() / "tree"
        for path, text in {**files, **one["tests"]}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(text.encode())
        if one["language"] == "javascript":
            return ran_jest(root)
        plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run([sys.executable, "-m", "pytest", "-rA", "-q", "--tb=short", *sorted(one["tests_run"])],
                              cwd=root, env=plain, capture_output=True, text=True, timeout=60)
        said = {}
        for line in done.stdout.splitlines():
            found = re.match(r"(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) (\S+::.*?)(?: - .*)?$", line)
            if found:
                said[found[2]] = found[1]
        return done.returncode, said, done.stdout[-2500:] + done.stderr[-800:]


def ran_jest(root):
    jest = importlib.import_module("jest_run")
    return jest.ran(root)


CACHE = pathlib.Path(tempfile.gettempdir()) / "reward-corpus-cache.json"


def checked(one):
    repo_ = REPOS[one["repo"]]
    try:
        code, said, text = ran(repo_, {**repo_["files"], **one["files"]})
    except subprocess.TimeoutExpired:
        return one["name"], ["out of time"], ""
    want = set(repo_["fail"]) | set(repo_["keep"])
    passed = {test for test, outcome in said.items() if outcome == "PASSED"}
    wrong = [] if want <= passed else [f"not passed: {sorted(want - passed)}"]
    if code != 0:
        wrong.append(f"exit {code}")
    return one["name"], wrong, text


def base(repo_):
    repo_["tests_run"] = [p for p in repo_["tests"] if re.search(r"(^|/)test_[^/]*\.py$|\.test\.js$", p)]
    key = hashlib.sha256(json.dumps([repo_["files"], repo_["tests"], repo_["gold"]]).encode()).hexdigest()
    known = json.loads(CACHE.read_text()) if CACHE.exists() else {}
    if key in known:
        repo_["fail"], repo_["keep"] = known[key]
        return
    code, good, text = ran(repo_, repo_["gold"])
    assert code == 0 and good and set(good.values()) == {"PASSED"}, f"gold: {text}"
    code, bad, text = ran(repo_, repo_["files"])
    repo_["fail"] = sorted(t for t in good if bad.get(t) != "PASSED")
    repo_["keep"] = sorted(t for t in good if bad.get(t) == "PASSED")
    assert code != 0 and repo_["fail"], f"empty: {text}"
    known = json.loads(CACHE.read_text()) if CACHE.exists() else {}
    CACHE.write_text(json.dumps({**known, key: [repo_["fail"], repo_["keep"]]}))


def main(which, names):
    sys.path.insert(0, str(HERE))
    sys.modules["corpus"] = sys.modules["__main__"]
    for path in sorted(HERE.glob(f"{which}_[0-9]*.py")):
        importlib.import_module(path.stem)
    used = {one["repo"] for one in ROWS}
    for name in sorted(used):
        try:
            base(REPOS[name])
        except AssertionError as wrong:
            raise SystemExit(f"{name}: {wrong}")
    tasks, predictions, notes = [], [], []
    for one in ROWS:
        repo_ = REPOS[one["repo"]]
        id_ = "reward-" + ("js-" if repo_["language"] == "javascript" else "") + one["name"].replace("_", "-")
        tasks.append({"instance_id": id_, "language": repo_["language"], "problem_statement": repo_["problem"],
                      "files": repo_["files"], "test_files": repo_["tests"],
                      "patch": diff(repo_["files"], repo_["gold"]),
                      "FAIL_TO_PASS": repo_["fail"], "PASS_TO_PASS": repo_["keep"]})
        predictions.append({"instance_id": id_, "model_name_or_path": which, "model_files": one["files"]})
        plain = "plain_jest" if repo_["language"] == "javascript" else "plain_pytest"
        notes.append({"instance_id": id_, "repo": one["repo"], "kind": one["kind"], "how": one["how"],
                      plain: one["notes"].pop("plain", "passes"), **one["notes"]})
    for kind, rows in (("tasks", tasks), ("predictions", predictions), ("notes", notes)):
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)
        (HERE.parent / f"{which}.{kind}.jsonl").write_text(text)
    chosen = [one for one in ROWS if not names or one["name"] in names or names == ["none"] and False]
    with ThreadPoolExecutor(2) as pool:
        bad = 0
        for name, wrong, text in pool.map(checked, chosen):
            if wrong:
                bad += 1
                print(f"--- {name}: {wrong}\n{text}")
    print(f"{which}: {len(ROWS)} rows over {len(used)} repositories, {len(chosen)} checked, {bad} wrong")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
