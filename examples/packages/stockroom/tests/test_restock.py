from stockroom import restock


def test_reorder_point():
    assert restock.reorder_point(4, 5) == 20
    assert restock.reorder_point(4, 5, 3) == 23


def test_days_left():
    assert restock.days_left(10, 3) == 3
    assert restock.days_left(5, 1) == 5


def test_days_left_without_sales():
    assert restock.days_left(10, 0) is None


def test_boxes_needed():
    assert restock.boxes_needed(12, 6) == 2
    assert restock.boxes_needed(13, 6) == 3
    assert restock.boxes_needed(0, 6) == 0


def test_order_amount():
    assert restock.order_amount(3, 20, 6) == 18
    assert restock.order_amount(19, 20, 6) == 6


def test_order_amount_enough():
    assert restock.order_amount(20, 20, 6) == 0
    assert restock.order_amount(30, 20, 6) == 0


def test_forecast():
    assert restock.forecast(10, [4, 3, 5], {}) == [6, 3, 0]


def test_forecast_with_delivery():
    assert restock.forecast(5, [4, 3, 1], {1: 6}) == [1, 4, 3]


def test_first_empty_day():
    assert restock.first_empty_day([2, 1, 0, 0]) == 2
    assert restock.first_empty_day([2, -1]) == 1
    assert restock.first_empty_day([2, 1]) is None


def test_abc_classes():
    values = {"x": 5, "y": 80, "z": 15}
    assert restock.abc_classes(values) == {"y": "A", "z": "B", "x": "C"}


def test_abc_classes_border():
    values = {"u": 79, "v": 10, "w": 6, "x": 5}
    assert restock.abc_classes(values) == {
        "u": "A", "v": "A", "w": "B", "x": "C"}
