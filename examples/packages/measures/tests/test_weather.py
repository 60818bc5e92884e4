from measures import weather


def test_beaufort():
    assert weather.beaufort(0) == 0
    assert weather.beaufort(1) == 1
    assert weather.beaufort(61) == 7
    assert weather.beaufort(62) == 8
    assert weather.beaufort(200) == 12


def test_beaufort_steps():
    for force, least in enumerate(weather.BEAUFORT):
        assert weather.beaufort(least) == force + 1
    assert sum(weather.BEAUFORT) == 604


def test_compass():
    assert weather.compass(0) == "N"
    assert weather.compass(22) == "N"
    assert weather.compass(22.5) == "NE"
    assert weather.compass(225) == "SW"


def test_compass_wraps():
    assert weather.compass(337) == "NW"
    assert weather.compass(337.5) == "N"


def test_bearing():
    assert weather.bearing("SE") == 135


def test_turn():
    assert weather.turn(10, 50) == 40
    assert weather.turn(50, 10) == -40
    assert weather.turn(0, 181) == -179


def test_turn_over_north():
    assert weather.turn(350, 10) == 20
    assert weather.turn(90, 270) == 180


def test_rain_level():
    levels = [weather.rain_level(mm) for mm in (0, 0.5, 2.5, 7.5, 8)]
    assert levels == ["dry", "light", "moderate", "moderate", "heavy"]


def test_dry_spell():
    assert weather.dry_spell([4, 0, 1, 0, 0]) == 2
    assert weather.dry_spell([0, 3]) == 0
    assert weather.dry_spell([0, 0, 0]) == 3


def test_tank_level():
    assert weather.tank_level(50, [20, 5], 10, 100) == 55


def test_tank_level_limits():
    assert weather.tank_level(90, [30], 10, 100) == 90
    assert weather.tank_level(5, [0], 10, 100) == 0


def test_thunder_distance():
    assert weather.thunder_distance(3) == 1020
