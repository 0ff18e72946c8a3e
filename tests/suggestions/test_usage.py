from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolution_lab.errors import FrameContractError
from evolution_lab.schemas import WINDOWS, empty
from evolution_lab.suggestions import usage_statistics
from evolution_lab.suggestions.usage import typical

QUARTER = timedelta(minutes=15)
NOTHING = {
    "calls": 0,
    "outcomes": 0,
    "mean_ns": None,
    "p50_ns": None,
    "p95_ns": None,
    "p99_ns": None,
    "max_ns": None,
}


def test_counts_rates_and_times_over_windows(orders, window_rows, start):
    windows = window_rows(
        orders,
        {"calls": 300, "outcomes": 300, "errors": 30, "client_errors": 6, "mean_ns": 1e7},
        {"calls": 100, "outcomes": 100, "errors": 0, "mean_ns": 3e7, "max_ns": 90_000_000},
        NOTHING,
    )
    (usage,) = usage_statistics(windows)
    assert usage.operation == orders
    assert (usage.total_calls, usage.outcomes) == (400, 400)
    assert usage.error_rate == pytest.approx(0.075)
    assert usage.success_rate == pytest.approx(0.925)
    assert usage.client_error_rate == pytest.approx(0.015)
    assert usage.average_latency_ns == pytest.approx(1.5e7)
    assert usage.max_latency_ns == 90_000_000
    assert usage.last_seen_at == start + 2 * QUARTER
    assert (usage.window_start, usage.window_end) == (start, start + 3 * QUARTER)


def test_what_nothing_recorded_stays_unknown(orders, window_rows):
    windows = window_rows(orders, {"outcomes": 0, "errors": None, "client_errors": None})
    (usage,) = usage_statistics(windows)
    assert usage.total_calls == 100
    assert usage.error_rate is None
    assert usage.success_rate is None
    assert usage.client_error_rate is None


def test_an_operation_without_calls_was_never_seen(orders, window_rows):
    (usage,) = usage_statistics(window_rows(orders, NOTHING))
    assert usage.last_seen_at is None
    assert usage.average_latency_ns is None
    assert usage.p99_latency_ns is None


def test_a_window_of_a_handful_of_calls_does_not_decide_the_p99(orders, window_rows):
    """In the seed system the p99 of a handful of samples decides."""
    windows = window_rows(
        orders, {"p99_ns": 4e7}, {"calls": 3, "outcomes": 3, "p99_ns": 9e9}, {"p99_ns": 5e7}
    )
    (usage,) = usage_statistics(windows)
    assert usage.p99_latency_ns == 5e7


def test_top_errors_are_added_up_and_ordered(orders, window_rows):
    def errors(**counts: int) -> dict[str, object]:
        return {"top_errors": [{"error_code": c, "count": n} for c, n in counts.items()]}

    windows = window_rows(orders, errors(B=2, A=1), errors(A=1, C=5), {"top_errors": None})
    (usage,) = usage_statistics(windows)
    assert list(usage.top_errors.items()) == [("C", 5), ("A", 2), ("B", 2)]


def test_operations_of_different_services_and_versions_stay_apart(orders, stock, window_rows):
    frames = [window_rows(op, {}) for op in (stock, orders)]
    usage = usage_statistics(pl.concat(frames))
    assert [u.operation for u in usage] == [orders, stock]


def test_no_windows_no_usage():
    assert usage_statistics(empty(WINDOWS)) == ()


def test_windows_that_break_their_contract_are_refused(orders, window_rows):
    broken = window_rows(orders, {}).with_columns(error_rate=pl.lit(1.5))
    with pytest.raises(FrameContractError, match="error_rate"):
        usage_statistics(broken)


@given(st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_rows_does_not_matter(orders, stock, window_rows, data):
    rows = [
        {"calls": n, "outcomes": n, "p99_ns": float(n * n % 7), "mean_ns": n / 3}
        for n in range(1, 9)
    ]
    windows = pl.concat([window_rows(orders, *rows), window_rows(stock, *rows)])
    order = data.draw(st.permutations(range(windows.height)))
    assert usage_statistics(windows[order]) == usage_statistics(windows)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 20)), min_size=1, max_size=12).filter(
        lambda pairs: any(weight for _, weight in pairs)
    )
)
@settings(max_examples=40)
def test_typical_is_the_lower_median_of_the_calls(pairs):
    values, weights = zip(*pairs, strict=True)
    repeated = sorted(v for v, w in pairs for _ in range(w))
    frame = pl.DataFrame({"p99_ns": values, "calls": weights})
    assert frame.select(typical("p99_ns")).item() == repeated[(len(repeated) - 1) // 2]
