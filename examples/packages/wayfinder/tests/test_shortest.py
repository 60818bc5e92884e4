from wayfinder import Graph, shortest


def roads():
    graph = Graph()
    for text in ("ab7", "ac3", "cb2", "bd4", "cd8", "xy1"):
        graph.add_edge(text[0], text[1], int(text[2]))
    return graph


def test_path_length():
    assert shortest.path_length(roads(), ["a", "b", "d"]) == 11
    assert shortest.path_length(roads(), ["a"]) == 0


def test_distances():
    known, came = shortest.distances(roads(), "a")
    assert known == {"a": 0, "c": 3, "b": 5, "d": 9}
    assert came == {"a": None, "c": "a", "b": "c", "d": "b"}


def test_distances_keep_the_first_of_equals():
    graph = roads()
    graph.add_edge("a", "b", 5)
    _, came = shortest.distances(graph, "a")
    assert came["b"] == "a"


def test_shortest():
    assert shortest.shortest(roads(), "a", "d") == ["a", "c", "b", "d"]
    assert shortest.shortest(roads(), "a", "a") == ["a"]


def test_shortest_not_in_reach():
    assert shortest.shortest(roads(), "a", "y") is None


def test_within():
    assert shortest.within(roads(), "a", 5) == ["a", "b", "c"]
    assert shortest.within(roads(), "a", 4) == ["a", "c"]


def test_widest_reach():
    assert shortest.widest_reach(roads(), "a") == 9
    assert shortest.widest_reach(roads(), "x") == 1


def test_centre():
    graph = roads()
    graph.remove_node("x")
    graph.remove_node("y")
    assert shortest.centre(graph) == "b"


def test_all_pairs():
    table = shortest.all_pairs(roads())
    assert table["a", "d"] == 9
    assert table["d", "a"] == 9
    assert table["a", "b"] == 5
    assert table["a", "a"] == 0
    assert ("a", "x") not in table


def test_all_pairs_directed():
    graph = Graph(directed=True)
    graph.add_edge("c", "b", 2)
    graph.add_edge("b", "a", 3)
    assert shortest.all_pairs(graph) == {
        ("a", "a"): 0, ("b", "b"): 0, ("c", "c"): 0,
        ("c", "b"): 2, ("b", "a"): 3, ("c", "a"): 5}
