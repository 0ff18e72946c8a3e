from __future__ import annotations

import io
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.errors import ConfigError, TimeZoneRequiredError
from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.compaction import compact
from evolution_lab.telemetry.forgetting import forget, landings
from evolution_lab.telemetry.landing import land_samples
from evolution_lab.telemetry.projection import project
from evolution_lab.telemetry.projection.states import day_states, read_manifest
from evolution_lab.telemetry.retention import erase_rows, retain
from evolution_lab.windows import aggregate, aggregate_landed
from evolution_lab.windows.landed_windows import landed_sums, newest_sample

START = datetime(2026, 3, 4, 22, 50, tzinfo=UTC)
LANDED_AT = datetime(2026, 3, 8, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
OPERATIONS = (
    OperationRef("GET /a"),
    OperationRef("GET /a", service="shop"),
    OperationRef("GET /health", service="shop", version="2"),
    OperationRef("POST /ü", service="shop", version="1"),
)
IDS = tuple(f"{number:016x}" for number in range(1, 6))


def sample(
    minute: float,
    *,
    operation: OperationRef = OPERATIONS[0],
    duration_ns: int = 1_000_000,
    success: bool | None = True,
    status: int | None = 200,
    code: str | None = None,
    weight: float = 1.0,
    kind: str | None = None,
    ids: tuple[str | None, str | None, str | None] = (None, None, None),
    tenant: str | None = None,
) -> TelemetrySample:
    return TelemetrySample(
        operation=operation,
        timestamp=START + timedelta(minutes=minute),
        duration_ns=duration_ns,
        success=success,
        status_code=status,
        error_code=code,
        weight=weight,
        kind=kind,  # type: ignore[arg-type]
        trace_id=ids[0],
        span_id=ids[1],
        parent_span_id=ids[2],
        tenant_id=tenant,
    )


def traced(trace: int | None, span: int, parent: int | None) -> tuple[str | None, ...]:
    return (
        None if trace is None else f"{trace + 1:032x}",
        IDS[span],
        None if parent is None else IDS[parent],
    )


samples = st.builds(
    sample,
    st.one_of(st.integers(0, 90), st.floats(0, 1600, width=32)),
    operation=st.sampled_from(OPERATIONS),
    duration_ns=st.one_of(st.integers(0, 4), st.integers(0, 600_000 * 10**9)),
    success=st.sampled_from((None, True, False)),
    status=st.sampled_from((None, 200, 404, 500)),
    code=st.sampled_from((None, "E1", "E2", "unknown")),
    weight=st.sampled_from((1.0, 1.0, 1.0, 2.5, 20.0)),
    kind=st.sampled_from((None, "server", "server", "client", "internal")),
    ids=st.builds(
        traced,
        st.one_of(st.none(), st.integers(0, 2)),
        st.integers(0, 4),
        st.one_of(st.none(), st.integers(0, 4)),
    ),
    tenant=st.sampled_from((None, "acme")),
)


def bytes_of(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.rechunk().write_ipc(buffer)
    return buffer.getvalue()


def lake_of(*parts: list[TelemetrySample]) -> Lake:
    lake = Lake(Path(tempfile.mkdtemp()))
    for number, part in enumerate(parts):
        land_samples(lake, part, source=f"part {number}", landed_at=LANDED_AT)
    return lake


def befall(lake: Lake, step: str) -> None:
    """Let something happen to a lake."""
    if step == "compact":
        compact(lake)
    elif step == "forget":
        known = landings(lake).landings
        forget(lake, known[0].batch, with_dependents=True)
    elif step == "retain":
        retain(lake, days=2, as_of=LANDED_AT)
    elif step == "erase":
        erase_rows(lake, ["acme"], "tenant")
    elif step == "damage":
        for path in (lake.root / "latency").rglob("run-*.parquet"):
            path.write_bytes(path.read_bytes()[:-9])
    elif step == "delete":
        for path in (lake.root / "latency").rglob("runs.json"):
            path.write_text("{")


@settings(max_examples=12, deadline=None)
@given(
    parts=st.lists(st.lists(samples, min_size=1, max_size=12), min_size=1, max_size=3),
    window=st.sampled_from((QUARTER, QUARTER, timedelta(minutes=1), timedelta(hours=1))),
    step=st.sampled_from(("nothing", "compact", "forget", "retain", "erase", "damage", "delete")),
    since=st.sampled_from((None, None, START, START + timedelta(minutes=70))),
    until=st.sampled_from((None, None, START + timedelta(minutes=75, seconds=1))),
    bins=st.booleans(),
)
def test_all_ways_give_the_same_bytes_whatever_became_of_the_lake(
    parts: list[list[TelemetrySample]],
    window: timedelta,
    step: str,
    since: datetime | None,
    until: datetime | None,
    bins: bool,
) -> None:
    lake = lake_of(*parts)
    befall(lake, step)
    expected = aggregate(
        lake.samples(since, until), window=window, latency_bins=bins, exclude=["*/health"]
    )
    for again in range(2):
        landed = aggregate_landed(
            lake,
            window=window,
            since=since,
            until=until,
            latency_bins=bins,
            exclude=["*/health"],
        )
        assert bytes_of(landed.frame) == bytes_of(expected), landed
        if again == 0:
            project(lake)


@settings(max_examples=3, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_landings_leaves_no_trace(order: list[int]) -> None:
    parts = [[sample(m * 7 + n, duration_ns=m * 100 + n) for n in range(5)] for m in range(6)]
    one = aggregate_landed(lake_of(*parts), window=QUARTER).frame
    other = aggregate_landed(lake_of(*(parts[n] for n in order)), window=QUARTER).frame
    assert bytes_of(one) == bytes_of(other)


def test_landing_leaves_a_projection_that_the_first_query_finds() -> None:
    lake = lake_of([sample(minute) for minute in range(200)])
    landed = aggregate_landed(lake, window=QUARTER)
    assert landed.way == "projection"
    assert landed.why == "2 of 2 sample files are in the projection"


def test_samples_without_a_projection_are_read_themselves() -> None:
    lake = lake_of([sample(1)], [sample(2)])
    for path in (lake.root / "latency").rglob("*.parquet"):
        path.unlink()
    for path in (lake.root / "latency").rglob("runs.json"):
        path.unlink()
    landed = aggregate_landed(lake, window=QUARTER)
    assert landed.way == "samples"
    assert landed.frame["calls"].to_list() == [2]
    assert project(lake) == 2
    assert aggregate_landed(lake, window=QUARTER).way == "projection"
    assert project(lake) == 0


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ({"window": timedelta(seconds=30)}, "the window is no whole number of minutes"),
        ({"since": START + timedelta(seconds=1)}, "a limit is no whole minute"),
        ({"as_of": START + timedelta(minutes=1)}, "later samples are to be ignored"),
        ({"all_spans": True}, "calls between operations are asked for, too"),
    ],
)
def test_what_narrow_rows_do_not_tell_is_read_from_whole_samples(
    question: dict[str, object], why: str
) -> None:
    lake = lake_of([sample(minute) for minute in range(5)])
    keywords = {"window": QUARTER, **question}
    landed = aggregate_landed(lake, **keywords)  # type: ignore[arg-type]
    assert (landed.way, landed.why) == ("frame", why)
    with pytest.raises(ConfigError, match="must be 'frame'"):
        aggregate_landed(lake, way="projection", **keywords)  # type: ignore[arg-type]


def test_limits_may_part_spans_from_their_parents() -> None:
    parent = sample(0, kind="server", ids=("1" * 32, IDS[0], None))
    child = sample(20, kind="internal", ids=("1" * 32, IDS[1], IDS[0]))
    lake = lake_of([parent, child])
    landed = aggregate_landed(lake, window=QUARTER, since=START + timedelta(minutes=10))
    assert landed.why == "the limits may part spans from their parents"
    assert landed.frame["calls"].to_list() == [1]
    assert aggregate_landed(lake, window=QUARTER).frame["calls"].sum() == 1


def test_a_span_whose_parent_lands_later_is_no_operation_any_more() -> None:
    child = sample(20, kind="internal", ids=("1" * 32, IDS[1], IDS[0]))
    lake = lake_of([child])
    assert aggregate_landed(lake, window=QUARTER).frame["calls"].sum() == 1
    parent = sample(0, kind="server", ids=("1" * 32, IDS[0], None))
    land_samples(lake, [parent], source="later", landed_at=LANDED_AT)
    landed = aggregate_landed(lake, window=QUARTER)
    assert landed.way == "projection"
    assert landed.frame["calls"].sum() == 1


def test_runs_stay_few_however_often_something_is_landed() -> None:
    lake = lake_of(*([sample(minute)] for minute in range(20)))
    (day,) = day_states(lake)
    runs = read_manifest(lake.root, day).runs
    assert len(runs) <= 4
    assert sum(run.rows for run in runs) == 20


def test_the_newest_sample_is_found_without_reading_whole_files() -> None:
    lake = lake_of([sample(minute) for minute in (0, 10, 20)])
    assert newest_sample(lake) == START + timedelta(minutes=20)
    assert newest_sample(lake, until=START + timedelta(minutes=20)) == START + timedelta(minutes=10)
    assert newest_sample(lake, since=START + timedelta(minutes=21)) is None
    assert newest_sample(lake, START + timedelta(minutes=11), START + timedelta(minutes=15)) is None


def test_bare_sums_are_those_of_the_windows() -> None:
    lake = lake_of([sample(m % 50, duration_ns=m * 1000, success=m % 7 > 0) for m in range(300)])
    windows = aggregate_landed(lake, window=QUARTER).frame.filter(pl.col("calls") > 0)
    for way in ("projection", "samples"):
        sums = landed_sums(lake, window=QUARTER, way=way)  # type: ignore[arg-type]
        names = ["calls", "errors", "client_errors", "mean_ns", "p50_ns", "p95_ns", "max_ns"]
        assert sums.select(names).equals(windows.select(names))
    with pytest.raises(ConfigError, match="whole number of minutes"):
        landed_sums(lake, window=timedelta(seconds=30))


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(TimeZoneRequiredError):
        aggregate_landed(lake_of(), window=QUARTER, as_of=datetime(2026, 1, 1))  # noqa: DTZ001
