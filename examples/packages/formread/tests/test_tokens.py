import pytest

from formread import tokens


def kinds(text):
    return [repr(token) for token in tokens.tokenize(text)]


def test_symbols():
    assert kinds("+(") == ["symbol:+", "symbol:("]


def test_numbers():
    assert kinds("12 3.5") == ["number:12", "number:3.5"]


def test_names():
    assert kinds("a_1 _b") == ["name:a_1", "name:_b"]


def test_without_spaces():
    assert kinds("a*2-b") == [
        "name:a", "symbol:*", "number:2", "symbol:-", "name:b"]


def test_places():
    assert [token.at for token in tokens.tokenize("ab + 12")] == [0, 3, 5]


def test_unknown_character():
    with pytest.raises(tokens.TokenError, match="[$] at 2"):
        tokens.tokenize("a $")


def test_is_symbol():
    assert tokens.Token("symbol", "+", 0).is_symbol("+")
    assert not tokens.Token("symbol", "+", 0).is_symbol("-")
    assert not tokens.Token("name", "+", 0).is_symbol("+")


def test_run_length():
    assert tokens.run_length("ab12c", 2, str.isdigit) == 2
    assert tokens.run_length("ab12", 2, str.isdigit) == 2
    assert tokens.run_length("ab12", 0, str.isdigit) == 0


def test_balanced():
    assert tokens.balanced("(a[1]{2})")
    assert not tokens.balanced("(a]")


def test_balanced_open_and_closed():
    assert not tokens.balanced("(a")
    assert not tokens.balanced("a)")
    assert not tokens.balanced("(()")
