"""A lake that grows: what was final is not said anew, and a fault is reported soon after it shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from evolution_lab.cli import main
from evolution_lab.datasets import sample_path
from evolution_lab.intents import (
    IntentDetector,
    read_snapshots,
    standing_snapshots,
    withdraw_snapshots,
)
from evolution_lab.lab import Lab
from evolution_lab.windows import aggregate, kept_windows
from evolution_lab.windows.grid import window_floor

WINDOW, GRACE = timedelta(minutes=5), timedelta(minutes=1)
BEGINS = datetime(2026, 3, 2, 6, tzinfo=UTC)
CALLS_A_MINUTE = 40


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("lab"), config=sample_path() / "evolution_lab.toml")
    lab.land(sample_path() / "spans.jsonl.gz")
    return lab


def test_detection_sees_the_windows_of_the_samples_bit_for_bit(lab: Lab) -> None:
    minute = timedelta(minutes=1)  # The sample's own half minutes are never stored.
    keywords = {"window": minute, "latency_bins": True, "exclude": lab.config.exclude}
    expected = aggregate(lab.lake.samples(), **keywords)
    for _ in range(2):  # Made, then read again.
        kept = kept_windows(lab.lake, **keywords)
        assert kept is not None
        assert kept.schema == expected.schema
        assert kept.equals(expected)
    around = lab._surroundings(None, None, None)
    assert (
        lab.detect(every="1m").signals
        == IntentDetector(lab.config).detect(expected, around).signals
    )
    assert list((lab.data / "lake" / "windows").rglob("windows.json"))


def test_a_withdrawn_signal_leaves_the_list_and_stays_on_record(
    lab: Lab, capfd: pytest.CaptureFixture[str]
) -> None:
    first, *others = lab.detect().signals
    assert withdraw_snapshots(lab.data, [first]) == 1
    assert withdraw_snapshots(lab.data, [first]) == 0
    assert main(["signals", "list", "--data", str(lab.data), "--json"]) == 0
    listed = {row["id"] for row in json.loads(capfd.readouterr().out)}
    assert listed == set(standing_snapshots(lab.data)["id"])
    assert listed >= {signal.id for signal in others}
    assert first.id not in listed
    states = [
        json.loads(row["payload"])["state"]
        for row in read_snapshots(lab.data).filter(pl.col("id") == first.id).to_dicts()
    ]
    assert states[-2:] == [first.state, "withdrawn"]


def minute_of_calls(number: int, *, failing: bool, rng: np.random.Generator) -> pl.DataFrame:
    """Return the calls of one minute of a shop with two operations; the second one may fail."""
    n = 2 * CALLS_A_MINUTE
    begin = BEGINS + timedelta(minutes=number)
    second = np.arange(n) % 2 == 1
    failed = rng.random(n) < np.where(second & failing, 0.4, 0.01)
    seconds = np.sort(rng.uniform(0, 60, n))
    return pl.DataFrame(
        {
            "timestamp": [begin + timedelta(seconds=float(s)) for s in seconds],
            "service": ["shop"] * n,
            "operation": np.where(second, "POST /pay", "GET /cart"),
            "duration_ns": rng.lognormal(18, 0.4, n).astype(np.int64),
            "success": ~failed,
            "trace_id": [f"{number:016x}{i:016x}" for i in range(n)],
            "span_id": [f"{i + 1:016x}" for i in range(n)],
        }
    )


@pytest.mark.parametrize(
    ("offset", "windows"),
    [
        (2, 1),
        pytest.param(0, 1, marks=pytest.mark.slow),
        pytest.param(1, 1, marks=pytest.mark.slow),
        pytest.param(3, 1, marks=pytest.mark.slow),
        # A fault that fills but the last fifth of a window shows in the next one.
        pytest.param(4, 2, marks=pytest.mark.slow),
    ],
)
def test_a_fault_is_reported_a_window_and_90_seconds_after_it_shows(
    tmp_path: Path, offset: int, windows: int
) -> None:
    rng = np.random.default_rng(8 + offset)
    lab = Lab(tmp_path / "lab", window=WINDOW)
    starts = 240 + offset  # Minutes; so far into a window the fault begins.
    quiet = pl.concat([minute_of_calls(m, failing=False, rng=rng) for m in range(starts - 1)])
    lab.land(quiet)
    judged, reported = None, None
    for minute in range(starts - 1, starts + 12):
        lab.land(minute_of_calls(minute, failing=minute >= starts, rng=rng))
        now = BEGINS + timedelta(minutes=minute + 1, seconds=5)  # What has been called is landed.
        closed = window_floor(now - GRACE, WINDOW)
        if closed == judged:
            continue
        judged = closed
        found = lab.detect(as_of=closed).signals
        if found:
            reported = now
            break
    shows = BEGINS + timedelta(minutes=starts)
    assert reported is not None
    assert found[0].operation.key == "POST /pay"
    assert shows < reported <= shows + windows * WINDOW + timedelta(seconds=90)
