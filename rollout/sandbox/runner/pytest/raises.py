"""`pytest.raises` catches what `except` would catch.

In: pytest. Out: the same, where an exception is an expected one by its real ancestors alone. A class whose metaclass says
that everything is an instance of it catches nothing more. Example: `class Any(Exception, metaclass=Yes)` in a source no
longer makes `pytest.raises(Any)` accept a `ValueError`.
"""

try:
    from _pytest.raises import RaisesExc
except ImportError:  # Before pytest 8.4 it stands elsewhere, and asks in another way.
    RaisesExc = None


def install():
    """From here on, the ancestors of an exception are asked for."""
    if RaisesExc is None or not hasattr(RaisesExc, "_check_type"):
        return
    plain, ancestors = RaisesExc._check_type, type.__dict__["__mro__"].__get__

    def _check_type(self, exception):
        found = plain(self, exception)
        if found and self.expected_exceptions:
            line = ancestors(type(exception))
            found = any(kind is one for kind in self.expected_exceptions for one in line)
            self._fail_reason = None if found else "%r only says that it is expected" % type(exception).__name__
        return found

    RaisesExc._check_type = _check_type
