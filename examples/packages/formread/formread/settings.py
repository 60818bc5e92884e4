"""Files of settings in sections, as in .ini files."""

TRUE_WORDS = ("yes", "true", "on", "1")
FALSE_WORDS = ("no", "false", "off", "0")


def parse_settings(text):
    """Return a dictionary of sections, each one a dictionary."""
    sections = {"": {}}
    name = ""
    for line in text.splitlines():
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            name = line[1:-1].strip()
            sections.setdefault(name, {})
            continue
        key, sign, value = line.partition("=")
        if not sign:
            raise ValueError("not a setting: " + line)
        sections[name][key.strip().lower()] = value.strip()
    return sections


def as_flag(value):
    """Read a word as true or false."""
    word = value.lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("neither yes nor no: " + value)


def as_list(value):
    items = [item.strip() for item in value.split(",")]
    return [item for item in items if item]


def lookup(sections, path, default=None):
    """Return the setting at a path such as section.key."""
    section, _, key = path.rpartition(".")
    return sections.get(section, {}).get(key, default)


def merge(base, extra):
    """Return sections where the extra settings win over the base."""
    result = {name: dict(keys) for name, keys in base.items()}
    for name, keys in extra.items():
        result.setdefault(name, {}).update(keys)
    return result


def write_settings(sections):
    """Write sections as text, the unnamed section first."""
    lines = []
    for name in sorted(sections):
        if name:
            if lines:
                lines.append("")
            lines.append(f"[{name}]")
        for key, value in sections[name].items():
            lines.append(f"{key} = {value}")
    return "\n".join(lines)


def resolve(value, values, depth=5):
    """Replace ${name} by the named value, also within values."""
    for _ in range(depth):
        start = value.find("${")
        end = value.find("}", start)
        if start < 0 or end < 0:
            break
        name = value[start + 2:end]
        value = value[:start] + values[name] + value[end + 1:]
    return value
