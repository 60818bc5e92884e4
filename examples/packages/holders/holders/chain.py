"""A singly linked list and a stack with history."""

from .ring import Empty


class Link:
    def __init__(self, value, after=None):
        self.value = value
        self.after = after


class Chain:
    """A list of links that knows only its first one."""

    def __init__(self, values=()):
        self.first = None
        for value in reversed(values):
            self.first = Link(value, self.first)

    def __iter__(self):
        link = self.first
        while link is not None:
            yield link.value
            link = link.after

    def link_at(self, index):
        link = self.first
        for _ in range(index):
            if link is None:
                break
            link = link.after
        if link is None:
            raise IndexError(index)
        return link

    def insert(self, index, value):
        if index == 0:
            self.first = Link(value, self.first)
        else:
            before = self.link_at(index - 1)
            before.after = Link(value, before.after)

    def remove(self, value):
        """Remove the first link with a value, if there is one."""
        before = None
        link = self.first
        while link is not None and link.value != value:
            before, link = link, link.after
        if link is None:
            return False
        if before is None:
            self.first = link.after
        else:
            before.after = link.after
        return True

    def reverse(self):
        turned = None
        for value in self:
            turned = Link(value, turned)
        self.first = turned


class History:
    """Undo and redo for the states of a document."""

    def __init__(self, state, limit=10):
        self.past = [state]
        self.future = []
        self.limit = limit

    def current(self):
        return self.past[-1]

    def change(self, state):
        self.past.append(state)
        self.future = []
        if len(self.past) > self.limit:
            del self.past[0]

    def undo(self):
        if len(self.past) < 2:
            raise Empty()
        self.future.append(self.past.pop())
        return self.current()

    def redo(self):
        if not self.future:
            raise Empty()
        self.past.append(self.future.pop())
        return self.current()
