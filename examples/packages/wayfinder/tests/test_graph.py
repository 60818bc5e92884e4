import pytest

from wayfinder import Graph


def make(edges, directed=False):
    graph = Graph(directed)
    for edge in edges:
        graph.add_edge(*edge)
    return graph


def test_add_node_twice():
    graph = make([("a", "b")])
    graph.add_node("a")
    assert graph.neighbours("a") == ["b"]


def test_edge_runs_both_ways():
    graph = make([("a", "b", 4)])
    assert graph.links == {"a": {"b": 4}, "b": {"a": 4}}


def test_directed_edge():
    graph = make([("a", "b")], directed=True)
    assert graph.links == {"a": {"b": 1}, "b": {}}


def test_remove_edge():
    graph = make([("a", "b"), ("b", "c")])
    graph.remove_edge("a", "b")
    assert graph.links == {"a": {}, "b": {"c": 1}, "c": {"b": 1}}


def test_remove_directed_edge():
    graph = make([("a", "b"), ("b", "a")], directed=True)
    graph.remove_edge("a", "b")
    assert graph.links == {"a": {}, "b": {"a": 1}}


def test_remove_node():
    graph = make([("a", "b"), ("b", "c"), ("a", "c")])
    graph.remove_node("b")
    assert graph.links == {"a": {"c": 1}, "c": {"a": 1}}


def test_nodes():
    assert make([("c", "a"), ("b", "a")]).nodes() == ["a", "b", "c"]


def test_edges():
    graph = make([("b", "a", 3), ("b", "c", 2)])
    assert graph.edges() == [("a", "b", 3), ("b", "c", 2)]


def test_edges_loop():
    assert make([("a", "a", 3)]).edges() == [("a", "a", 3)]


def test_directed_edges():
    graph = make([("b", "a", 3), ("a", "b", 2)], directed=True)
    assert graph.edges() == [("a", "b", 2), ("b", "a", 3)]


def test_has_edge():
    graph = make([("a", "b"), ("b", "c")])
    assert graph.has_edge("a", "b")
    assert not graph.has_edge("a", "c")
    assert not graph.has_edge("x", "a")


def test_degree():
    graph = make([("a", "b"), ("b", "c")])
    assert graph.degree("b") == 2
    assert graph.degree("c") == 1


def test_sources():
    graph = make([("a", "b"), ("c", "b")], directed=True)
    assert graph.sources() == ["a", "c"]


def test_reversed():
    graph = make([("a", "b", 3)], directed=True)
    graph.add_node("z")
    back = graph.reversed()
    assert back.edges() == [("b", "a", 3)]
    assert back.nodes() == ["a", "b", "z"]


def test_density():
    graph = make([("a", "b"), ("b", "c"), ("c", "d")])
    assert graph.density() == 0.5
    assert make([("a", "b")]).density() == 1


def test_density_of_one_node():
    graph = Graph()
    graph.add_node("a")
    assert graph.density() == 0


def test_density_of_empty_graph():
    assert pytest.approx(0) == Graph().density()
