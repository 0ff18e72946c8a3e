"""Failures that were sampled otherwise than the rest are named, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.landing import land

START = datetime(2026, 3, 1, tzinfo=UTC)


def frame(failed: float, others: float, rows: int = 300) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "timestamp": [START + timedelta(seconds=n) for n in range(rows)],
            "operation": ["op"] * rows,
            "duration_ms": [5.0] * rows,
            "service": ["cart"] * rows,
            "success": [n % 3 > 0 for n in range(rows)],
            "weight": [others if n % 3 else failed for n in range(rows)],
        }
    )


@pytest.mark.parametrize(("failed", "others"), [(1.0, 20.0), (8.0, 4.0)])
def test_unequal_sampling_is_said(tmp_path: Path, failed: float, others: float):
    report = land(Lake(tmp_path / "lab"), frame(failed, others))
    said = f"failed rows stand for {failed:g} execution(s) each, others for {others:g}"
    assert [said in note for note in report.notes if "sampled differently" in note] == [True]


def test_equal_sampling_and_little_of_either_say_nothing(tmp_path: Path):
    assert land(Lake(tmp_path / "a"), frame(20.0, 20.0)).sources[0].note is None
    assert land(Lake(tmp_path / "b"), frame(1.0, 20.0, rows=50)).sources[0].note is None
    assert land(Lake(tmp_path / "c"), frame(1.0, 1.0), share=0.5).sources[0].note is None
