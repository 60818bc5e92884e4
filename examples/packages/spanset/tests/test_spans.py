from spanset import Span, SpanSet
from spanset.spans import merge


def sample():
    return SpanSet([Span(2, 5), Span(8, 12), Span(20, 23)])


def test_merge():
    spans = [Span(6, 9), Span(1, 3), Span(2, 5), Span(7, 8)]
    assert merge(spans) == [Span(1, 5), Span(6, 9)]


def test_merge_touching():
    assert merge([Span(1, 3), Span(3, 5)]) == [Span(1, 5)]
    assert merge([Span(1, 3), Span(4, 5)]) == [Span(1, 3), Span(4, 5)]


def test_merge_drops_empty():
    assert merge([Span(1, 1), Span(4, 5)]) == [Span(4, 5)]


def test_contains():
    assert 4 in sample()
    assert 5 not in sample()


def test_add():
    spans = sample()
    spans.add(4, 8)
    assert spans.spans == [Span(2, 12), Span(20, 23)]


def test_discard():
    spans = sample()
    spans.discard(4, 9)
    assert spans.spans == [Span(2, 4), Span(9, 12), Span(20, 23)]


def test_size():
    assert sample().size() == 10


def test_union():
    joined = SpanSet([Span(1, 3)]).union(SpanSet([Span(2, 6)]))
    assert joined.spans == [Span(1, 6)]


def test_common():
    both = sample().common(SpanSet([Span(4, 9), Span(30, 31)]))
    assert both.spans == [Span(4, 5), Span(8, 9)]


def test_gaps():
    assert sample().gaps(0, 15) == [Span(0, 2), Span(5, 8), Span(12, 15)]


def test_gaps_start_within():
    assert sample().gaps(3, 8) == [Span(5, 8)]
    assert sample().gaps(5, 12) == [Span(5, 8)]
    assert sample().gaps(2, 5) == []


def test_gaps_end_before_next():
    assert sample().gaps(13, 19) == [Span(13, 19)]
    assert sample().gaps(13, 20) == [Span(13, 20)]


def test_gaps_of_nothing():
    assert SpanSet().gaps(1, 2) == [Span(1, 2)]


def test_longest():
    assert sample().longest() == Span(8, 12)
    assert SpanSet().longest() is None


def test_longest_of_equals():
    assert SpanSet([Span(4, 6), Span(1, 3)]).longest() == Span(1, 3)


def test_next_in():
    assert sample().next_in(0) == 2
    assert sample().next_in(4) == 4
    assert sample().next_in(5) == 8
    assert sample().next_in(23) is None
