from gameboards import dice


def test_tally():
    assert dice.tally([3, 1, 3, 3, 1]) == [3, 2]
    assert dice.tally([1, 2, 2, 4, 6]) == [2, 1, 1, 1]


def test_of_a_kind():
    assert dice.of_a_kind([3, 3, 3, 1, 6], 3) == 16
    assert dice.of_a_kind([3, 3, 3, 1, 6], 4) == 0


def test_full_house():
    assert dice.full_house([2, 5, 2, 5, 5]) == 25
    assert dice.full_house([2, 5, 5, 5, 5]) == 0


def test_straight():
    assert dice.straight([1, 2, 3, 4, 6], 4)
    assert dice.straight([3, 4, 5, 6, 3], 4)
    assert not dice.straight([1, 2, 3, 5, 6], 4)


def test_long_straight():
    assert dice.straight([2, 3, 4, 5, 6], 5)
    assert not dice.straight([1, 2, 3, 4, 6], 5)


def test_straight_stays_on_the_dice():
    assert not dice.straight([0, 1, 2, 3, 3], 4)
    assert not dice.straight([4, 5, 6, 7, 7], 4)


def test_face_score():
    assert dice.face_score([4, 4, 1, 4, 2], 4) == 12


def test_upper_bonus():
    assert dice.upper_bonus([30, 33]) == 35
    assert dice.upper_bonus([30, 32]) == 0


def test_move():
    assert dice.move(10, 5) == 15


def test_move_snake_and_ladder():
    assert dice.move(12, 5) == 7
    assert dice.move(1, 2) == 38


def test_move_past_the_end():
    assert dice.move(97, 3) == 100
    assert dice.move(97, 4) == 99


def test_jumps():
    assert sum(dice.SNAKES) + sum(dice.SNAKES.values()) == 370
    assert sum(dice.LADDERS) + sum(dice.LADDERS.values()) == 389


def test_rolls_to_finish():
    assert dice.rolls_to_finish([60, 36, 3, 1, 5]) == 4
    assert dice.rolls_to_finish([50, 20]) is None
    assert dice.rolls_to_finish([100]) == 1
