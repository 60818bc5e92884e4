import pytest

from stockroom import shelves


def test_shelf_code():
    assert shelves.shelf_code(2, 4, 7) == "C4-07"
    assert shelves.shelf_code(0, 1, 12) == "A1-12"


def test_parse_code():
    assert shelves.parse_code("C14-07") == (2, 14, 7)


def test_first_gap():
    assert shelves.first_gap({1, 2, 4}, 5) == 3
    assert shelves.first_gap({2}, 5) == 1


def test_first_gap_at_the_end():
    assert shelves.first_gap({1, 2}, 3) == 3
    assert shelves.first_gap({1, 2}, 2) is None


def test_walking_order():
    codes = ["B1-03", "A2-09", "B1-08", "A1-09", "A1-02"]
    assert shelves.walking_order(codes) == [
        "A1-02", "A1-09", "A2-09", "B1-08", "B1-03"]


def test_walking_order_third_aisle():
    assert shelves.walking_order(["C1-02", "C1-01"]) == ["C1-01", "C1-02"]
    assert shelves.walking_order(["D1-01", "D1-02"]) == ["D1-02", "D1-01"]


def test_pack_bins():
    assert shelves.pack_bins([2, 5, 4, 7, 1], 10) == [[7, 2, 1], [5, 4]]


def test_pack_bins_full():
    assert shelves.pack_bins([10, 1], 10) == [[10], [1]]


def test_pack_bins_too_heavy():
    with pytest.raises(ValueError):
        shelves.pack_bins([11], 10)


def test_check_digit():
    assert shelves.check_digit("400638133393") == 1
    assert shelves.check_digit("978030640615") == 7


def test_check_digit_zero():
    assert shelves.check_digit("300000000010") == 6
    assert shelves.check_digit("900000000010") == 0


def test_is_article():
    assert shelves.is_article("4006381333931")
    assert not shelves.is_article("4006381333932")


def test_is_article_form():
    assert not shelves.is_article("400638133393")
    assert not shelves.is_article("40063813339a1")
    assert not shelves.is_article("40063813339311")
