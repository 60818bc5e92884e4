import pytest

from formread import records


def test_split_line():
    assert records.split_line("a,b c,,d") == ["a", "b c", "", "d"]


def test_split_other_comma():
    assert records.split_line("a;b,c", ";") == ["a", "b,c"]


def test_split_quoted():
    assert records.split_line('a,"b,c",d') == ["a", "b,c", "d"]
    assert records.split_line('"b,c"') == ["b,c"]
    assert records.split_line('""') == [""]
    assert records.split_line('a,"""b"') == ["a", '"b']


def test_split_double_quote():
    assert records.split_line('"say ""hi"" now"') == ['say "hi" now']


def test_split_not_closed():
    with pytest.raises(ValueError):
        records.split_line('a,"b')


def test_quote_as_last_character():
    assert records.split_line('a"",b"c"') == ["a", "bc"]


def test_quote_field():
    assert records.quote_field("a b") == "a b"
    assert records.quote_field("a,b") == '"a,b"'
    assert records.quote_field('a"b') == '"a""b"'


def test_join_line():
    assert records.join_line(["a", "b,c", "d"]) == 'a,"b,c",d'
    assert records.join_line(["a;b", "c,d"], ";") == '"a;b";c,d'


def test_guess_comma():
    assert records.guess_comma("a;b;c,d") == ";"
    assert records.guess_comma("a;b,c") == ","
    assert records.guess_comma("plain") == ","
    assert records.guess_comma("a|b|c;d") == "|"


def test_read_records():
    text = "name,age\n\nann,31\nbob,27\n"
    assert records.read_records(text) == [
        {"name": "ann", "age": "31"}, {"name": "bob", "age": "27"}]


def test_read_nothing():
    assert records.read_records(" \n") == []


def test_read_wrong_line():
    with pytest.raises(ValueError, match="line 3 has 1 fields"):
        records.read_records("a,b\n1,2\n3\n")


def test_convert():
    assert records.convert("12") == 12
    assert records.convert("-12") == -12


def test_convert_fraction():
    assert records.convert("-1.5") == -1.5


def test_convert_text():
    assert records.convert("1.") == "1."
    assert records.convert(".5") == ".5"
    assert records.convert("-") == "-"
