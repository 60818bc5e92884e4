"""Count and compare pieces of text."""


def count_words(text):
    """Return how often each word occurs, in any case."""
    counts = {}
    for word in text.lower().split():
        word = word.strip(".,;:!?")
        if word:
            counts[word] = counts.get(word, 0) + 1
    return counts


def longest_word(text):
    best = ""
    for word in text.split():
        if len(word) > len(best):
            best = word
    return best


def is_palindrome(text):
    letters = [c.lower() for c in text if c.isalnum()]
    return letters == letters[::-1]


def common_prefix(first, second):
    """Return the longest start that both texts share."""
    length = min(len(first), len(second))
    for i in range(length):
        if first[i] != second[i]:
            return first[:i]
    return first[:length]


def differences(first, second):
    """Count the places where two texts differ."""
    count = abs(len(first) - len(second))
    for a, b in zip(first, second):
        if a != b:
            count += 1
    return count


def edit_distance(first, second):
    """Count the insertions, deletions and changes between two words."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first):
        above = row
        row = [i + 1]
        for j, b in enumerate(second):
            change = above[j] + (a != b)
            row.append(min(change, above[j + 1] + 1, row[j] + 1))
    return row[-1]


def position(text, offset):
    """Return the line and column of an offset, counted from one."""
    before = text[:offset]
    line = before.count("\n") + 1
    column = offset - before.rfind("\n")
    return line, column
