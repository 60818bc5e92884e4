from daybook import Day, weeks

MONDAY = Day(2024, 1, 1)


def test_names():
    assert weeks.NAMES[MONDAY.weekday()] == "Mon"


def test_is_weekend():
    flags = [weeks.is_weekend(MONDAY.plus_days(i)) for i in range(7)]
    assert flags == [False] * 5 + [True] * 2


def test_next_weekday():
    assert weeks.next_weekday(MONDAY, 1) == Day(2024, 1, 2)
    assert weeks.next_weekday(Day(2024, 1, 3), 1) == Day(2024, 1, 9)


def test_next_weekday_same():
    assert weeks.next_weekday(MONDAY, 0) == Day(2024, 1, 8)


def test_week_start():
    assert weeks.week_start(Day(2024, 1, 7)) == MONDAY
    assert weeks.week_start(MONDAY) == MONDAY


def test_same_week():
    assert weeks.same_week(MONDAY, Day(2024, 1, 7))
    assert not weeks.same_week(MONDAY, Day(2024, 1, 8))


def test_nth_weekday():
    assert weeks.nth_weekday(2024, 1, 0, 1) == Day(2024, 1, 1)
    assert weeks.nth_weekday(2024, 11, 3, 4) == Day(2024, 11, 28)
    assert weeks.nth_weekday(2024, 2, 2, 2) == Day(2024, 2, 14)


def test_workdays_between():
    assert weeks.workdays_between(MONDAY, Day(2024, 1, 9)) == 7
    assert weeks.workdays_between(MONDAY, MONDAY) == 1


def test_workdays_between_with_holiday():
    free = [MONDAY, Day(2024, 1, 6)]
    assert weeks.workdays_between(MONDAY, Day(2024, 1, 7), free) == 4


def test_plus_workdays():
    assert weeks.plus_workdays(MONDAY, 4) == Day(2024, 1, 5)
    assert weeks.plus_workdays(MONDAY, 5) == Day(2024, 1, 8)
    assert weeks.plus_workdays(MONDAY, 6) == Day(2024, 1, 9)


def test_month_grid():
    grid = weeks.month_grid(2024, 2)
    assert grid[0] == [0, 0, 0, 1, 2, 3, 4]
    assert grid[1] == [5, 6, 7, 8, 9, 10, 11]
    assert grid[-1] == [26, 27, 28, 29, 0, 0, 0]


def test_month_grid_full_weeks():
    assert len(weeks.month_grid(2021, 2)) == 4
