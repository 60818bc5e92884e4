"""A graph of named nodes with lengths on its edges."""


class Graph:
    def __init__(self, directed=False):
        self.directed = directed
        self.links = {}

    def add_node(self, node):
        if node not in self.links:
            self.links[node] = {}

    def add_edge(self, a, b, length=1):
        self.add_node(a)
        self.add_node(b)
        self.links[a][b] = length
        if not self.directed:
            self.links[b][a] = length

    def remove_edge(self, a, b):
        del self.links[a][b]
        if not self.directed:
            del self.links[b][a]

    def remove_node(self, node):
        """Drop a node together with all its edges."""
        del self.links[node]
        for others in self.links.values():
            others.pop(node, None)

    def nodes(self):
        return sorted(self.links)

    def edges(self):
        """Return sorted triples; an undirected edge is listed once."""
        found = []
        for a, others in self.links.items():
            for b, length in others.items():
                if self.directed or a <= b:
                    found.append((a, b, length))
        return sorted(found)

    def neighbours(self, node):
        return sorted(self.links[node])

    def has_edge(self, a, b):
        return a in self.links and b in self.links[a]

    def degree(self, node):
        return len(self.links[node])

    def sources(self):
        """Return the nodes that no edge leads to."""
        reached = set()
        for others in self.links.values():
            reached.update(others)
        return [node for node in self.nodes() if node not in reached]

    def reversed(self):
        """Return the graph with all edges turned around."""
        turned = Graph(self.directed)
        for node in self.links:
            turned.add_node(node)
        for a, b, length in self.edges():
            turned.add_edge(b, a, length)
        return turned

    def density(self):
        """Return the part of the possible edges there are."""
        count = len(self.links)
        if count < 2:
            return 0
        ends = sum(len(others) for others in self.links.values())
        return ends / (count * (count - 1))
