from __future__ import annotations

from evolution_lab.config import EvolutionConfig
from evolution_lab.windows import operation_samples


def keys(samples, **options):
    return sorted(operation_samples(samples, **options).collect()["operation_key"])


def span(call, key, kind, span_id, parent=None, trace="t"):
    return call(key, kind=kind, trace_id=trace, span_id=span_id, parent_span_id=parent)


def test_servers_consumers_and_roots_are_operations(call, frame):
    samples = frame(
        span(call, "server", "server", "1"),
        span(call, "client", "client", "2", "1"),
        span(call, "inner-server", "server", "3", "2"),
        span(call, "producer", "producer", "4", "3"),
        span(call, "consumer", "consumer", "5", "4"),
        span(call, "internal", "internal", "6", "5"),
        span(call, "internal root", "internal", "7"),
        span(call, "orphan", "client", "8", "gone"),
        span(call, "no kind", None, "9", "6"),
    )
    assert keys(samples) == [
        "consumer",
        "inner-server",
        "internal root",
        "no kind",
        "orphan",
        "server",
    ]
    assert len(keys(samples, all_spans=True)) == 9


def test_a_table_without_kinds_holds_operations_only(call, frame):
    samples = frame(span(call, "a", None, "1"), span(call, "b", None, "2", "1"))
    assert keys(samples) == ["a", "b"]


def test_a_parent_of_another_trace_or_oneself_is_no_parent(call, frame):
    samples = frame(
        span(call, "server", "server", "1", trace="t"),
        span(call, "elsewhere", "internal", "2", "1", trace="u"),
        span(call, "itself", "internal", "3", "3", trace="t"),
        span(call, "inside", "internal", "4", "1", trace="t"),
    )
    assert keys(samples) == ["elsewhere", "itself", "server"]


def test_what_an_excluded_operation_calls_does_not_become_a_root(call, frame):
    samples = frame(
        span(call, "GET /health", "server", "1"),
        span(call, "SELECT 1", "client", "2", "1"),
        span(call, "GET /a", "server", "3", trace="u"),
    )
    assert keys(samples, exclude=["GET /health*"]) == ["GET /a"]


def test_globs_mean_what_the_settings_say_they_mean(call, frame):
    names = ["GET /a", "GET /b", "GET /ab", "GET /[a]", "GET /a\nb", "get /a", "GET /a+"]
    samples = frame(*(call(name) for name in names))
    for globs in (("GET /?",), ("GET /[ab]",), ("GET /[!a]",), ("GET /a*",), ("*+", "get*")):
        config = EvolutionConfig(exclude=globs)
        expected = sorted(name for name in names if not config.is_excluded(name))
        assert keys(samples, exclude=globs) == expected
