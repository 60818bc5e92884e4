import pytest

from spanset import pages


def test_parse_pages():
    assert pages.parse_pages("7, 1-3", 9) == [1, 2, 3, 7]


def test_parse_same_page_twice():
    assert pages.parse_pages("2-3,3-4", 9) == [2, 3, 4]


def test_parse_open_range():
    assert pages.parse_pages("7-", 9) == [7, 8, 9]
    assert pages.parse_pages("-2", 9) == [1, 2]


def test_parse_past_the_last():
    assert pages.parse_pages("8-12", 9) == [8, 9]


def test_parse_one_page_range():
    assert pages.parse_pages("1-1", 9) == [1]


def test_parse_bad_range():
    with pytest.raises(ValueError):
        pages.parse_pages("5-4", 9)
    with pytest.raises(ValueError):
        pages.parse_pages("0-4", 9)


def test_show_pages():
    assert pages.show_pages([1, 2, 3, 5, 7, 8]) == "1-3,5,7,8"


def test_runs():
    assert pages.runs([4, 1, 2, 2, 3, 9]) == [(1, 4), (9, 9)]
    assert pages.runs([1, 3]) == [(1, 1), (3, 3)]
    assert pages.runs([1, 2, 4, 5]) == [(1, 2), (4, 5)]


def test_missing():
    assert pages.missing([7, 3, 5]) == [4, 6]
    assert pages.missing([]) == []
