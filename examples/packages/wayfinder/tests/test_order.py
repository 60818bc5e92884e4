import pytest

from wayfinder import order

NEEDS = {"roof": ["wall"], "wall": ["base"], "base": [], "door": ["wall"],
         "key": ["door", "roof"]}
HOURS = {"roof": 4, "wall": 3, "base": 2, "door": 5, "key": 1}


def test_task_order():
    assert order.task_order(NEEDS) == ["base", "wall", "door", "roof", "key"]


def test_task_order_by_name():
    assert order.task_order({"b": [], "a": [], "c": ["b"]}) == ["a", "b", "c"]


def test_task_order_circle():
    with pytest.raises(order.CycleError, match="^a$"):
        order.task_order({"b": ["a"], "a": ["b"], "0": []})


def test_stages():
    assert order.stages(NEEDS) == {
        "base": 1, "wall": 2, "roof": 3, "door": 3, "key": 4}


def test_stages_use_the_latest():
    assert order.stages({"a": [], "b": ["a"], "c": ["a", "b"]})["c"] == 3


def test_finish_times():
    assert order.finish_times(NEEDS, HOURS) == {
        "base": 2, "wall": 5, "roof": 9, "door": 10, "key": 11}


def test_critical_tasks():
    assert order.critical_tasks(NEEDS, HOURS) == [
        "key", "door", "wall", "base"]
