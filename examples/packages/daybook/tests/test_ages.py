from daybook import Day, ages

BORN = Day(2000, 5, 10)
LEAP = Day(2004, 2, 29)


def test_age_on_birthday():
    assert ages.age_on(BORN, Day(2020, 5, 10)) == 20
    assert ages.age_on(BORN, Day(2020, 5, 9)) == 19


def test_age_in_other_months():
    assert ages.age_on(BORN, Day(2020, 4, 30)) == 19
    assert ages.age_on(BORN, Day(2020, 6, 1)) == 20


def test_birthday_in():
    assert ages.birthday_in(BORN, 2021) == Day(2021, 5, 10)
    assert ages.birthday_in(Day(2004, 2, 28), 2021) == Day(2021, 2, 28)
    assert ages.birthday_in(Day(2004, 3, 29), 2021) == Day(2021, 3, 29)


def test_birthday_on_leap_day():
    assert ages.birthday_in(LEAP, 2021) == Day(2021, 3, 1)
    assert ages.birthday_in(LEAP, 2024) == LEAP.plus_months(240)


def test_next_birthday():
    assert ages.next_birthday(BORN, Day(2020, 5, 11)) == Day(2021, 5, 10)
    assert ages.next_birthday(BORN, Day(2020, 1, 1)) == Day(2020, 5, 10)


def test_next_birthday_today():
    assert ages.next_birthday(BORN, Day(2020, 5, 10)) == Day(2020, 5, 10)


def test_whole_months():
    assert ages.whole_months(BORN, Day(2000, 7, 10)) == 2
    assert ages.whole_months(BORN, Day(2000, 7, 9)) == 1
    assert ages.whole_months(BORN, Day(2002, 2, 20)) == 21


def test_due_dates():
    dates = ages.due_dates(Day(2024, 1, 31), 3, 2)
    assert [str(day) for day in dates] == ["2024-04-30", "2024-07-31"]


def test_easter():
    assert str(ages.easter(2024)) == "2024-03-31"
    assert str(ages.easter(2025)) == "2025-04-20"
    assert str(ages.easter(1961)) == "1961-04-02"


def test_easter_extremes():
    assert str(ages.easter(1818)) == "1818-03-22"
    assert str(ages.easter(1943)) == "1943-04-25"
    assert str(ages.easter(1954)) == "1954-04-18"
    assert str(ages.easter(1981)) == "1981-04-19"


def test_easter_more():
    assert str(ages.easter(2000)) == "2000-04-23"
    assert str(ages.easter(1700)) == "1700-04-11"
    assert str(ages.easter(2100)) == "2100-03-28"
    assert str(ages.easter(2299)) == "2299-04-16"
