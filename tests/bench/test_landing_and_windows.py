from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from evolution_lab.bench.interleaved import Timing, ratio, table, timed_in_turns
from evolution_lab.bench.landing import bench_landing, write_spans
from evolution_lab.bench.window_data import WINDOWS, write_source
from evolution_lab.bench.window_programs import COLUMNS, duckdb_samples, projection, samples
from evolution_lab.bench.windows import bench_windows
from evolution_lab.telemetry import Lake, land


def test_a_source_is_as_large_as_asked_for_and_always_the_same(tmp_path: Path) -> None:
    one = write_source(tmp_path / "one", rows=1_001, operations=10)
    other = write_source(tmp_path / "other", rows=1_001, operations=10)
    frames = [pl.concat(pl.read_parquet(f) for f in each.files) for each in (one, other)]
    assert frames[0].equals(frames[1])
    assert frames[0].height == 1_001
    assert len(one.files) * 96 == WINDOWS


def test_ours_and_duckdb_agree(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", rows=3_000, operations=5)
    lake = Lake(tmp_path / "lab")
    land(lake, source.folder)
    key = ["op_id", "slot"]
    ours, raw, peer = (each(lake).sort(key) for each in (projection, samples, duckdb_samples))
    assert ours.equals(raw)
    for name in COLUMNS:
        away = (ours[name].cast(pl.Float64) - peer[name].cast(pl.Float64)).abs().max()
        assert away is not None
        assert away < 1e-3, name


def test_a_peer_that_cannot_run_is_named_and_stops_nothing(tmp_path: Path) -> None:
    programs = {"absent": ("no such program", str(tmp_path), str(tmp_path / "x"))}
    found = timed_in_turns("evolution_lab.bench.window_programs", programs, rounds=2)
    assert found["absent"].cpu == ()
    assert found["absent"].failure == "KeyError: 'no such program'"
    assert table(found) == ()


def test_ratios_are_taken_round_by_round() -> None:
    value, interval = ratio(Timing(cpu=(2.0, 9.0, 4.0)), Timing(cpu=(1.0, 3.0, 4.0)))
    assert (value, interval) == (2.0, (1.0, 3.0))


def test_copies_of_spans_are_other_spans(tmp_path: Path) -> None:
    path, spans = write_spans(tmp_path / "spans.jsonl", copies=1)
    ids = path.read_text(encoding="utf-8").count('"traceId"')
    assert ids >= spans > 50_000


@pytest.mark.slow
def test_the_quick_benches_reach_what_does_not_depend_on_size(tmp_path: Path) -> None:
    report = bench_windows(quick=True, rows=200_000, folder=tmp_path)
    values = {target.id: target for target in report.targets}
    assert values["F-agree"].passed
    assert values["F4-cold"].value is not None
    landed = bench_landing(quick=True, rows=50_000, folder=tmp_path)
    assert {target.id for target in landed.targets} >= {"F3-first-query", "F6-parse", "F6-rate"}
