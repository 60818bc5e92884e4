import pytest

from formread import options


def test_option_with_value():
    assert options.parse_options(["--size", "3", "x"]) == (
        {"size": "3"}, ["x"])


def test_option_with_sign():
    assert options.parse_options(["--size=a=b", "x"]) == (
        {"size": "a=b"}, ["x"])


def test_flag():
    assert options.parse_options(["--all", "x"], ["all"]) == (
        {"all": True}, ["x"])


def test_value_with_dashes():
    assert options.parse_options(["--size", "--3"]) == ({"size": "--3"}, [])


def test_rest():
    assert options.parse_options(["a", "--", "--b", "c"]) == (
        {}, ["a", "--b", "c"])


def test_option_without_value():
    with pytest.raises(ValueError, match="size"):
        options.parse_options(["x", "--size"])


def test_split_words():
    assert options.split_words("  copy a  bc ") == ["copy", "a", "bc"]


def test_split_words_quoted():
    assert options.split_words("say 'hello you' a' 'b") == [
        "say", "hello you", "a b"]


def test_split_empty_word():
    assert options.split_words("a '' b") == ["a", "", "b"]


def test_complete():
    names = ["list", "load", "lists"]
    assert options.complete("lo", names) == "load"
    assert options.complete("list", names) == "list"


def test_complete_not_clear():
    assert options.complete("l", ["list", "load"]) is None
    assert options.complete("x", ["list"]) is None
