"""Plain jest over a tree. `TRAIN_JEST` names the folder of modules that holds it."""

import json
import os
import pathlib
import subprocess
import tempfile


def ran(root):
    modules = pathlib.Path(os.environ["TRAIN_JEST"])
    with tempfile.TemporaryDirectory() as kept:
        out = pathlib.Path(kept) / "out.json"
        config = json.dumps({"rootDir": str(root), "transform": {}, "cacheDirectory": kept, "haste": {}})
        done = subprocess.run(["node", modules / "jest-cli/bin/jest.js", "--config", config, "--ci", "-i", "--json",
                               f"--outputFile={out}"], cwd=root, capture_output=True, text=True, timeout=60)
        said = {}
        for file in json.loads(out.read_text())["testResults"] if out.exists() else []:
            path = str(pathlib.Path(file["name"]).relative_to(root))
            for test in file["assertionResults"]:
                name = " > ".join([*test["ancestorTitles"], test["title"]])
                said[f"{path}::{name}"] = {"passed": "PASSED"}.get(test["status"], test["status"])
        return done.returncode, said, done.stderr[-3000:]
