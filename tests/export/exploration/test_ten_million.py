"""Ten million samples are drawn as soon as ten thousand, and in figures of the same size."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import plotly.graph_objects as go
import polars as pl
import pytest

from evolution_lab.datasets import NULL_START, null_samples, plant
from evolution_lab.export.exploration import Explorer
from evolution_lab.intents import IntentDetector
from evolution_lab.windows import aggregate

PARTS, OPERATIONS, WINDOWS, CALLS = 10, 10, 192, 521
WINDOW = timedelta(minutes=15)
FAULT = NULL_START + timedelta(hours=40)
MOST_CPU_SECONDS, MOST_BYTES = 3.0, 500_000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Explorer:
    """Over ten million samples in ten Parquet files; one operation in a hundred gets slow."""
    folder, windows, rows = tmp_path_factory.mktemp("ten-million"), [], 0
    for part in range(PARTS):
        samples = null_samples(calls=CALLS, windows=WINDOWS, operations=OPERATIONS, seed=part)
        if part == 0:
            first = samples.filter(pl.col("operation_key") == "GET /null/0")["op_id"].unique()
            end = FAULT + timedelta(hours=3)
            samples = plant(
                samples, start=FAULT, end=end, op_ids=first.to_list(), latency_factor=3.0,
                error_points=0.1,
            )  # fmt: skip
        samples = samples.with_columns(
            operation_key=pl.format("{}/{}", "operation_key", pl.lit(part)),
            op_id=pl.col("op_id") + part,
        )
        rows += samples.height
        samples.write_parquet(folder / f"{part}.parquet")
        windows.append(aggregate(samples.lazy(), window=WINDOW, latency_bins=True))
    assert rows >= 10_000_000
    frame = pl.concat(windows).sort("op_id", "window_start")
    detector = IntentDetector()
    return Explorer(
        detection=detector.detect(frame),
        evidence=detector.evidence_of(frame),
        windows=frame,
        samples=pl.scan_parquet(sorted(Path(folder).glob("*.parquet"))),
    )


FIGURES: dict[str, Callable[[Explorer], go.Figure]] = {
    "heat map": lambda views: views.heat_map(),
    "timeline": lambda views: views.timeline(),
    "latency": lambda views: views.latency("GET /null/0/0", at=FAULT),
    "errors": lambda views: views.errors(),
    "errors of one operation": lambda views: views.errors("GET /null/0/0"),
    "workflows": lambda views: views.workflows(),
    "a click on the map": lambda views: views.linked().windows,
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_ten_million_samples_is_soon_drawn_and_small(name: str, explorer: Explorer):
    begun = time.process_time()
    document = FIGURES[name](explorer).to_json()
    seconds = time.process_time() - begun
    print(f"{name}: {seconds:.2f} s of CPU, {len(document):,} bytes")
    assert seconds < MOST_CPU_SECONDS
    assert len(document) < MOST_BYTES


def test_a_click_gives_its_windows_at_once(explorer: Explorer):
    linked = explorer.linked()
    column = str(linked.map.data[0].x[-1])
    begun = time.process_time()
    found = linked.choose(0, column)
    assert time.process_time() - begun < 1.0
    assert found.height == 1
    assert linked.selected.equals(found)


def test_the_planted_change_is_drawn(explorer: Explorer):
    slow = [s for s in explorer.detection.signals if s.operation.key == "GET /null/0/0"]
    assert {s.kind for s in slow} >= {"latency-regression", "error-spike"}
    quantiles = explorer.quantiles("GET /null/0/0", at=FAULT)
    assert quantiles.filter(pl.col("quantile") == "p50")["ratio"].item() > 1.2
