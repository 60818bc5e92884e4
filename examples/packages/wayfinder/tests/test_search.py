from wayfinder import Graph, search


def make(text, directed=False):
    graph = Graph(directed)
    for a, b in text.split():
        graph.add_edge(a, b)
    return graph


def test_levels():
    graph = make("ab bc cd ae ed df xy")
    assert search.levels(graph, "a") == {
        "a": 0, "b": 1, "e": 1, "c": 2, "d": 2, "f": 3}


def test_fewest_steps():
    graph = make("ab bc cd ae ed")
    assert search.fewest_steps(graph, "a", "d") == ["a", "e", "d"]
    assert search.fewest_steps(graph, "a", "a") == ["a"]


def test_fewest_steps_not_in_reach():
    assert search.fewest_steps(make("ab cd"), "a", "d") is None


def test_trace():
    assert search.trace({"a": None, "b": "a", "c": "b"}, "c") == list("abc")


def test_depth_first():
    graph = make("ab bc cd ae ed")
    assert search.depth_first(graph, "a") == list("abcde")
    assert search.depth_first(graph, "c") == list("cbaed")


def test_parts():
    graph = make("ab xy bc")
    assert search.parts(graph) == [["a", "b", "c"], ["x", "y"]]


def test_is_connected():
    assert search.is_connected(make("ab bc"))
    assert not search.is_connected(make("ab cd"))


def test_empty_graph_is_connected():
    assert search.is_connected(Graph())


def test_two_colours():
    assert search.two_colours(make("ab bc xy")) == {
        "a": 0, "b": 1, "c": 0, "x": 0, "y": 1}


def test_two_colours_odd_circle():
    assert search.two_colours(make("ab bc ca")) is None
    assert search.two_colours(make("ab bc cd da")) is not None


def test_all_paths():
    graph = make("ab bd ac cd")
    assert search.all_paths(graph, "a", "d") == [list("abd"), list("acd")]


def test_all_paths_none():
    assert search.all_paths(make("ab cd"), "a", "d") == []
