"""Orders and their way from open to delivered."""

from .prices import line_price

NEXT_STATES = {
    "open": ["paid", "cancelled"],
    "paid": ["packed", "cancelled"],
    "packed": ["delivered"],
}


class Order:
    def __init__(self, number, customer):
        self.number = number
        self.customer = customer
        self.lines = []
        self.state = "open"

    def add(self, item, price, count=1):
        """Add a line, or more pieces to the line of the same price."""
        if self.state != "open":
            raise ValueError("order is closed")
        for line in self.lines:
            if line["item"] == item and line["price"] == price:
                line["count"] += count
                return
        self.lines.append({"item": item, "price": price, "count": count})

    def remove(self, item):
        """Drop the lines of an item and return how many there were."""
        kept = [line for line in self.lines if line["item"] != item]
        dropped = len(self.lines) - len(kept)
        self.lines = kept
        return dropped

    def total(self):
        return sum(line_price(l["price"], l["count"]) for l in self.lines)

    def counts(self):
        """Return the number of pieces per item."""
        counts = {}
        for line in self.lines:
            item = line["item"]
            counts[item] = counts.get(item, 0) + line["count"]
        return counts

    def move_to(self, state):
        if state not in NEXT_STATES.get(self.state, []):
            raise ValueError(self.state + " to " + state)
        self.state = state

    def is_done(self):
        return self.state == "delivered" or self.state == "cancelled"

    def pack(self, stock):
        """Take all pieces from the stock if nothing is missing."""
        wanted = self.counts()
        if stock.missing(wanted):
            return False
        for item, count in wanted.items():
            stock.take(item, count)
        self.move_to("packed")
        return True


def open_orders(orders, customer=None):
    """Return the orders still under way, maybe of one customer."""
    found = []
    for order in orders:
        if customer is not None and order.customer != customer:
            continue
        if not order.is_done():
            found.append(order)
    return found


def best_customer(orders):
    """Return the customer with the largest sum of delivered orders."""
    sums = {}
    for order in orders:
        if order.state == "delivered":
            name = order.customer
            sums[name] = sums.get(name, 0) + order.total()
    return max(sorted(sums), key=sums.get, default=None)
