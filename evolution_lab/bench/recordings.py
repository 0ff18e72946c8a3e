"""M2, M3, M11: a labelled recording, landed and judged as a user would, by incidents."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from evolution_lab.bench.events import score_events
from evolution_lab.bench.nab import nab
from evolution_lab.bench.peers import peers_on
from evolution_lab.bench.targets import BenchReport, Target, rate_interval
from evolution_lab.datasets import null_samples
from evolution_lab.errors import PathNotFoundError
from evolution_lab.lab import Lab
from evolution_lab.records import DetectionResult, to_json

MAPPING: Final = (
    "operation=OperationName",
    "timestamp=StartTimeUnixNano:ns",
    "duration=Duration:us",
    "trace_id=TraceID",
    "span_id=SpanID",
    "parent=ParentID",
)
SETTLED: Final = timedelta(minutes=7)
"""After the last fault the rest of the recording counts as quiet."""


def labelled_recording(dataset: Path) -> BenchReport:
    """Judge a recording of spans with injected faults (``continuous.parquet``, ``faults.json``).

    Args:
        dataset: Its folder.

    Raises:
        PathNotFoundError: A file is missing.
    """
    spans, labels = dataset / "continuous.parquet", dataset / "faults.json"
    for path in (spans, labels):
        if not path.is_file():
            raise PathNotFoundError(path)
    faults = json.loads(labels.read_text(encoding="utf-8"))
    injected = sorted(datetime.fromisoformat(fault["inject_timestamp"]) for fault in faults)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder, window="1m")
        lab.land(spans, mapping=MAPPING)
        found = lab.detect()
        quiet_from = injected[-1] + SETTLED
        quiet = _quiet(lab, found, quiet_from)
        windows = lab.windows()
        roots = (
            lab.samples()
            .join(
                lab.samples().select("trace_id", parent_span_id="span_id"),
                how="anti",
                on=["trace_id", "parent_span_id"],
            )
            .group_by("operation_key")
            .len()
            .sort("len", descending=True)
            .collect()
        )
    score = score_events([incident.detected_at for incident in found.incidents], injected)
    root = roots["operation_key"][0]
    alone = score_events(
        [s.detected_at for s in found.signals if s.operation.key == root], injected
    )
    name = dataset.name
    return BenchReport(
        targets=(
            Target(
                id="M3-f1", value=score.f1, target=0.9, bound="at least",
                what=f"{name}: {score.hits} of {score.faults} faults, {score.false} false incidents; "
                f"the root operation alone: {alone.hits} found, {alone.false} false.",
            ),
            Target(
                id="M3-delay",
                value=float(np.median(score.delays)) // 60 if score.delays else None,
                target=1.0, bound="at most",
                what=f"{name}: median delay in whole windows of a minute from the injection to the "
                f"end of the window that showed it ({np.median(score.delays or (0,)):.0f} s).",
            ),
            Target(
                id="M11-incidents", value=score.incidents / score.faults, target=1.2,
                bound="at most", what=f"{name}: incidents for each labelled fault.",
            ),
            Target(
                id="M2", value=1_000 * quiet[0] / quiet[1],
                interval=rate_interval(quiet[0], quiet[1] / 1_000), target=0.5, bound="at most",
                what=f"{name}: signals per 1,000 operation-windows from {quiet_from:%H:%M} on "
                f"({quiet[0]} in {quiet[1]:,}).",
            ),
        ),
        peers=peers_on(windows, root, injected),
    )  # fmt: skip


def labelled_lake(dataset: Path) -> BenchReport:
    """Judge any folder of telemetry with a ``labels.csv`` or the ``faults.json`` of a recording.

    Args:
        dataset: The folder; its ``evolution_lab.toml`` is used where it has one.
    """
    settings = dataset / "evolution_lab.toml"
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder, config=settings if settings.is_file() else None)
        lab.land(dataset)
        found = lab.evaluate(dataset)
    name = dataset.name
    return BenchReport(
        targets=(
            Target(
                id="M3-f1", value=found.f1, target=0.9, bound="at least",
                what=f"{name}: {found.found} of {found.labels} labels, {found.false} false incidents.",
            ),
            Target(
                id="M11-incidents", value=found.incidents / max(found.labels, 1), target=1.2,
                bound="at most", what=f"{name}: incidents for each label.",
            ),
            Target(
                id="M2",
                value=1_000 * found.alarms_outside / max(found.quiet_operation_windows, 1),
                interval=rate_interval(
                    found.alarms_outside, max(found.quiet_operation_windows, 1) / 1_000
                ),
                target=0.5, bound="at most",
                what=f"{name}: signals per 1,000 operation-windows away from labels.",
            ),
        ),
        tables={f"{name} held against its labels": tuple(found.to_dicts())},
    )  # fmt: skip


def judge_dataset(dataset: Path) -> BenchReport:
    """Judge a folder in whichever form its labels are.

    Raises:
        PathNotFoundError: It has no labels.
    """
    if (dataset / "labels" / "combined_windows.json").is_file():
        return nab(dataset)
    if (dataset / "continuous.parquet").is_file():
        return labelled_recording(dataset)
    return labelled_lake(dataset)


def _quiet(lab: Lab, found: DetectionResult, since: datetime) -> tuple[int, int]:
    windows = lab.windows().filter(pl.col("window_start") >= since)
    return sum(signal.detected_at >= since for signal in found.signals), windows.height


def one_answer(*, quick: bool) -> BenchReport:
    """Check that the order of rows does not matter, and what a million spans cost.

    Args:
        quick: 300,000 rows rather than a million.
    """
    rows = 300_000 if quick else 1_000_000
    windows = 240
    samples = null_samples(
        calls=rows / windows / 200, windows=windows, operations=200, window=timedelta(minutes=1),
        seed=5,
    )  # fmt: skip
    table = samples.select(
        "timestamp", "duration_ns", "operation_key", "service", "success", "status_code",
        "trace_id", "span_id",
    )  # fmt: skip
    answers: list[str] = []
    seconds: list[float] = []
    for order in (table, table.sample(fraction=1.0, shuffle=True, seed=1)):
        with tempfile.TemporaryDirectory() as folder:
            order.write_parquet(Path(folder) / "spans.parquet")
            began = time.process_time()
            lab = Lab(Path(folder) / "lab", window="1m")
            lab.land(Path(folder) / "spans.parquet")
            found = lab.detect()
            seconds.append(time.process_time() - began)
            answers.append(_digest(found))
    return BenchReport(
        targets=(
            Target(
                id="M11-bytes", value=float(answers[0] == answers[1]), target=1.0,
                bound="at least", what="The same bytes for shuffled rows.",
            ),
            Target(
                id="M11-cpu", value=min(seconds), interval=(min(seconds), max(seconds)),
                target=10.0, bound="at most",
                what=f"CPU seconds to land, aggregate and judge {table.height:,} rows.",
            ),
        )
    )  # fmt: skip


def _digest(found: DetectionResult) -> str:
    parts: list[Any] = [*found.signals, *found.incidents]
    return hashlib.sha256(b"\n".join(to_json(part) for part in parts)).hexdigest()
