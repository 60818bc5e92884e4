"""Talks with a package index, and reads what a package declares. Runs nothing of any package.

In: one of the commands below and its words. Out: one line of JSON, or a complaint on standard error.

- `sdist NAME VERSION FOLDER` fetches a source archive. `pip download` would run the archive's own build for that.
- `declared NAME TREE [WHEEL]` reads the requirements that metadata and `pyproject.toml` declare.
- `declared_in NAME TREE` does so for a checkout: also from `setup.cfg`, `setup.py` (read, not run), Poetry's tables and
  files of requirements.
- `wheels_from WHEELS FOLDER REQUIREMENT...` takes wheels of a folder, and asks no index.
- `wheels FOLDER REQUIREMENT...` fetches wheels, with what they require themselves; `wheel` none but the one.
- `unpack FOLDER TARGET` unpacks them. What pytest brings is not unpacked: the tests run on the one that is there.

No process can be started from here, by anybody: pip builds in processes alone, so it cannot build.
"""

import ast
import configparser
import email
import hashlib
import importlib.metadata
import json
import os
import py_compile
import sys
import zipfile

from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
from pip._vendor.packaging.specifiers import SpecifierSet
from pip._vendor.packaging.utils import canonicalize_name

TESTS, DEVELOPMENT = {"test", "tests", "testing"}, {"dev"}
# What a folder of dependencies and one file of it may hold.
MAX_BYTES = 192 << 20
FORBIDDEN = {
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn",
}


def refuse_processes(event, _):
    if event in FORBIDDEN:
        raise PermissionError("nothing of a package is run here (`%s`)" % event)


def sdist(name, version, folder):
    from pip._internal.commands import create_command

    command = create_command("download")
    with command.main_context():
        options, _ = command.parse_args(["--no-deps", "--no-binary", name, "--dest", folder, name])
        session = command.get_default_session(options)
        finder = command._build_package_finder(options=options, session=session)
        best = finder.find_best_candidate(name, SpecifierSet("===" + version)).best_candidate
        best = best or finder.find_best_candidate(name, SpecifierSet("==" + version)).best_candidate
        if best is None:
            sys.exit("No matching distribution: the index offers no source archive of `%s==%s`" % (name, version))
        link = best.link
        if not link.filename.endswith(".tar.gz"):
            sys.exit("the index offers `%s`, and no `.tar.gz` source archive" % link.filename)
        # Compressed as it lies there, because its hash is that of the archive.
        answer = session.get(link.url.partition("#")[0], headers={"Accept-Encoding": "identity"}, stream=True)
        answer.raise_for_status()
        content = answer.raw.read()
    if link.hash_name and hashlib.new(link.hash_name, content).hexdigest() != link.hash:
        sys.exit("`%s` is not what the index says: its %s differs" % (link.filename, link.hash_name))
    path = os.path.join(folder, os.path.basename(link.filename))
    with open(path, "xb") as file:
        file.write(content)
    return {"archive": path}


def declared(name, tree, wheel=None):
    """Requirements to run, to test and to develop; `known` is false where the tree does not say what it needs to run."""
    if wheel:
        with zipfile.ZipFile(wheel) as archive:
            texts, known = metadata_of(archive.read(find(archive, "METADATA")).decode())[0], True
    else:
        texts, known = source_metadata(tree)
    return sorted_out(name, tree, texts, known)


def sorted_out(name, tree, texts, known):
    """What is required to run, to test and to develop."""
    project = toml(os.path.join(tree, "pyproject.toml"))
    if not any("extra" in text for text in texts):
        texts = texts + static_extras(project)
    own, found = canonicalize_name(name), {"run": [], "tests": [], "dev": []}
    requirements = [Requirement(text) for text in texts]
    groups = {"tests": TESTS, "dev": DEVELOPMENT}
    found["run"] = [entry for entry in requirements if applies(entry, "")]
    for kind, extras in groups.items():
        found[kind] = with_extras(requirements, extras, own) + group_entries(project.get("dependency-groups", {}), extras)
    return {"known": known, **{kind: plain(entries, own) for kind, entries in found.items()}}


def declared_in(name, tree):
    """What a checkout says it requires, wherever it says so; `left_out` holds what is no plain name."""
    texts, known = source_metadata(tree)
    if not known:
        texts = setup_cfg(tree) + setup_py(tree)
    lists = {"run": poetry(tree, ["dependencies"]), "tests": [], "dev": poetry(tree, ["dev-dependencies"])}
    for group in ("test", "tests", "testing", "dev"):
        lists["dev" if group == "dev" else "tests"] += poetry(tree, ["group", group, "dependencies"])
    for kind, path in requirement_files(tree):
        lists[kind] += requirement_lines(tree, path, set())
    left_out, own = [], canonicalize_name(name)

    def read_all(entries):
        found = []
        for text in entries:
            try:
                entry = Requirement(text)
            except InvalidRequirement:
                left_out.append(text)
                continue
            if entry.url:
                left_out.append(text)
            elif "extra" in str(entry.marker) or applies(entry, ""):
                found.append(entry)
        return found

    found = sorted_out(name, tree, [str(entry) for entry in read_all(texts)], known)
    for kind, entries in lists.items():
        plainly = plain([entry for entry in read_all(entries) if applies(entry, "")], own)
        found[kind] = sorted(set(found[kind]) | set(plainly))
    return {**found, "left_out": sorted(set(left_out))}


def setup_cfg(tree):
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(os.path.join(tree, "setup.cfg"), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        sys.exit("`setup.cfg` cannot be read: %s" % error)
    found = lines_of(parser.get("options", "install_requires", fallback=""))
    found += ['%s ; extra == "test"' % line for line in lines_of(parser.get("options", "tests_require", fallback=""))]
    if parser.has_section("options.extras_require"):
        for extra, text in parser.items("options.extras_require"):
            found += [with_extra(line, extra) for line in lines_of(text)]
    return found


def lines_of(text):
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def with_extra(text, extra):
    name, _, marker = text.partition(";")
    return '%s ; %sextra == "%s"' % (name, "(%s) and " % marker if marker else "", extra)


def setup_py(tree):
    """The lists that `setup.py` writes down as they are. It is read, and not run."""
    try:
        module = ast.parse(read(os.path.join(tree, "setup.py")))
    except (FileNotFoundError, SyntaxError, ValueError):
        return []
    values, found = {}, []

    def value(node):
        try:
            return values.get(node.id) if isinstance(node, ast.Name) else ast.literal_eval(node)
        except ValueError:
            return None

    for node in module.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            values[node.targets[0].id] = value(node.value)
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    for call in (call for call in calls if getattr(call.func, "id", getattr(call.func, "attr", "")) == "setup"):
        words = {word.arg: value(word.value) for word in call.keywords}
        found += texts_of(words.get("install_requires"))
        found += [with_extra(text, "test") for text in texts_of(words.get("tests_require"))]
        extras = words.get("extras_require")
        for extra, entries in (extras if isinstance(extras, dict) else {}).items():
            found += [with_extra(text, extra) for text in texts_of(entries)]
    return found


def texts_of(value):
    if isinstance(value, str):
        return lines_of(value)
    return [text for text in value if isinstance(text, str)] if isinstance(value, (list, tuple)) else []


def poetry(tree, path):
    """A table of Poetry, whose versions have a notation of their own: `^1.2` is `>=1.2,<2`, `~1.2` is `>=1.2,<1.3`."""
    table = toml(os.path.join(tree, "pyproject.toml")).get("tool", {}).get("poetry", {})
    for part in path:
        table = table.get(part, {})
    found = []
    for name, about in table.items():
        about = {"version": about} if isinstance(about, str) else about
        if name == "python" or not isinstance(about, dict) or about.get("optional"):
            continue
        if "version" not in about:
            found.append("%s @ %s" % (name, about.get("git") or about.get("url") or "file:///" + str(about.get("path"))))
            continue
        found.append("%s%s%s" % (name, poetry_versions(about["version"]), " ; " * bool(about.get("markers")) + about.get("markers", "")))
    return found


def poetry_versions(text):
    bounds = []
    for part in text.split(","):
        part = part.strip()
        sign, version = (part[0], part[1:].strip()) if part[:1] in "^~" and part[1:2] != "=" else ("", part)
        if sign:
            numbers = [int(number) for number in version.split(".") if number.isdigit()] or [0]
            at = next((at for at, number in enumerate(numbers) if number), len(numbers) - 1) if sign == "^" else min(1, len(numbers) - 1)
            bounds += [">=" + version, "<" + ".".join(map(str, numbers[:at] + [numbers[at] + 1]))]
        elif part[:1].isdigit():
            bounds.append("==" + part)
        elif part not in ("", "*"):
            bounds.append(part)
    return ",".join(bounds)


def requirement_files(tree):
    """Files of requirements by their usual names, with what they are for."""
    found = []
    for folder in ("", "requirements"):
        try:
            names = sorted(os.listdir(os.path.join(tree, folder)))
        except OSError:
            continue
        for name in names:
            stem, ending = os.path.splitext(name.lower())
            if ending != ".txt" or not (folder or "requirements" in stem):
                continue
            words = set(stem.replace("requirements", "").replace("_", "-").split("-")) - {""}
            kind = "tests" if words & TESTS else "dev" if words & {"dev", "develop", "development"} else None
            if kind or not words or words & {"base", "main", "prod", "runtime"}:
                found.append((kind or "run", os.path.join(folder, name)))
    return found


def requirement_lines(tree, path, seen):
    """The requirements of a file and of those that it names, which lie in the tree."""
    whole = os.path.realpath(os.path.join(tree, path))
    if whole in seen or not whole.startswith(os.path.realpath(tree) + os.sep) or not os.path.isfile(whole):
        return []
    seen.add(whole)
    found = []
    for line in read(whole).replace("\\\n", " ").splitlines():
        line = line.split(" #")[0].split(" --")[0].strip()
        word, _, rest = line.partition(" ")
        if word in ("-r", "--requirement"):
            found += requirement_lines(tree, os.path.join(os.path.dirname(path), rest.strip()), seen)
        elif line and not line.startswith(("#", "-")):
            found.append(line)
        elif word in ("-e", "--editable") and rest.strip() not in (".", "./"):
            found.append(line)
    return found


def source_metadata(tree):
    """What a source archive says it requires, and whether that is all."""
    info, project = os.path.join(tree, "PKG-INFO"), toml(os.path.join(tree, "pyproject.toml")).get("project", {})
    texts, known = metadata_of(read(info)) if os.path.isfile(info) else ([], False)
    if texts or known:
        return texts, True
    if project and "dependencies" not in project.get("dynamic", []):
        return list(project.get("dependencies", [])), True
    for folder, folders, names in os.walk(tree):
        folders.sort()
        if folder.endswith(".egg-info") and "PKG-INFO" in names:
            path = os.path.join(folder, "requires.txt")
            return (sections(read(path)) if os.path.isfile(path) else []), True
    return [], False


def metadata_of(text):
    """Requirements of a metadata file, and whether it says that there are no others."""
    message = email.message_from_string(text)
    version = tuple(int(part) for part in message.get("Metadata-Version", "1.0").split(".") if part.isdigit())
    dynamic = [field.lower() for field in message.get_all("Dynamic", [])]
    return message.get_all("Requires-Dist", []), version >= (2, 2) and "requires-dist" not in dynamic


def sections(text):
    """The requirements of `requires.txt`, where `[extra:marker]` stands above those of an extra."""
    found, conditions = [], []
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            extra, _, marker = line[1:-1].partition(":")
            conditions = ["(%s)" % marker] * bool(marker) + ['extra == "%s"' % extra] * bool(extra)
        elif line and not line.startswith("#"):
            found.append(line + (" ; " + " and ".join(conditions)) * bool(conditions))
    return found


def static_extras(project):
    project = project.get("project", {})
    extras = project.get("optional-dependencies", {})
    return [
        "%s ; %sextra == \"%s\"" % (text.partition(";")[0], "(%s) and " % text.partition(";")[2] if ";" in text else "", extra)
        for extra, texts in extras.items() for text in texts
    ]


def with_extras(requirements, extras, own):
    """The requirements of these extras, and of those of the package itself that they name."""
    found, seen, left = [], set(), sorted(extras)
    while left:
        extra = left.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for entry in requirements:
            if not applies(entry, "") and applies(entry, extra):
                if canonicalize_name(entry.name) == own:
                    left.extend(canonicalize_name(inner) for inner in entry.extras)
                else:
                    found.append(entry)
    return found


def group_entries(groups, wanted):
    """The requirements of dependency groups (PEP 735), with the groups that they include."""
    named = {canonicalize_name(name): entries for name, entries in groups.items()}
    found, seen, left = [], set(), sorted(wanted)
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        for entry in named.get(name, []):
            if isinstance(entry, dict):
                left.append(canonicalize_name(entry.get("include-group", "")))
                continue
            requirement = Requirement(entry)
            if applies(requirement, ""):
                found.append(requirement)
    return found


def applies(requirement, extra):
    marker = requirement.marker
    if marker is None:
        return True
    # An extra may be spelled in more than one way.
    return any(marker.evaluate({"extra": spelled}) for spelled in {extra, extra.replace("-", "_"), extra.title()})


def plain(entries, own):
    """As pip is told: a name, extras, versions. An address would be somebody else's choice of what is installed."""
    found = set()
    for entry in entries:
        if entry.url:
            sys.exit("`%s` is required from an address: only names are looked up" % entry)
        if canonicalize_name(entry.name) != own:
            extras = "[%s]" % ",".join(sorted(entry.extras)) if entry.extras else ""
            found.add(entry.name + extras + str(entry.specifier))
    return sorted(found)


def wheel(folder, requirement):
    return download(folder, "--no-deps", "--", requirement)


def wheels_from(source, folder, *requirements):
    return wheels(folder, *requirements, only=["--no-index", "--find-links", source])


def wheels(folder, *requirements, only=()):
    # The tests run on the pytest that is there, so what else is fetched has to fit to it.
    constraints = os.path.join(folder, "constraints.txt")
    with open(constraints, "w") as file:
        file.writelines("%s==%s\n" % pair for pair in sorted(of_pytest().items()))
    try:
        return download(folder, *only, "--constraint", constraints, "--", *requirements)
    finally:
        os.remove(constraints)


def download(folder, *words):
    from pip._internal.cli.main import main

    command = ["download", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
    status = main([*command, "--dest", folder, *words])
    if status:
        sys.exit(status)
    return {"wheels": sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".whl"))}


def of_pytest():
    """pytest and all that it needs, with their versions."""
    found, left = {}, ["pytest"]
    while left:
        name = canonicalize_name(left.pop())
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name not in found:
            found[name] = distribution.version
            entries = map(Requirement, distribution.requires or [])
            left.extend(entry.name for entry in entries if applies(entry, ""))
    return found


def unpack(folder, target):
    """Unpacks what belongs on the path of a program; scripts and data files stay behind."""
    own, left, packages, hashes = of_pytest(), MAX_BYTES, {}, []
    os.makedirs(target)
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        with zipfile.ZipFile(path) as archive:
            metadata = email.message_from_string(archive.read(find(archive, "METADATA")).decode())
            if canonicalize_name(metadata["Name"]) in own:
                continue
            left -= sum(info.file_size for info in archive.infolist())
            if left < 0:
                sys.exit("what it requires is larger than %d MiB" % (MAX_BYTES >> 20))
            unpack_one(archive, name, target)
            packages[metadata["Name"]] = metadata["Version"]
            hashes.append("%s  %s\n" % (digest, name))
    write(os.path.join(target, "wheels.txt"), "".join(hashes).encode())
    # The mark of an environment: pytest looks for no tests in it.
    write(os.path.join(target, "pyvenv.cfg"), b"include-system-site-packages = false\n")
    compile_all(target)
    return {"packages": packages}


def unpack_one(archive, wheel, target):
    for info in archive.infolist():
        first, _, rest = info.filename.partition("/")
        name = info.filename
        if first.endswith(".data"):
            kind, _, name = rest.partition("/")
            if kind not in ("purelib", "platlib"):
                continue
        if info.is_dir():
            continue
        parts = name.split("/")
        if name.startswith("/") or "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in parts):
            sys.exit("`%s` holds the path `%s`, which no honest wheel holds" % (wheel, info.filename))
        write(os.path.join(target, *parts), archive.read(info))


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        with open(path, "rb") as file:
            if file.read() == content:
                return
        sys.exit("two wheels bring different files of the name `%s`" % path)
    with open(path, "xb") as file:
        file.write(content)


def compile_all(target):
    """Byte code that is believed whatever the time of its source, which is copied later. Compiling runs nothing."""
    for folder, _, names in os.walk(target):
        for name in names:
            if name.endswith(".py"):
                shown = "/repo/site-packages" + os.path.join(folder, name)[len(target):]
                try:
                    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
                    py_compile.compile(os.path.join(folder, name), dfile=shown, doraise=True, invalidation_mode=mode)
                except (py_compile.PyCompileError, ValueError, RecursionError, MemoryError):
                    pass  # Whoever imports it will be told.


def find(archive, name):
    """The one file of a wheel's metadata folder."""
    for path in archive.namelist():
        if path.count("/") == 1 and path.endswith(".dist-info/" + name):
            return path
    sys.exit("a wheel without `%s`" % name)


def toml(path):
    try:
        import tomllib
    except ImportError:
        from pip._vendor import tomli as tomllib
    try:
        return tomllib.loads(read(path))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        sys.exit("`pyproject.toml` cannot be read: %s" % error)


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def main():
    sys.addaudithook(refuse_processes)
    commands = {"sdist": sdist, "declared": declared, "declared_in": declared_in, "wheels_from": wheels_from, "wheel": wheel, "wheels": wheels, "unpack": unpack}
    try:
        print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))
    except (InvalidRequirement, zipfile.BadZipFile, UnicodeDecodeError) as error:
        sys.exit("what it declares cannot be read: %s" % error)


main()
