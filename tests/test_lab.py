"""The facade: what a notebook does, end to end on the bundled sample."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from evolution_lab.config import EvolutionConfig
from evolution_lab.datasets import sample_path
from evolution_lab.errors import (
    AlreadyDecidedError,
    ConfigError,
    EmptyLakeError,
    InputError,
    MissingReviewerError,
    UnknownNameError,
)
from evolution_lab.golden import TrafficRecorder
from evolution_lab.intents import read_snapshots
from evolution_lab.lab import Lab
from evolution_lab.schemas import EDGES, SAMPLES, SEQUENCES, WINDOWS, check

SPANS = "spans.jsonl.gz"


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("landed")
    Lab(data, window="30s").land(sample_path() / SPANS)
    return data


@pytest.fixture
def lab(landed: Path, tmp_path: Path) -> Lab:
    shutil.copytree(landed, tmp_path / "data")
    return Lab(tmp_path / "data", reports=tmp_path / "reports", window="30s")


def test_frames_keep_their_contracts(lab: Lab):
    assert check(lab.samples(), SAMPLES).collect().height == 73_392
    check(lab.windows(latency_bins=True), WINDOWS)
    check(lab.sequences(), SEQUENCES)
    check(lab.edges(), EDGES)


def test_the_line_from_detection_to_report(lab: Lab, tmp_path: Path):
    found = lab.detect()
    folded = [name for incident in found.incidents for name in incident.signal_ids]
    assert sorted(folded) == sorted(signal.id for signal in found.signals)
    submitted = lab.suggest()
    assert len(submitted) == submitted.count("added") == len(lab.suggestions("pending"))
    approved = lab.approve(submitted[0].id[:8], reviewer="ada", notes="agreed")
    assert approved.status == "approved"
    (envelope,) = (tmp_path / "reports" / "generated").iterdir()
    assert approved.id[:8] in envelope.name
    lab.reject(submitted[1].id, reviewer="ada", notes="a load test")
    with pytest.raises(AlreadyDecidedError):
        lab.reject(submitted[0].id, reviewer="ada", notes="again")
    with pytest.raises(MissingReviewerError):
        lab.approve(submitted[2].id, reviewer=" ")
    with pytest.raises(UnknownNameError):
        lab.suggestion("zzzz")
    assert lab.suggest().count("decided") == 2
    files = lab.report()
    assert [path.name for path in files.paths] == [
        "suggestions.html",
        "suggestions.md",
        "suggestions.json",
    ]


def test_nothing_is_said_or_kept_twice(lab: Lab):
    first = lab.detect()
    kept = read_snapshots(lab.data)
    assert kept["id"].to_list() == [signal.id for signal in first.signals] or kept.height == 7
    again = Lab(lab.data, window="30s")
    again.detect()
    assert read_snapshots(lab.data).equals(kept)
    lab.suggest()
    assert {entry.outcome for entry in again.suggest().entries} == {"unchanged"}


def test_analysis_has_no_thresholds_of_its_own(lab: Lab):
    analysis = lab.analyze()
    assert {anomaly.operation.key for anomaly in analysis.anomalies} == {
        signal.operation.key for signal in lab.detect().signals
    }


def test_sql_sees_samples_windows_and_state_and_changes_nothing(lab: Lab):
    lab.suggest()
    counted = lab.sql("SELECT count(*) AS n, min(timestamp) AS first FROM samples")
    assert counted["n"].item() == 73_392
    assert counted.schema["first"] == pl.Datetime("us", "UTC")
    assert lab.sql("SELECT count(*) AS n FROM windows")["n"].item() == lab.windows().height
    assert lab.sql("SELECT count(*) AS n FROM spec_suggestions")["n"].item() == 8
    lab.sql("CREATE TABLE mine AS SELECT 1 AS one; SELECT * FROM mine")
    with pytest.raises(InputError, match="cannot be answered"):
        lab.sql("SELECT nothing FROM nowhere")
    with duckdb.connect(lab.data / "evolution.duckdb", read_only=True) as state:
        tables = {row[0] for row in state.execute("SHOW TABLES").fetchall()}
    assert "mine" not in tables


def test_results_are_kept_until_something_is_landed(lab: Lab, tmp_path: Path):
    assert lab.windows() is lab.windows()
    before = lab.windows().height
    (tmp_path / "one.csv").write_text(
        "timestamp,duration,operation\n2025-03-04T12:30:00Z,5,late\n", encoding="utf-8"
    )
    lab.land(
        tmp_path / "one.csv",
        mapping=["timestamp=timestamp", "duration=duration:ms", "operation=operation"],
    )
    assert lab.windows().height > before


def test_an_empty_lab_says_what_to_do(tmp_path: Path):
    empty = Lab(tmp_path / "empty")
    for ask in (empty.windows, empty.detect, empty.sequences, empty.suggest):
        with pytest.raises(EmptyLakeError, match="evolution-lab land"):
            ask()


def test_settings_come_ready_or_single_not_both(tmp_path: Path):
    assert Lab(tmp_path, config=EvolutionConfig()).config.window == timedelta(minutes=15)
    with pytest.raises(InputError, match="not both"):
        Lab(tmp_path, config=EvolutionConfig(), window="30s")
    with pytest.raises(ConfigError, match="divide a day"):
        Lab(tmp_path).windows(every="7m")


def test_ready_windows_need_no_lake(lab: Lab, tmp_path: Path):
    table = lab.windows().drop("top_errors")
    table.write_csv(tmp_path / "windows.csv")
    result = Lab(tmp_path / "none").detect(windows=tmp_path / "windows.csv")
    assert {signal.kind for signal in result.signals} >= {"error-spike", "throughput-drop"}
    assert not (tmp_path / "none").exists()


def test_recorded_calls_are_a_table_of_sql(tmp_path):
    recorder = TrafficRecorder(data=tmp_path, sample_rate=1.0, allow_more_than_5_percent="a test")
    for n in range(3):
        recorder.record("cart.add", {"n": n}, output={"total": n})
    recorder.close()
    found = Lab(tmp_path).sql("select operation_key, count(*) as n from traffic group by 1")
    assert found.to_dicts() == [{"operation_key": "cart.add", "n": 3}]
