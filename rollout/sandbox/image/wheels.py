"""Unpacks wheels into the packages of an image. Runs on the host's Python and runs nothing of a wheel.

In: the folder of the wheels, the root of the image, its packages below that, its Python's version. Out: one JSON line
with the version of every distribution; or a complaint on standard error. Two wheels may not bring different files of
one name, and what a wheel requires on the image's Python has to be there.
"""

import configparser
import email
import json
import os
import re
import sys
import zipfile

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name

PROGRAM = """#!/usr/bin/python3
import sys
from {module} import {first}
if __name__ == "__main__":
    sys.exit({call}())
"""


def main():
    wheels, root, packages, version = sys.argv[1:]
    target = os.path.join(root, packages)
    for name in sorted(os.listdir(wheels)):
        if name.endswith(".whl"):
            unpack(os.path.join(wheels, name), root, target)
    found = installed(target)
    check(found, version)
    print(json.dumps({"packages": {name: metadata["Version"] for name, metadata in sorted(found.items())}}))


def unpack(wheel, root, target):
    with zipfile.ZipFile(wheel) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if not info.is_dir():
                base, path = place(info.filename, root, target)
                put(base, path, archive.read(info), os.path.basename(wheel), mode=info.external_attr >> 16)
        for name in archive.namelist():
            if re.fullmatch(r"[^/]+\.dist-info/entry_points\.txt", name):
                write_programs(archive.read(name).decode(), root, os.path.basename(wheel))


def place(name, root, target):
    """Where a file of a wheel goes: a folder of the image, and a path below it."""
    first, _, rest = name.partition("/")
    if not first.endswith(".data"):
        return target, name
    kind, _, rest = rest.partition("/")
    base = {"purelib": target, "platlib": target, "scripts": os.path.join(root, "usr/bin"), "data": os.path.join(root, "usr")}
    if kind not in base:
        return os.path.join(root, "usr/include/python"), rest
    return base[kind], rest


def put(base, path, data, wheel, mode):
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "" in parts:
        sys.exit("`%s` holds the path `%s`, which no honest wheel holds" % (wheel, path))
    script = base.endswith("usr/bin")
    if script and data.startswith(b"#!python"):
        data = b"#!/usr/bin/python3\n" + data.partition(b"\n")[2]
    whole = os.path.join(base, path)
    if os.path.lexists(whole):
        with open(whole, "rb") as file:
            if file.read() == data:
                return
        sys.exit("`%s` would replace `%s`, which another package brings" % (wheel, path))
    os.makedirs(os.path.dirname(whole), exist_ok=True)
    with open(whole, "wb") as file:
        file.write(data)
    os.chmod(whole, 0o755 if script or mode & 0o111 else 0o644)


def write_programs(text, root, wheel):
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    if not parser.has_section("console_scripts"):
        return
    for name, value in sorted(parser.items("console_scripts")):
        match = re.fullmatch(r"([\w.]+):([\w.]+)\s*(\[.*\])?", value.strip())
        if not match or not re.fullmatch(r"[\w.+-]+", name):
            sys.exit("`%s` asks for the program `%s = %s`, which is none" % (wheel, name, value))
        module, call = match.group(1), match.group(2)
        program = PROGRAM.format(module=module, first=call.partition(".")[0], call=call)
        put(os.path.join(root, "usr/bin"), name, program.encode(), wheel, 0o755)


def installed(target):
    found = {}
    for name in sorted(os.listdir(target)):
        path = os.path.join(target, name, "METADATA" if name.endswith(".dist-info") else "PKG-INFO")
        if name.endswith((".dist-info", ".egg-info")) and os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                metadata = email.message_from_file(file)
            found[canonicalize_name(metadata["Name"])] = metadata
    return found


def check(found, version):
    """pip reads the conditions of requirements with the host's Python; here they are read with the image's."""
    environment = {
        "python_version": ".".join(version.split(".")[:2]),
        "python_full_version": version,
        "implementation_version": version,
        "extra": "",
    }
    for name, metadata in found.items():
        for text in metadata.get_all("Requires-Dist", []):
            wanted = Requirement(text)
            if wanted.marker and not wanted.marker.evaluate(environment):
                continue
            there = found.get(canonicalize_name(wanted.name))
            if there is None:
                sys.exit("`%s` requires `%s` on Python %s, which is not there; ask for it too" % (name, text, version))
            if not wanted.specifier.contains(there["Version"], prereleases=True):
                sys.exit("`%s` requires `%s`, and %s %s is there" % (name, text, wanted.name, there["Version"]))


main()
