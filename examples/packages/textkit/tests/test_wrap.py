import pytest

from textkit import wrap as short_name
from textkit.wrap import dedent, fill, indent, margin_of, shorten
from textkit.wrap import split_long, wrap


def test_split_long():
    assert split_long("abcdefg", 3) == ["abc", "def", "g"]


def test_wrap_exact_width():
    assert wrap("aa bb cc", 5) == ["aa bb", "cc"]


def test_wrap_one_too_narrow():
    assert wrap("aa bb cc", 4) == ["aa", "bb", "cc"]


def test_wrap_one_line():
    assert wrap("aa bb cc", 8) == ["aa bb cc"]


def test_wrap_breaks_a_long_word():
    assert wrap("x abcdefg h", 3) == ["x", "abc", "def", "g h"]


def test_wrap_nothing():
    assert wrap("  ", 5) == []


def test_wrap_width():
    assert wrap("ab", 1) == ["a", "b"]
    with pytest.raises(ValueError, match="positive"):
        wrap("ab", 0)


def test_fill():
    assert fill("aa bb cc", 7, "> ") == "> aa bb\n> cc"
    assert fill("aa bb cc", 6, "> ") == "> aa\n> bb\n> cc"


def test_shorten_not_needed():
    assert shorten("one two", 7) == "one two"


def test_shorten():
    assert shorten("one two three", 10) == "one two..."
    assert shorten("one two three", 9) == "one..."


def test_shorten_without_space():
    assert shorten("abcdefghij", 8) == "abcde..."


def test_shorten_with_leading_space():
    assert shorten(" abcdefgh", 8) == "..."


def test_indent():
    assert indent("a\n\nb", 2) == "  a\n\n  b"


def test_indent_first():
    assert indent("a\nb\nc", 1, 3) == "   a\n b\n c"
    assert indent("a\nb", 1, 0) == "a\n b"


def test_margin_of():
    assert margin_of("   a\n  b\n\n    c") == 2
    assert margin_of("") == 0


def test_dedent():
    assert dedent("  a\n    b\n") == "a\n  b\n"


def test_package_exports_wrap():
    assert short_name is not None
