"""Ways of the least total length."""

from .search import trace


def path_length(graph, path):
    """Return the sum of the lengths along a path."""
    total = 0
    for i in range(len(path) - 1):
        total += graph.links[path[i]][path[i + 1]]
    return total


def distances(graph, start):
    """Return the least length to every node and where it came from."""
    known = {start: 0}
    came = {start: None}
    done = set()
    for _ in graph.nodes():
        waiting = [node for node in known if node not in done]
        if not waiting:
            break
        node = min(waiting, key=known.get)
        done.add(node)
        for other, length in graph.links[node].items():
            reach = known[node] + length
            if other not in known or reach < known[other]:
                known[other] = reach
                came[other] = node
    return known, came


def shortest(graph, start, goal):
    """Return the shortest path, or None."""
    known, came = distances(graph, start)
    if goal not in known:
        return None
    return trace(came, goal)


def within(graph, start, limit):
    """Return the nodes no farther than a limit."""
    known, _ = distances(graph, start)
    return sorted(node for node, far in known.items() if far <= limit)


def widest_reach(graph, node):
    """Return the distance to the node that is farthest away."""
    known, _ = distances(graph, node)
    return max(known.values())


def centre(graph):
    """Return the node with the least widest reach."""
    return min(graph.nodes(), key=lambda node: widest_reach(graph, node))


def all_pairs(graph):
    """Return the least lengths between all pairs of nodes."""
    table = {(a, a): 0 for a in graph.links}
    for a in graph.links:
        for b, length in graph.links[a].items():
            table[a, b] = length
    for k in graph.links:
        for a in graph.links:
            for b in graph.links:
                if (a, k) in table and (k, b) in table:
                    way = table[a, k] + table[k, b]
                    table[a, b] = min(way, table.get((a, b), way))
    return table
