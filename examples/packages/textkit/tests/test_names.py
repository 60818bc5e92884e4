from textkit import names


def test_snake_case():
    assert names.snake_case("maxLineWidth") == "max_line_width"


def test_snake_case_first_letter():
    assert names.snake_case("LineWidth") == "line_width"


def test_snake_case_mixed():
    assert names.snake_case("Line_Width") == "line_width"
    assert names.snake_case("aB") == "a_b"


def test_camel_case():
    assert names.camel_case("max_line_width") == "maxLineWidth"
    assert names.camel_case("width") == "width"


def test_slug():
    assert names.slug("Hello, World 2") == "hello-world-2"


def test_slug_ends():
    assert names.slug("  (Yes!)") == "yes"


def test_title():
    assert names.title("the lord of THE rings") == "The Lord of the Rings"


def test_initials():
    assert names.initials("ada lovelace") == "A.L."
    assert names.initials("a b c d") == "A.B.C."
    assert names.initials("a b c d", 2) == "A.B."


def test_plural():
    assert names.plural(2, "cat") == "2 cats"
    assert names.plural(0, "cat") == "0 cats"
    assert names.plural(1, "cat") == "1 cat"


def test_plural_es():
    assert names.plural(2, "box") == "2 boxes"


def test_plural_ies():
    assert names.plural(3, "city") == "3 cities"
    assert names.plural(3, "day") == "3 days"
    assert names.plural(3, "boa") == "3 boas"


def test_join_words():
    assert names.join_words(["one", "two", "three"]) == "one, two and three"
    assert names.join_words(["one", "two"], "or") == "one or two"


def test_join_few_words():
    assert names.join_words(["one"]) == "one"
    assert names.join_words([]) == ""
