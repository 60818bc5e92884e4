import pytest

from stockroom import Order, Stock
from stockroom.orders import best_customer, open_orders


def sample(customer="ann", state="open"):
    order = Order(7, customer)
    order.add("nail", 5, 20)
    order.add("bolt", 40)
    order.state = state
    return order


def test_add():
    assert sample().lines[1] == {"item": "bolt", "price": 40, "count": 1}


def test_add_to_line():
    order = sample()
    order.add("bolt", 40, 2)
    assert len(order.lines) == 2
    assert order.lines[1]["count"] == 3


def test_add_other_price():
    order = sample()
    order.add("bolt", 39)
    assert len(order.lines) == 3
    order.add("pump", 40)
    assert len(order.lines) == 4


def test_add_to_closed_order():
    with pytest.raises(ValueError):
        sample(state="paid").add("bolt", 40)


def test_remove():
    order = sample()
    assert order.remove("nail") == 1
    assert order.counts() == {"bolt": 1}


def test_remove_unknown():
    assert sample().remove("pump") == 0


def test_total():
    assert sample().total() == 135


def test_counts():
    order = sample()
    order.add("bolt", 39, 4)
    assert order.counts() == {"nail": 20, "bolt": 5}


def test_move_to():
    order = sample()
    order.move_to("paid")
    assert order.state == "paid"


def test_move_to_wrong_state():
    with pytest.raises(ValueError):
        sample().move_to("packed")
    with pytest.raises(ValueError):
        sample(state="delivered").move_to("open")


def test_is_done():
    assert sample(state="delivered").is_done()
    assert sample(state="cancelled").is_done()
    assert not sample(state="packed").is_done()


def test_pack():
    stock = Stock()
    stock.receive("nail", 25)
    stock.receive("bolt", 1)
    order = sample(state="paid")
    assert order.pack(stock) is True
    assert order.state == "packed"
    assert stock.levels == {"nail": 5}


def test_pack_with_missing_items():
    stock = Stock()
    stock.receive("nail", 25)
    order = sample(state="paid")
    assert order.pack(stock) is False
    assert order.state == "paid"
    assert stock.levels == {"nail": 25}


def test_open_orders():
    orders = [sample("ann"), sample("bob", "delivered"), sample("bob", "paid")]
    assert open_orders(orders) == [orders[0], orders[2]]
    assert open_orders(orders, "bob") == [orders[2]]


def test_best_customer():
    orders = [sample("ann", "delivered"), sample("bob", "delivered"),
              sample("bob", "delivered"), sample("cid", "open")]
    assert best_customer(orders) == "bob"


def test_best_customer_of_equals():
    orders = [sample("bob", "delivered"), sample("ann", "delivered")]
    assert best_customer(orders) == "ann"


def test_no_best_customer():
    assert best_customer([sample()]) is None
