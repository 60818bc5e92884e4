from measures import kitchen


def test_in_spoons():
    assert kitchen.in_spoons(520) == (2, 2, 2)
    assert kitchen.in_spoons(14) == (0, 0, 2)
    assert kitchen.in_spoons(240) == (1, 0, 0)


def test_from_spoons():
    assert kitchen.from_spoons(1, 2, 3) == 285
    assert kitchen.from_spoons(tsp=1) == 5
    assert kitchen.from_spoons() == 0


def test_scale_recipe():
    recipe = {"flour": 300, "salt": 4}
    assert kitchen.scale_recipe(recipe, 4, 6) == {"flour": 450, "salt": 6}


def test_servings_possible():
    recipe = {"flour": 300, "milk": 100, "salt": 0}
    assert kitchen.servings_possible(recipe, {"flour": 900, "milk": 250}) == 2
    assert kitchen.servings_possible(recipe, {"flour": 900}) == 0


def test_servings_of_small_amounts():
    assert kitchen.servings_possible({"egg": 1}, {"egg": 5}) == 5
    assert kitchen.servings_possible({"egg": 1}, {}) == 0


def test_servings_of_nothing():
    assert kitchen.servings_possible({}, {"flour": 900}) == 0


def test_gas_mark():
    assert kitchen.gas_mark(134) == 0
    assert kitchen.gas_mark(135) == 1
    assert kitchen.gas_mark(148) == 1
    assert kitchen.gas_mark(177) == 4
    assert kitchen.gas_mark(232) == 7


def test_roast_minutes():
    assert kitchen.roast_minutes(1500) == 80
    assert kitchen.roast_minutes(2000, 50, 15) == 115


def test_roast_minutes_rounded_down():
    assert kitchen.roast_minutes(999, 1, 0) == 0


def test_egg_size():
    sizes = [kitchen.egg_size(g) for g in (73, 72, 63, 62, 53, 52)]
    assert sizes == ["XL", "L", "L", "M", "M", "S"]


def test_round_amount_small():
    assert kitchen.round_amount(7.4) == 7
    assert kitchen.round_amount(19) == 19


def test_round_amount():
    assert kitchen.round_amount(21) == 20
    assert kitchen.round_amount(20) == 20
    assert kitchen.round_amount(198) == 200
    assert kitchen.round_amount(194) == 195


def test_round_amount_large():
    assert kitchen.round_amount(204) == 200
    assert kitchen.round_amount(347) == 350


def test_round_amount_limits():
    assert kitchen.round_amount(19.6) == 20
    assert kitchen.round_amount(203) == 200
    assert kitchen.round_amount(18) == 18
