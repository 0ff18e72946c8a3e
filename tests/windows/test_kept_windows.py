from __future__ import annotations

import io
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.errors import TimeZoneRequiredError
from evolution_lab.lab import Lab
from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.compaction import compact
from evolution_lab.telemetry.forgetting import forget, landings
from evolution_lab.telemetry.landing import land_samples
from evolution_lab.telemetry.locks import file_lock
from evolution_lab.telemetry.retention import erase_rows, retain
from evolution_lab.windows import aggregate, kept_windows, refresh, revisions

START = datetime(2026, 3, 4, 22, 50, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HALF_HOUR = timedelta(minutes=30)


def sample(
    minute: float,
    key: str = "GET /a",
    *,
    duration_ns: int = 1_000_000,
    code: str | None = None,
    weight: float = 1.0,
    kind: str | None = None,
    ids: tuple[str | None, str | None, str | None] = (None, None, None),
    tenant: str | None = None,
) -> TelemetrySample:
    return TelemetrySample(
        operation=OperationRef(key, service="shop"),
        timestamp=START + timedelta(minutes=minute),
        duration_ns=duration_ns,
        success=code is None,
        status_code=500 if code else 200,
        error_code=code,
        weight=weight,
        kind=kind,  # type: ignore[arg-type]
        trace_id=ids[0],
        span_id=ids[1],
        parent_span_id=ids[2],
        tenant_id=tenant,
    )


def traced(trace: int, span: int, parent: int | None) -> tuple[str, str, str | None]:
    return f"{trace:032x}", f"{span:016x}", None if parent is None else f"{parent:016x}"


samples = st.builds(
    sample,
    st.one_of(st.integers(0, 90), st.floats(0, 1600, width=32)),
    st.sampled_from(("GET /a", "GET /b", "GET /health")),
    duration_ns=st.integers(0, 10**10),
    code=st.sampled_from((None, None, "E1", "E2")),
    weight=st.sampled_from((1.0, 1.0, 2.5)),
    kind=st.sampled_from((None, "server", "server", "client", "internal")),
    ids=st.one_of(
        st.just((None, None, None)),
        st.builds(
            traced, st.integers(1, 3), st.integers(1, 5), st.one_of(st.none(), st.integers(1, 5))
        ),
    ),
    tenant=st.sampled_from((None, "acme")),
)


def bytes_of(frame: pl.DataFrame | None) -> bytes:
    assert frame is not None
    buffer = io.BytesIO()
    frame.rechunk().write_ipc(buffer)
    return buffer.getvalue()


def new_lake() -> Lake:
    return Lake(Path(tempfile.mkdtemp()))


def add(lake: Lake, rows: list[TelemetrySample], source: str, *, after: float = 5000) -> None:
    """Land rows so many minutes after the start."""
    land_samples(lake, rows, source=source, landed_at=START + timedelta(minutes=after))


def taken_back(lake: Lake) -> None:
    for first in landings(lake).landings[:1]:
        forget(lake, first.batch, with_dependents=True)


STEPS = {
    "nothing": lambda _: None,
    "compact": compact,
    "forget": taken_back,
    "retain": lambda lake: retain(lake, days=2, as_of=START + timedelta(days=4)),
    "erase": lambda lake: erase_rows(lake, ["acme"], "tenant"),
}


@settings(max_examples=5, deadline=None)
@given(
    parts=st.lists(st.lists(samples, min_size=1, max_size=8), min_size=1, max_size=3),
    window=st.sampled_from((QUARTER, timedelta(minutes=1), timedelta(hours=1))),
    steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=3, max_size=3),
)
def test_whatever_becomes_of_the_lake_the_bytes_are_those_made_from_scratch(
    parts: list[list[TelemetrySample]], window: timedelta, steps: list[str]
) -> None:
    lake = new_lake()
    for number, part in enumerate(parts):
        add(lake, part, f"part {number}")
        kept_windows(lake, window=window)
        STEPS[steps[number]](lake)
    expected = aggregate(lake.samples(), window=window, latency_bins=True)
    assert bytes_of(kept_windows(lake, window=window, latency_bins=True)) == bytes_of(expected)


def test_what_is_closed_at_a_moment_is_what_the_aggregation_closes_then() -> None:
    lake = new_lake()
    add(lake, [sample(minute, duration_ns=minute * 1000) for minute in range(120)], "all")
    as_of = START + timedelta(minutes=77)
    kept = kept_windows(lake, window=QUARTER, as_of=as_of, latency_bins=True)
    expected = aggregate(lake.samples(), window=QUARTER, as_of=as_of, latency_bins=True)
    assert kept is not None
    assert bytes_of(kept.filter("closed")) == bytes_of(expected.filter("closed"))
    assert kept.filter("final")["window_end"].max() <= as_of - HALF_HOUR
    assert kept["window_end"].max() == as_of + timedelta(minutes=8)
    with pytest.raises(TimeZoneRequiredError):
        kept_windows(lake, window=QUARTER, as_of=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_held_lake_is_not_waited_for_long() -> None:
    lake = new_lake()
    add(lake, [sample(0)], "one")
    with file_lock(lake.root / "locks" / f"windows-{START.date().isoformat()}.lock"):
        assert kept_windows(lake, window=QUARTER, wait_seconds=0.0) is None


def test_an_erased_subject_is_in_no_stored_window() -> None:
    lake = new_lake()
    add(lake, [sample(5, code="Failure-of-acme", tenant="acme"), sample(6)], "both")
    refresh(lake, window=QUARTER)

    def stored() -> bytes:
        found = (path for path in (lake.root / "windows").rglob("*") if path.is_file())
        return b"".join(
            path.read_bytes() + repr(pl.read_parquet(path)["top_errors"].to_list()).encode()
            for path in found
            if path.suffix == ".parquet"
        )

    assert b"Failure-of-acme" in stored()
    erase_rows(lake, ["acme"], "tenant")
    assert b"Failure-of-acme" not in stored()
    refresh(lake, window=QUARTER)
    assert b"Failure-of-acme" not in stored()


def late(lake: Lake, window: timedelta = QUARTER) -> list[int]:
    """Return the revision of each window from the first on, the operations together."""
    found = revisions(lake, window=window, allowed_lateness=HALF_HOUR)
    first = (START - datetime(1970, 1, 1, tzinfo=UTC)) // window
    by_slot = dict(found.group_by("slot").agg(pl.col("revision").max()).iter_rows())
    return [by_slot.get(first + n, 0) for n in range(6)]


def test_late_rows_raise_the_revision_of_windows_that_were_final() -> None:
    lake = new_lake()
    # Windows begin 5 minutes before the start.
    add(lake, [sample(0), sample(20), sample(79)], "on time", after=80)
    assert late(lake) == [0] * 6
    add(lake, [sample(1), sample(2), sample(41)], "one final, one not", after=81)
    assert late(lake) == [1, 0, 0, 0, 0, 0]
    add(lake, [sample(3, "GET /b"), sample(3.5), sample(21)], "again", after=82)
    assert late(lake) == [2, 1, 0, 0, 0, 0]
    compact(lake)
    assert late(lake) == [2, 1, 0, 0, 0, 0]
    frame = Lab(lake.data_dir).windows().filter(pl.col("operation_key") == "GET /a")
    assert frame["revision"].to_list() == [2, 1, 0, 0, 0, 0]
    hours = Lab(lake.data_dir).windows(every="1h").filter(pl.col("operation_key") == "GET /a")
    assert hours["revision"].to_list() == [2, 0, 0]  # The second hour was not over yet.
    forget(lake, next(each.batch for each in landings(lake).landings if each.source == "again"))
    assert late(lake) == [1, 0, 0, 0, 0, 0]


def test_a_wrong_clock_makes_nothing_final() -> None:
    lake = new_lake()
    add(lake, [sample(0), sample(39), sample(900)], "from the future", after=40)
    add(lake, [sample(20)], "nothing late about it", after=41)
    assert late(lake) == [0] * 6
    # Neither does it close anything for who says what time it is.
    kept = kept_windows(lake, window=QUARTER, as_of=START + timedelta(minutes=41))
    assert kept is not None
    assert kept.filter("closed")["window_end"].max() == START + timedelta(minutes=40)


def test_one_landing_in_any_order_is_never_late() -> None:
    lake = new_lake()
    for number in reversed(range(5)):
        add(lake, [sample(number * 60 + minute) for minute in range(5)], str(number))
    assert late(lake) == [0] * 6


def test_a_lake_that_cannot_be_written_is_looked_at_all_the_same(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lab")
    add(lake, [sample(minute) for minute in range(60)], "all")
    expected = Lab(lake.data_dir).windows()
    (lake.root / "locks").rename(lake.root / "locks.away")
    (lake.root / "locks").write_text("a file where a folder should be")
    assert Lab(lake.data_dir)._stored_windows(QUARTER, as_of=None, latency_bins=True) is None
    assert Lab(lake.data_dir).windows().equals(expected)
