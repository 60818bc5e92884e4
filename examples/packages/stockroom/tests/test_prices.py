from stockroom import prices


def test_rebate_percent():
    rebates = [prices.rebate_percent(n) for n in (9, 10, 49, 50, 99, 100)]
    assert rebates == [0, 5, 5, 10, 10, 15]


def test_line_price():
    assert prices.line_price(300, 2) == 600
    assert prices.line_price(300, 10) == 2850


def test_line_price_rounds_the_rebate_down():
    assert prices.line_price(33, 11) == 345


def test_bundle_price():
    assert prices.bundle_price(100, 3, 3, 2) == 200
    assert prices.bundle_price(100, 7, 3, 2) == 500


def test_bundle_price_rest():
    assert prices.bundle_price(100, 8, 3, 1) == 300


def test_apply_voucher():
    assert prices.apply_voucher(2000, 500) == 1500
    assert prices.apply_voucher(300, 500) == 0


def test_voucher_for_nothing():
    assert prices.apply_voucher(0, -1) == 1
    assert prices.apply_voucher(-2, -5) == -2


def test_voucher_needs_least():
    assert prices.apply_voucher(2000, 500, 2000) == 1500
    assert prices.apply_voucher(1999, 500, 2000) == 1999


def test_voucher_for_a_small_debt():
    assert prices.apply_voucher(-1, -5) == -1


def test_free_shipping():
    assert prices.shipping(5000, 900) == 0
    assert prices.shipping(4999, 900) == 390


def test_shipping_heavy():
    assert prices.shipping(100, 1000) == 390
    assert prices.shipping(100, 1001) == 510
    assert prices.shipping(100, 1500) == 510
    assert prices.shipping(100, 1501) == 630


def test_shipping_abroad():
    assert prices.shipping(9000, 500, abroad=True) == 780


def test_margin():
    assert prices.margin(60, 80) == 25
    assert prices.margin(0, 1) == 100


def test_margin_of_a_gift():
    assert prices.margin(60, 0) == 0


def test_cheapest():
    offers = [("a", 30), ("b", 20), ("c", 20)]
    assert prices.cheapest(offers) == "b"


def test_cheapest_of_none():
    assert prices.cheapest([]) is None
