from gameboards import mines

ROWS = ["*...",
        "....",
        ".*..",
        "...."]


def test_near_inside():
    assert len(mines.near(ROWS, 1, 1)) == 8
    assert (1, 1) not in mines.near(ROWS, 1, 1)


def test_near_corner():
    assert mines.near(ROWS, 0, 0) == [(0, 1), (1, 0), (1, 1)]
    assert mines.near(ROWS, 3, 3) == [(2, 2), (2, 3), (3, 2)]


def test_near_in_a_wide_field():
    assert mines.near(["....."], 0, 3) == [(0, 2), (0, 4)]


def test_hint():
    assert mines.hint(ROWS, 1, 1) == 2
    assert mines.hint(ROWS, 3, 3) == 0


def test_hints():
    assert mines.hints(ROWS) == ["*100", "2210", "1*10", "1110"]


def test_uncover_number():
    assert mines.uncover(ROWS, 1, 1) == {(1, 1)}


def test_uncover_area():
    rows = ["....*", "....."]
    assert mines.uncover(rows, 0, 0) == {
        (0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3)}


def test_uncover_stops_at_numbers():
    assert mines.uncover(["...*.."], 0, 0) == {
        (0, 0), (0, 1), (0, 2)}


def test_uncover_mine():
    assert mines.uncover(ROWS, 0, 0) == set()


def test_is_cleared():
    assert mines.is_cleared(["*.", ".."], {(0, 1), (1, 0), (1, 1)})
    assert not mines.is_cleared(["*.", ".."], {(0, 1), (1, 0)})


def test_ship_places():
    assert mines.ship_places(2, 5, 3, True) == [(2, 5), (2, 6), (2, 7)]
    assert mines.ship_places(2, 5, 2, False) == [(2, 5), (3, 5)]


def test_fits():
    assert mines.fits([(0, 0), (0, 1)], 2, set())
    assert not mines.fits([(0, 0), (0, 1)], 2, {(0, 1)})


def test_fits_outside():
    assert not mines.fits([(0, 2)], 2, set())
    assert not mines.fits([(2, 0)], 2, set())
    assert not mines.fits([(-1, 0)], 2, set())
    assert not mines.fits([(0, -1)], 2, set())


def test_shoot():
    ships = [[(0, 0), (0, 1)], [(2, 2)]]
    hits = set()
    assert mines.shoot(ships, hits, (1, 1)) == "miss"
    assert mines.shoot(ships, hits, (0, 1)) == "hit"
    assert mines.shoot(ships, hits, (0, 0)) == "sunk"
    assert hits == {(0, 0), (0, 1)}
