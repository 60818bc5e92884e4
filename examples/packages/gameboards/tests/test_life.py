from gameboards import life

BLINKER = {(0, 1), (1, 1), (2, 1)}
BLOCK = {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_around():
    assert life.around((5, 5)) == {
        (4, 4), (4, 5), (4, 6), (5, 4), (5, 6), (6, 4), (6, 5), (6, 6)}


def test_live_around():
    assert life.live_around(BLINKER, (1, 1)) == 2
    assert life.live_around(BLINKER, (1, 0)) == 3


def test_survives_alive():
    assert [life.survives(True, n) for n in range(5)] == [
        False, False, True, True, False]


def test_survives_dead():
    assert [life.survives(False, n) for n in range(5)] == [
        False, False, False, True, False]


def test_step():
    assert life.step(BLINKER) == {(1, 0), (1, 1), (1, 2)}


def test_step_keeps_its_input():
    cells = set(BLINKER)
    life.step(cells)
    assert cells == BLINKER


def test_after():
    assert life.after(BLINKER, 2) == BLINKER
    assert life.after(BLINKER, 3) == {(1, 0), (1, 1), (1, 2)}


def test_glider_moves():
    glider = life.read(".#.\n..#\n###")
    assert life.after(glider, 4) == {(x + 1, y + 1) for x, y in glider}


def test_read():
    assert life.read("#..\n.##") == {(0, 0), (1, 1), (2, 1)}


def test_draw():
    assert life.draw({(0, 0), (2, 1)}, 3, 2) == "#..\n..#"


def test_period():
    assert life.period(BLOCK) == 1
    assert life.period(BLINKER) == 2


def test_no_period():
    assert life.period({(0, 0)}) is None
    assert life.period(BLINKER, 1) is None
    assert life.period(BLINKER, 2) == 2


def test_period_limit():
    assert life.period.__defaults__ == (20,)
