from __future__ import annotations

import io
import math
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.errors import ConfigError, FrameContractError, TimeZoneRequiredError
from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.schemas import SAMPLES, WINDOWS, check, empty
from evolution_lab.windows import aggregate, sample_frame
from evolution_lab.windows.grid import EPOCH

MINUTE = timedelta(minutes=1)
START = datetime.fromisoformat("2025-03-04T23:58:00+00:00")
OPERATIONS = (
    OperationRef("GET /a"),
    OperationRef("GET /a", service="shop"),
    OperationRef("GET /a", service="shop", version="2"),
    OperationRef("GET /ü", service="shop", version="1"),
)
WEIGHTS = (1.0, 1.5, 4.0)  # dyadic: their sum is exact in any order
ERRORS = (None, "E1", "E2", "E3", "E4", "E5", "E6", "unknown")

samples_of_any_kind = st.lists(
    st.builds(
        TelemetrySample,
        operation=st.sampled_from(OPERATIONS),
        timestamp=st.one_of(
            st.integers(0, 5).map(lambda minute: START + minute * MINUTE),
            st.integers(0, 300_000_000).map(lambda us: START + timedelta(microseconds=us)),
        ),
        duration_ns=st.one_of(st.integers(0, 5), st.integers(0, 2**53 + 99)),
        success=st.sampled_from((None, True, False)),
        status_code=st.sampled_from((None, 200, 399, 400, 499, 500)),
        error_code=st.sampled_from(ERRORS),
        weight=st.sampled_from(WEIGHTS),
    ),
    min_size=1,
    max_size=40,
)


def arrow(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.rechunk().write_ipc(buffer)
    return buffer.getvalue()


def type_7(values: list[int], level: float) -> float:
    values = sorted(values)
    h = (len(values) - 1) * level
    low = math.floor(h)
    high = min(low + 1, len(values) - 1)
    below, above = float(values[low]), float(values[high])
    return below + (above - below) * (h - low)


def reference(
    samples: list[TelemetrySample], window: timedelta, as_of: datetime | None, lateness: timedelta
) -> list[dict[str, Any]]:
    """The definition in plain Python: sort, count, divide."""
    samples = [s for s in samples if as_of is None or s.timestamp <= as_of]
    if not samples:
        return []
    groups: dict[tuple[OperationRef, int], list[TelemetrySample]] = defaultdict(list)
    for sample in samples:
        groups[sample.operation, (sample.timestamp - EPOCH) // window].append(sample)
    last = ((as_of or max(s.timestamp for s in samples)) - EPOCH) // window
    rows = []
    for operation in {operation for operation, _ in groups}:
        first = min(slot for of, slot in groups if of == operation)
        for slot in range(first, last + 1):
            rows.append(_window(operation, slot, groups[operation, slot], window))
            end = rows[-1]["window_end"]
            rows[-1]["closed"] = as_of is None or end <= as_of
            rows[-1]["final"] = as_of is None or end + lateness <= as_of
            rows[-1]["revision"] = 0

    def order(row: dict[str, Any]) -> tuple[Any, ...]:
        service, version = row["service"], row["operation_version"]
        return (
            (service is not None, service or ""),
            row["operation_key"],
            (version is not None, version or ""),
            row["window_start"],
        )

    return sorted(rows, key=order)


def _window(
    operation: OperationRef, slot: int, calls: list[TelemetrySample], window: timedelta
) -> dict[str, Any]:
    durations = [c.duration_ns for c in calls]
    outcomes = sum(c.success is not None for c in calls)
    errors = sum(c.success is False for c in calls)
    client = sum(
        c.status_code is not None and 400 <= c.status_code <= 499 and c.success is not False
        for c in calls
    )
    recorded = any(c.status_code is not None or c.success is not None for c in calls)
    failed = Counter(c.error_code or "unknown" for c in calls if c.success is False)
    top = sorted(failed.items(), key=lambda item: (-item[1], item[0]))[:5]
    unknown = calls and not outcomes
    return {
        "service": operation.service,
        "operation_key": operation.key,
        "operation_version": operation.version,
        "op_id": operation.op_id,
        "window_start": EPOCH + slot * window,
        "window_end": EPOCH + (slot + 1) * window,
        "calls": len(calls),
        "calls_adjusted": sum(c.weight for c in calls),
        "outcomes": None if unknown else outcomes,
        "errors": None if unknown else errors,
        "client_errors": None if calls and not recorded else client,
        "error_rate": errors / outcomes if outcomes else None,
        "mean_ns": float(sum(durations)) / len(durations) if durations else None,
        "p50_ns": type_7(durations, 0.50) if durations else None,
        "p95_ns": type_7(durations, 0.95) if durations else None,
        "p99_ns": type_7(durations, 0.99) if durations else None,
        "max_ns": max(durations, default=None),
        "top_errors": [{"error_code": c, "count": n} for c, n in top] or None,
    }


@settings(max_examples=30, deadline=None)
@given(
    samples=samples_of_any_kind,
    window=st.sampled_from((MINUTE, 2 * MINUTE, timedelta(seconds=30), timedelta(days=1))),
    as_of=st.one_of(
        st.none(),
        st.integers(-1, 6).map(lambda minute: START + minute * MINUTE),
        st.integers(-60, 420).map(lambda second: START + timedelta(seconds=second)),
    ),
    lateness=st.sampled_from((timedelta(0), MINUTE)),
)
def test_every_field_equals_the_definition(samples, window, as_of, lateness):
    windows = aggregate(
        sample_frame(samples), window=window, as_of=as_of, allowed_lateness=lateness
    )
    assert windows.to_dicts() == reference(samples, window, as_of, lateness)


@settings(max_examples=12, deadline=None)
@given(samples=samples_of_any_kind, seed=st.integers(0, 2**32), parts=st.integers(1, 6))
def test_any_order_and_any_split_give_the_same_bytes(samples, seed, parts):
    whole = sample_frame(samples)
    shuffled = whole.sample(fraction=1.0, shuffle=True, seed=seed)
    cuts = sorted(random.Random(seed).choices(range(whole.height + 1), k=parts - 1))
    pieces = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, whole.height], strict=True)]
    again = aggregate(pl.concat(pieces, rechunk=False).lazy(), window=MINUTE, latency_bins=True)
    assert arrow(again) == arrow(aggregate(whole, window=MINUTE, latency_bins=True))


def test_weights_that_do_not_add_up_exactly_give_the_same_bytes_in_any_order(call, frame):
    weights = random.Random(5)
    whole = frame(
        *(call("GET /a", n % 300 * 60, weight=10 ** weights.uniform(0, 18)) for n in range(6_000))
    )
    expected = aggregate(whole, window=MINUTE)
    for seed in range(4):
        shuffled = whole.sample(fraction=1.0, shuffle=True, seed=seed)
        assert arrow(aggregate(shuffled, window=MINUTE)) == arrow(expected)
    assert expected["calls_adjusted"].sum() == pytest.approx(math.fsum(whole["weight"]), rel=1e-14)


def test_files_give_the_same_bytes_as_one_frame(call, frame, tmp_path):
    whole = frame(*(call(f"GET /{n % 7}", n, duration_ns=n * n) for n in range(400)))
    for part in range(4):
        whole.gather_every(4, part).write_parquet(tmp_path / f"{part}.parquet")
    files = pl.scan_parquet([tmp_path / f"{part}.parquet" for part in (2, 0, 3, 1)])
    assert arrow(aggregate(files, window=MINUTE)) == arrow(aggregate(whole, window=MINUTE))


def test_another_process_gives_the_same_bytes(call, frame, tmp_path):
    whole = frame(
        *(call(f"GET /{n % 7}", n, success=n % 3 > 0, error_code=f"E{n % 9}") for n in range(90))
    )
    whole.reverse().write_parquet(tmp_path / "samples.parquet")
    program = (
        "import sys, polars as pl, datetime as d\n"
        "from evolution_lab.windows import aggregate\n"
        "frame = pl.read_parquet(sys.argv[1])\n"
        "w = aggregate(frame, window=d.timedelta(minutes=1), latency_bins=True)\n"
        "w.rechunk().write_ipc(sys.argv[2])\n"
    )
    target = tmp_path / "windows.arrow"
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "samples.parquet"), str(target)],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "POLARS_MAX_THREADS": "1"},
    )
    assert target.read_bytes() == arrow(aggregate(whole, window=MINUTE, latency_bins=True))


def test_rows_without_status_give_null_rates_not_zero_errors(call, frame):
    windows = aggregate(frame(call("a"), call("a", 1)), window=MINUTE)
    row = windows.row(0, named=True)
    assert (row["calls"], row["outcomes"], row["errors"], row["client_errors"]) == (
        2,
        None,
        None,
        None,
    )
    assert row["error_rate"] is None
    assert row["top_errors"] is None


def test_windows_without_calls_are_zero_with_null_rates_and_times(call, frame):
    windows = aggregate(
        frame(call("a", success=True), call("b", 150, success=True)),
        window=MINUTE,
        latency_bins=True,
    )
    assert windows["operation_key"].to_list() == ["a", "a", "a", "b"]
    gap = windows.row(1, named=True)
    assert (gap["calls"], gap["calls_adjusted"]) == (0, 0.0)
    assert (gap["outcomes"], gap["errors"], gap["client_errors"]) == (0, 0, 0)
    assert all(gap[n] is None for n in ("error_rate", "mean_ns", "p50_ns", "p99_ns", "max_ns"))
    assert gap["latency_bins"] is None


def test_a_clients_error_is_no_failure_of_the_server(call, frame):
    windows = aggregate(
        frame(
            call("a", success=True, status_code=404),
            call("a", 1, success=False, status_code=404),
            call("a", 2, success=None, status_code=429),
            call("a", 3, success=False, status_code=500),
        ),
        window=MINUTE,
    )
    row = windows.row(0, named=True)
    assert (row["calls"], row["outcomes"], row["errors"], row["client_errors"]) == (4, 3, 2, 2)


def test_top_errors_come_from_failed_rows_only(call, frame):
    windows = aggregate(
        frame(
            *(call("a", n, success=True, error_code="warning") for n in range(9)),
            *(call("a", 10 + n, success=False, error_code="b") for n in range(2)),
            *(call("a", 20 + n, success=False, error_code="a") for n in range(2)),
            call("a", 30, success=False),
        ),
        window=MINUTE,
    )
    assert windows["top_errors"][0].to_list() == [
        {"error_code": "a", "count": 2},
        {"error_code": "b", "count": 2},
        {"error_code": "unknown", "count": 1},
    ]


def test_the_grid_ends_with_the_newest_sample_even_of_an_excluded_operation(call, frame):
    samples = frame(call("a"), call("GET /health/live", 130))
    windows = aggregate(samples, window=MINUTE, exclude=["GET /health*"])
    assert windows.select("operation_key", "calls").rows() == [("a", 1), ("a", 0), ("a", 0)]


def test_a_sample_of_the_very_moment_counts_and_its_window_is_not_closed(call, frame, start):
    windows = aggregate(
        frame(call("a"), call("a", 60), call("a", 60.000001)), window=MINUTE, as_of=start + MINUTE
    )
    assert windows.select("calls", "closed", "final").rows() == [
        (1, True, False),
        (1, False, False),
    ]


def test_latency_bins_count_every_call_and_are_there_on_request_only(call, frame):
    samples = frame(*(call("a", n, duration_ns=n * 10**6) for n in range(50)))
    assert "latency_bins" not in aggregate(samples, window=MINUTE).columns
    windows = check(aggregate(samples, window=MINUTE, latency_bins=True), WINDOWS)
    assert sum(b["count"] for b in windows["latency_bins"][0]) == 50
    assert windows.drop("latency_bins").equals(aggregate(samples, window=MINUTE))


@pytest.mark.parametrize("latency_bins", [True, False])
def test_nothing_gives_an_empty_frame_of_the_same_schema(call, frame, start, latency_bins):
    some = aggregate(frame(call("a")), window=MINUTE, latency_bins=latency_bins)
    for nothing, as_of in ((empty(SAMPLES), None), (frame(call("a")), start - MINUTE)):
        windows = aggregate(nothing, window=MINUTE, as_of=as_of, latency_bins=latency_bins)
        assert windows.is_empty()
        assert windows.schema == some.schema


@pytest.mark.parametrize(
    ("column", "value"), [("duration_ns", -1), ("weight", 0.5), ("operation_key", "")]
)
def test_a_planted_value_is_refused_at_the_boundary(call, frame, column, value):
    planted = frame(call("a"), call("a", 1)).with_columns(pl.lit(value).alias(column))
    with pytest.raises(FrameContractError, match=column):
        aggregate(planted.cast(dict(frame(call("a")).schema)), window=MINUTE)


def test_a_value_planted_in_a_lazy_frame_is_refused_on_the_way_out(call, frame):
    planted = frame(call("a")).lazy().with_columns(pl.lit(-5).cast(pl.Int64).alias("duration_ns"))
    with pytest.raises(FrameContractError, match="mean_ns"):
        aggregate(planted, window=MINUTE)


def test_a_missing_column_of_a_lazy_frame_is_refused(call, frame):
    with pytest.raises(FrameContractError, match="weight"):
        aggregate(frame(call("a")).lazy().drop("weight"), window=MINUTE)


def test_one_id_for_two_operations_is_refused(call, frame):
    planted = frame(call("a"), call("b")).with_columns(op_id=pl.lit(7, dtype=pl.Int64))
    with pytest.raises(FrameContractError, match=r"op_id == 7 names 'a', 'b'"):
        aggregate(planted, window=MINUTE)


def test_a_window_that_does_not_divide_a_day_is_refused(call, frame):
    with pytest.raises(ConfigError, match="must divide a day"):
        aggregate(frame(call("a")), window=timedelta(minutes=7))


def test_a_moment_without_a_zone_is_refused(call, frame):
    with pytest.raises(TimeZoneRequiredError, match="as_of"):
        aggregate(frame(call("a")), window=MINUTE, as_of=datetime(2025, 3, 4))  # noqa: DTZ001
