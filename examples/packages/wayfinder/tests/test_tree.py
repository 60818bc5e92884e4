from wayfinder import Graph, tree

PARENTS = {"d": "b", "a": None, "b": "a", "c": "a", "e": "b", "f": "e"}


def test_root_of():
    assert tree.root_of(PARENTS) == "a"
    assert tree.root_of({"a": "b", "b": "a"}) is None


def test_children():
    assert tree.children(PARENTS, "b") == ["d", "e"]
    assert tree.children(PARENTS, "c") == []


def test_ancestors():
    assert tree.ancestors(PARENTS, "f") == ["e", "b", "a"]
    assert tree.ancestors(PARENTS, "a") == []


def test_depth():
    assert tree.depth(PARENTS, "d") == 2


def test_height():
    assert tree.height(PARENTS) == 3


def test_leaves():
    assert tree.leaves(PARENTS) == ["c", "d", "f"]


def test_meeting_point():
    assert tree.meeting_point(PARENTS, "d", "f") == "b"
    assert tree.meeting_point(PARENTS, "c", "f") == "a"


def test_meeting_point_above():
    assert tree.meeting_point(PARENTS, "b", "f") == "b"
    assert tree.meeting_point(PARENTS, "f", "b") == "b"


def test_no_meeting_point():
    assert tree.meeting_point({"a": None, "b": None}, "a", "b") is None


def test_subtree_size():
    assert tree.subtree_size(PARENTS, "b") == 4
    assert tree.subtree_size(PARENTS, "f") == 1


def test_find_group():
    assert tree.find_group({"a": "b", "b": "c", "c": "c"}, "a") == "c"


def test_spanning_tree():
    graph = Graph()
    for text in ("ab7", "ac3", "bc2", "bd4", "cd8"):
        graph.add_edge(text[0], text[1], int(text[2]))
    assert tree.spanning_tree(graph) == [
        ("b", "c", 2), ("a", "c", 3), ("b", "d", 4)]
