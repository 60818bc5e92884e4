"""Recipes and kitchen measures."""

SPOONS = {"cup": 240, "tbsp": 15, "tsp": 5}


def in_spoons(milliliters):
    """Return full cups, tablespoons and teaspoons."""
    counts = []
    for size in SPOONS.values():
        counts.append(milliliters // size)
        milliliters -= counts[-1] * size
    return tuple(counts)


def from_spoons(cups=0, tbsp=0, tsp=0):
    return cups * SPOONS["cup"] + tbsp * SPOONS["tbsp"] + tsp * SPOONS["tsp"]


def scale_recipe(recipe, servings, wanted):
    """Return the amounts for another number of servings."""
    scaled = {}
    for name, amount in recipe.items():
        scaled[name] = amount * wanted / servings
    return scaled


def servings_possible(recipe, pantry):
    """Return how often a recipe can be made from a pantry."""
    times = []
    for name, amount in recipe.items():
        if amount > 0:
            times.append(pantry.get(name, 0) // amount)
    return min(times) if times else 0


def gas_mark(celsius):
    """Return the gas mark of an oven's temperature."""
    if celsius < 135:
        return 0
    return (celsius - 121) // 14


def roast_minutes(grams, per_kilo=40, extra=20):
    return grams * per_kilo // 1000 + extra


def egg_size(grams):
    for least, size in ((73, "XL"), (63, "L"), (53, "M")):
        if grams >= least:
            return size
    return "S"


def round_amount(grams):
    """Round an amount so that it is easy to weigh."""
    if grams < 20:
        return round(grams)
    if grams < 200:
        return round(grams / 5) * 5
    return round(grams / 10) * 10
