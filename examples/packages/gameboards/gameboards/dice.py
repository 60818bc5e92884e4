"""Scores for five dice and moves along a track."""

SNAKES = {17: 7, 54: 34, 62: 19, 98: 79}
LADDERS = {3: 38, 24: 33, 42: 93, 72: 84}


def tally(dice):
    """Return how many dice show each face, the most frequent first."""
    return sorted((dice.count(face) for face in set(dice)), reverse=True)


def of_a_kind(dice, count):
    """Score all dice if enough of them are equal."""
    return sum(dice) if tally(dice)[0] >= count else 0


def full_house(dice):
    return 25 if tally(dice) == [3, 2] else 0


def straight(dice, length):
    """Tell whether the dice hold a straight of a length."""
    faces = set(dice)
    for low in range(1, 8 - length):
        if faces >= set(range(low, low + length)):
            return True
    return False


def face_score(dice, face):
    return face * dice.count(face)


def upper_bonus(scores):
    return 35 if sum(scores) >= 63 else 0


def move(place, roll):
    """Move on a track of 100 places; the last must be met exactly."""
    goal = place + roll
    if goal > 100:
        goal = 200 - goal
    if goal in SNAKES:
        return SNAKES[goal]
    return LADDERS.get(goal, goal)


def rolls_to_finish(rolls):
    """Return how many rolls it takes to reach the end, or None."""
    place = 0
    for count, roll in enumerate(rolls, start=1):
        place = move(place, roll)
        if place == 100:
            return count
    return None
