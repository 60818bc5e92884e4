import pytest

from formread import settings

TEXT = """
title = Test

[ net ]
# a comment
Host = example
; another
query = a=b
[log]
[net]
port=8
"""


def test_parse_settings():
    assert settings.parse_settings(TEXT) == {
        "": {"title": "Test"},
        "net": {"host": "example", "query": "a=b", "port": "8"},
        "log": {}}


def test_parse_half_a_section():
    with pytest.raises(ValueError):
        settings.parse_settings("[net")
    with pytest.raises(ValueError):
        settings.parse_settings("net]")


def test_as_flag():
    assert settings.as_flag("Yes") is True
    assert settings.as_flag("off") is False


def test_as_flag_unknown():
    with pytest.raises(ValueError):
        settings.as_flag("maybe")


def test_as_list():
    assert settings.as_list("a, b ,,c,") == ["a", "b", "c"]


def test_lookup():
    sections = {"": {"title": "x"}, "a.b": {"key": "y"}}
    assert settings.lookup(sections, "a.b.key") == "y"
    assert settings.lookup(sections, "title") == "x"


def test_lookup_default():
    assert settings.lookup({"a": {}}, "a.b", 3) == 3
    assert settings.lookup({}, "a.b") is None


def test_merge():
    base = {"a": {"x": 1, "y": 2}}
    extra = {"a": {"x": 3}, "b": {"z": 4}}
    assert settings.merge(base, extra) == {
        "a": {"x": 3, "y": 2}, "b": {"z": 4}}
    assert base == {"a": {"x": 1, "y": 2}}


def test_write_settings():
    sections = {"b": {"y": 2}, "": {"x": 1}}
    assert settings.write_settings(sections) == "x = 1\n\n[b]\ny = 2"


def test_write_without_unnamed():
    assert settings.write_settings({"b": {"y": 2}}) == "[b]\ny = 2"


def test_resolve():
    values = {"home": "/home/${user}", "user": "ann"}
    assert settings.resolve("${home}/x", values) == "/home/ann/x"
    assert settings.resolve("a ${user} b", values) == "a ann b"


def test_resolve_unfinished():
    assert settings.resolve("a ${user", {"user": "ann"}) == "a ${user"
    assert settings.resolve("a user}", {"user": "ann"}) == "a user}"


def test_resolve_depth():
    assert settings.resolve("${a}", {"a": "${a}x"}) == "${a}xxxxx"
    assert settings.resolve("${a}", {"a": "${a}x"}, 1) == "${a}x"
