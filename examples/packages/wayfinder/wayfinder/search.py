"""Visit the nodes of a graph."""


def levels(graph, start):
    """Return the number of steps to every node in reach."""
    steps = {start: 0}
    line = [start]
    for node in line:
        for other in graph.neighbours(node):
            if other not in steps:
                steps[other] = steps[node] + 1
                line.append(other)
    return steps


def fewest_steps(graph, start, goal):
    """Return a path with the fewest edges, or None."""
    came = {start: None}
    line = [start]
    for node in line:
        if node == goal:
            return trace(came, goal)
        for other in graph.neighbours(node):
            if other not in came:
                came[other] = node
                line.append(other)
    return None


def trace(came, goal):
    """Follow the links back from goal and return the path there."""
    path = []
    node = goal
    while node is not None:
        path.append(node)
        node = came[node]
    return path[::-1]


def depth_first(graph, node, seen=None):
    """Return the nodes in the order a depth-first search meets them."""
    if seen is None:
        seen = []
    seen.append(node)
    for other in graph.neighbours(node):
        if other not in seen:
            depth_first(graph, other, seen)
    return seen


def parts(graph):
    """Return the connected parts of an undirected graph."""
    found = []
    done = set()
    for node in graph.nodes():
        if node not in done:
            part = sorted(levels(graph, node))
            done.update(part)
            found.append(part)
    return found


def is_connected(graph):
    return len(parts(graph)) <= 1


def two_colours(graph):
    """Colour the nodes 0 and 1 so that neighbours differ, or None."""
    colours = {}
    for part in parts(graph):
        for node, steps in levels(graph, part[0]).items():
            colours[node] = steps % 2
    for a, b, _ in graph.edges():
        if colours[a] == colours[b]:
            return None
    return colours


def all_paths(graph, start, goal, before=()):
    """Return every path that meets no node twice."""
    path = [*before, start]
    if start == goal:
        return [path]
    found = []
    for other in graph.neighbours(start):
        if other not in path:
            found += all_paths(graph, other, goal, path)
    return found
