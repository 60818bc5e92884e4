"""Options on a command line."""


def parse_options(words, flags=()):
    """Return the options and the other words of a command line."""
    options = {}
    others = []
    name = None
    for i, word in enumerate(words):
        if name is not None:
            options[name] = word
            name = None
        elif word == "--":
            others.extend(words[i + 1:])
            break
        elif not word.startswith("--"):
            others.append(word)
        elif "=" in word:
            key, _, value = word[2:].partition("=")
            options[key] = value
        elif word[2:] in flags:
            options[word[2:]] = True
        else:
            name = word[2:]
    if name is not None:
        raise ValueError("no value for " + name)
    return options, others


def split_words(line):
    """Split a command line at spaces outside of single quotes."""
    words = []
    word = None
    quoted = False
    for char in line:
        if char == "'":
            quoted = not quoted
            word = word or ""
        elif char == " " and not quoted:
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + char
    if word is not None:
        words.append(word)
    return words


def complete(start, names):
    """Return the only name that begins with start, or None."""
    if start in names:
        return start
    found = [name for name in names if name.startswith(start)]
    if len(found) == 1:
        return found[0]
    return None
