"""Trees given by the parent of each node; the root has none."""


def root_of(parents):
    for node, parent in parents.items():
        if parent is None:
            return node
    return None


def children(parents, node):
    return sorted(n for n, parent in parents.items() if parent == node)


def ancestors(parents, node):
    """Return the nodes above a node, the nearest first."""
    above = []
    while parents[node] is not None:
        node = parents[node]
        above.append(node)
    return above


def depth(parents, node):
    return len(ancestors(parents, node))


def height(parents):
    return max(depth(parents, node) for node in parents)


def leaves(parents):
    """Return the nodes without children."""
    inner = set(parents.values())
    return sorted(node for node in parents if node not in inner)


def meeting_point(parents, a, b):
    """Return the lowest node that is above or equal to both."""
    line = [a] + ancestors(parents, a)
    for node in [b] + ancestors(parents, b):
        if node in line:
            return node
    return None


def subtree_size(parents, node):
    """Count a node and everything below it."""
    total = 1
    for child in children(parents, node):
        total += subtree_size(parents, child)
    return total


def find_group(groups, node):
    while groups[node] != node:
        node = groups[node]
    return node


def spanning_tree(graph):
    """Return the edges of a tree of least length."""
    groups = {node: node for node in graph.nodes()}
    chosen = []
    for a, b, length in sorted(graph.edges(), key=lambda e: e[2]):
        first = find_group(groups, a)
        second = find_group(groups, b)
        if first != second:
            groups[first] = second
            chosen.append((a, b, length))
    return chosen
