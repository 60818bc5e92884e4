from textkit import measure


def test_count_words():
    counts = measure.count_words("The cat, the dog: THE end!")
    assert counts == {"the": 3, "cat": 1, "dog": 1, "end": 1}


def test_count_words_skips_marks():
    assert measure.count_words("a ... b") == {"a": 1, "b": 1}


def test_longest_word():
    assert measure.longest_word("one three seven") == "three"
    assert measure.longest_word("") == ""


def test_is_palindrome():
    assert measure.is_palindrome("Was it a cat I saw?")
    assert not measure.is_palindrome("abca")


def test_common_prefix():
    assert measure.common_prefix("abcd", "abxy") == "ab"
    assert measure.common_prefix("ab", "xy") == ""


def test_common_prefix_whole():
    assert measure.common_prefix("abc", "abcde") == "abc"
    assert measure.common_prefix("abcde", "abc") == "abc"


def test_differences():
    assert measure.differences("abcd", "abxy") == 2
    assert measure.differences("abc", "abcde") == 2
    assert measure.differences("xbcde", "abc") == 3


def test_edit_distance_change():
    assert measure.edit_distance("cat", "cut") == 1


def test_edit_distance_insert():
    assert measure.edit_distance("cat", "cart") == 1
    assert measure.edit_distance("", "abc") == 3


def test_edit_distance_delete():
    assert measure.edit_distance("xcat", "cat") == 1
    assert measure.edit_distance("abc", "") == 3


def test_edit_distance_mixed():
    assert measure.edit_distance("kitten", "sitting") == 3


def test_position():
    assert measure.position("ab\ncd\n", 4) == (2, 2)
    assert measure.position("ab\ncd\n", 3) == (2, 1)
    assert measure.position("ab", 1) == (1, 2)
