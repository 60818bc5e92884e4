from cashbook import tax


def test_add_tax():
    assert tax.add_tax(1000, 20) == 1200


def test_net_of():
    assert tax.net_of(1200, 20) == 1000
    assert tax.net_of(107, 7) == 100


def test_tax_within():
    assert tax.tax_within(1190, 19) == 190


def test_bracket_tax_free():
    assert tax.bracket_tax(90000) == 0
    assert tax.bracket_tax(100000) == 0


def test_bracket_tax_middle():
    assert tax.bracket_tax(200000) == 10000
    assert tax.bracket_tax(400000) == 30000


def test_bracket_tax_top():
    assert tax.bracket_tax(500000) == 55000


def test_bracket_tax_own_table():
    assert tax.bracket_tax(300, [(0, 10), (100, 20)]) == 50
    assert tax.bracket_tax(0, [(-100, 10), (0, 20)]) == 10


def test_top_rate():
    assert tax.top_rate(100000) == 0
    assert tax.top_rate(100001) == 10
    assert tax.top_rate(400001) == 25


def test_top_rate_below_all_brackets():
    assert tax.top_rate(5, [(10, 20)]) == 0


def test_take_home():
    assert tax.take_home(200000) == 190000


def test_bracket_table():
    assert tax.BRACKETS == [(0, 0), (100000, 10), (400000, 25)]
