from textkit import clean


def test_squeeze_blank_lines():
    assert clean.squeeze_blank_lines("a\n\n \n\nb\n") == "a\n\nb\n"


def test_squeeze_keeps_first_blank():
    assert clean.squeeze_blank_lines("\na \nb") == "\na\nb"


def test_strip_comment():
    assert clean.strip_comment("x = 1  # one") == "x = 1"
    assert clean.strip_comment("x = 1") == "x = 1"


def test_strip_comment_in_quotes():
    assert clean.strip_comment('say "#1" # hi') == 'say "#1"'


def test_strip_comment_other_mark():
    assert clean.strip_comment("a # b ; c", ";") == "a # b"


def test_remove_prefix():
    assert clean.remove_prefix("test_x", "test_") == "x"
    assert clean.remove_prefix("x_test", "test_") == "x_test"


def test_unquote():
    assert clean.unquote("'ab'") == "ab"
    assert clean.unquote('"ab"') == "ab"
    assert clean.unquote("''") == ""


def test_unquote_unequal():
    assert clean.unquote("'ab\"") == "'ab\""
    assert clean.unquote("aba") == "aba"


def test_unquote_short():
    assert clean.unquote("'") == "'"
    assert clean.unquote("") == ""


def test_mask():
    assert clean.mask("12345678") == "****5678"
    assert clean.mask("12345678", 2) == "******78"
    assert clean.mask("123") == "123"


def test_mask_one_letter_over():
    assert clean.mask("12345") == "*2345"


def test_collapse():
    assert clean.collapse("a--b---c", "-") == "a-b-c"
    assert clean.collapse("aab--", "-") == "aab-"
