"""The benchmark's sections for recordings, on small ones of the same form made here."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from evolution_lab.bench.nab import Series, median_deviation, nab, score, three_sigma
from evolution_lab.bench.peers import peers_on
from evolution_lab.bench.recordings import judge_dataset
from evolution_lab.datasets import null_samples, sample_path
from evolution_lab.errors import PathNotFoundError
from evolution_lab.intents.value_change import value_changes
from evolution_lab.windows import aggregate

START = datetime(2025, 3, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series of five-minute values: one with a shift that is labelled, one without anything."""
    folder = tmp_path_factory.mktemp("nab")
    (folder / "labels").mkdir()
    rng = np.random.default_rng(4)
    labels = {}
    for name, shift in (("real/shift.csv", 15.0), ("artificialNoAnomaly/none.csv", 0.0)):
        values = rng.normal(50, 2, 1_500)
        values[1_000:1_100] += shift
        times = [START.replace(tzinfo=None) + timedelta(minutes=5 * i) for i in range(1_500)]
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"timestamp": times, "value": values}).with_columns(
            pl.col("timestamp").dt.strftime("%Y-%m-%d %H:%M:%S")
        ).write_csv(path)
        window = [str(times[980]), str(times[1_100])]
        labels[name] = [window] if shift else []
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(labels), encoding="utf-8")
    return folder


def test_a_labelled_shift_scores_and_quiet_files_stay_quiet(benchmark: Path):
    report = judge_dataset(benchmark)
    by_id = {target.id: target for target in report.targets}
    assert by_id["M8-nab"].value > 80
    assert by_id["M8-null-files"].value == 0
    assert {peer.name for peer in report.peers} == {"3 sigma", "3.5 MAD"}
    assert {row["category"] for row in report.tables["NAB by category"]} == {
        "real",
        "artificialNoAnomaly",
    }
    with pytest.raises(PathNotFoundError):
        nab(benchmark / "data")


def test_late_and_false_detections_are_worth_less():
    series = Series("a", np.zeros(1_000), 288, ((500, 599),))
    early, late = score(series, (505,)), score(series, (598,))
    assert early.score > late.score > score(series, ()).score == 0.0
    assert score(series, (505, 300)).score < early.score
    assert score(series, (505, 620)).score < early.score
    assert score(series, (10,)).score == 0.0  # Probation.


def test_simple_rules_fire_on_a_jump():
    values = np.random.default_rng(1).normal(0, 1, 400)
    values[300] = 30
    assert 300 in three_sigma(values, 2)
    assert 300 in median_deviation(values, 2)


@pytest.mark.parametrize("direction", [1, -1])
def test_changes_of_values_are_seen_both_ways_once(direction: int):
    rng = np.random.default_rng(2)
    values = rng.normal(100, 3, 900) + 10 * np.sin(np.arange(900) * 2 * np.pi / 288)
    values[700:760] += direction * 150
    found = value_changes(values, per_day=288, level=1e-5).onsets
    assert len(found) == 1
    assert 700 <= found[0] <= 702


def test_a_nightly_job_and_gaps_are_no_change():
    values = np.tile(np.r_[np.full(280, 10.0), np.full(8, 90.0)], 6)
    values += np.random.default_rng(3).normal(0, 0.5, len(values))
    values[900:930] = np.nan
    late = [i for i in value_changes(values, per_day=288, level=1e-5).onsets if i > 3 * 288]
    assert late == []


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spans with one fault: the root is slow for three minutes."""
    folder = tmp_path_factory.mktemp("traced")
    samples = null_samples(calls=40, windows=70, window=MINUTE, start=START, seed=6)
    slow = pl.col("timestamp").is_between(START + 40 * MINUTE, START + 43 * MINUTE, closed="left")
    rows = samples.with_row_index("n").select(
        OperationName="operation_key",
        StartTimeUnixNano=pl.col("timestamp").dt.timestamp("us") * 1_000,
        Duration=pl.col("duration_ns") // 1_000 * pl.when(slow).then(8).otherwise(1),
        TraceID=pl.format("{}", "n"),
        SpanID=pl.format("s{}", "n"),
        ParentID=pl.lit("root"),
    )
    rows.write_parquet(folder / "continuous.parquet")
    injected = (START + 40 * MINUTE).isoformat()
    (folder / "faults.json").write_text(json.dumps([{"inject_timestamp": injected}]))
    return folder


def test_a_recording_of_spans_is_judged_by_its_incidents(traced: Path):
    report = judge_dataset(traced)
    by_id = {target.id: target for target in report.targets}
    assert by_id["M3-f1"].value == 1.0
    assert by_id["M3-delay"].value <= 1
    assert by_id["M11-incidents"].value == 1.0
    assert by_id["M2"].value == 0.0
    assert {peer.what for peer in report.peers} == {"M3-f1"}
    with pytest.raises(PathNotFoundError):
        judge_dataset(traced / "none")


def test_peers_that_look_back_find_the_same_fault():
    samples = null_samples(calls=60, windows=60, window=MINUTE, start=START, seed=6)
    slow = pl.col("timestamp").is_between(START + 40 * MINUTE, START + 43 * MINUTE, closed="left")
    samples = samples.with_columns(
        duration_ns=pl.col("duration_ns") * pl.when(slow).then(8).otherwise(1)
    )
    windows = aggregate(samples, window=MINUTE)
    found = {p.name: p for p in peers_on(windows, "GET /null/0", [START + 40 * MINUTE])}
    assert found["3.5 MAD"].value > 0
    assert all(p.value is not None or "not installed" in p.note for p in found.values())


def test_a_folder_with_labels_is_judged(tmp_path: Path):
    spans = (sample_path() / "spans.jsonl.gz").read_bytes()
    (tmp_path / "spans.jsonl.gz").write_bytes(spans)
    for name in ("faults.json", "evolution_lab.toml", "openapi.json"):
        (tmp_path / name).write_bytes((sample_path() / name).read_bytes())
    report = judge_dataset(tmp_path)
    assert {t.id: t.value for t in report.targets}["M3-f1"] == 1.0
