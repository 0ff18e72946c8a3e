from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.errors import ConfigError
from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.compaction import compact
from evolution_lab.telemetry.forgetting import forget, landings
from evolution_lab.telemetry.landing import land_samples
from evolution_lab.windows.refreshing import refresh, stored_sums

START = datetime(2026, 3, 4, 22, 50, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def calls(*minutes: float, kind: str | None = "server", tag: int = 0) -> list[TelemetrySample]:
    return [
        TelemetrySample(
            operation=OperationRef("GET /a" if minute % 2 else "GET /b", service="shop"),
            timestamp=START + timedelta(minutes=minute),
            duration_ns=1_000 + int(minute) * 7 + tag,
            success=minute % 3 > 0,
            status_code=500 if minute % 3 == 0 else 200,
            error_code="E" if minute % 3 == 0 else None,
            kind=kind,  # type: ignore[arg-type]
        )
        for minute in minutes
    ]


def lake_of(*parts: list[TelemetrySample]) -> Lake:
    lake = Lake(Path(tempfile.mkdtemp()))
    for number, part in enumerate(parts):
        land_samples(lake, part, source=f"part {number}")
    return lake


def from_scratch(lake: Lake) -> pl.DataFrame:
    other = Lake(Path(tempfile.mkdtemp()))
    other.root.parent.joinpath("lake").mkdir()
    for name in ("samples", "batches", "operations", "superseded", "quarantine"):
        if (lake.root / name).is_dir():
            (other.root / name).symlink_to(lake.root / name)
    refresh(other, window=QUARTER)
    return stored_sums(other, window=QUARTER)


minutes = st.lists(st.floats(0, 200, width=32), min_size=1, max_size=8)


@settings(max_examples=8, deadline=None)
@given(
    parts=st.lists(minutes, min_size=1, max_size=4),
    kinds=st.sampled_from(("server", "server", "internal")),
    step=st.sampled_from(("land", "compact", "forget", "damage")),
)
def test_refreshing_step_by_step_is_building_from_scratch(
    parts: list[list[float]], kinds: str, step: str
) -> None:
    lake = lake_of()
    for number, part in enumerate(parts):
        land_samples(lake, calls(*part, kind=kinds, tag=number), source=f"{number}")
        refresh(lake, window=QUARTER)
        if step == "compact":
            compact(lake)
    if step == "forget":
        forget(lake, landings(lake).landings[0].batch, with_dependents=True)
    if step == "damage":
        for path in (lake.root / "windows").rglob("windows-*.parquet"):
            path.write_bytes(path.read_bytes()[:-5])
    refresh(lake, window=QUARTER)
    assert stored_sums(lake, window=QUARTER).equals(from_scratch(lake))


def test_only_what_changed_is_made_again() -> None:
    lake = lake_of(calls(*range(180)))
    assert {day.whole for day in refresh(lake, window=QUARTER).days} == {True}
    assert refresh(lake, window=QUARTER).days == ()
    land_samples(lake, calls(100.5), source="later")
    report = refresh(lake, window=QUARTER)
    assert [(day.dirty, day.whole) for day in report.days] == [(1, False)]
    assert report.unchanged == 1
    assert stored_sums(lake, window=QUARTER).equals(from_scratch(lake))


def test_layers_are_folded_before_they_are_many() -> None:
    lake = lake_of(calls(0))
    refresh(lake, window=QUARTER)
    for number in range(30):
        land_samples(lake, calls(number + 0.25), source=f"{number}")
        refresh(lake, window=QUARTER)
    layers = list((lake.root / "windows").rglob("windows.json"))
    assert all(path.read_text(encoding="utf-8").count('"path"') <= 24 for path in layers)
    assert stored_sums(lake, window=QUARTER).equals(from_scratch(lake))


def test_a_window_must_be_whole_minutes() -> None:
    with pytest.raises(ConfigError, match="whole number of minutes"):
        refresh(lake_of(), window=timedelta(seconds=30))
