from textkit import align


def test_center():
    assert align.center("ab", 6) == "  ab  "
    assert align.center("ab", 5, ".") == ".ab.."
    assert align.center("ab", 3, ".") == "ab."


def test_center_too_long():
    assert align.center("abc", 2) == "abc"


def test_column_widths():
    assert align.column_widths([["a", "bbb"], ["cc", "d", "e"]]) == [2, 3, 1]


def test_table():
    rows = [["name", "n"], ["a", "12"]]
    assert align.table(rows) == "name  n\na     12"


def test_table_gap():
    assert align.table([["a", "b"]], 1) == "a b"


def test_boxed():
    assert align.boxed(["abc", "d"]) == [
        "+-----+", "| abc |", "| d   |", "+-----+"]


def test_justify():
    assert align.justify("a b c", 9) == "a   b   c"


def test_justify_left_gaps_first():
    assert align.justify("a b c d", 9) == "a  b  c d"
    assert align.justify("a b c d", 8) == "a  b c d"


def test_justify_two_words():
    assert align.justify("ab cd", 7) == "ab   cd"


def test_justify_one_word():
    assert align.justify("word", 9) == "word"


def test_expand_tabs():
    assert align.expand_tabs("a\tb", 4) == "a   b"
    assert align.expand_tabs("abcd\te", 4) == "abcd    e"
    assert align.expand_tabs("abc\te", 4) == "abc e"
