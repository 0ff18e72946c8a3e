"""Records of compactions and removals become one file; what counts in the lake stays the same."""

from __future__ import annotations

import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.errors import CorruptFileError
from evolution_lab.telemetry import Lake, compaction, land
from evolution_lab.telemetry.compaction import compact
from evolution_lab.telemetry.forgetting import forget
from evolution_lab.telemetry.retention import erase_rows, retain
from evolution_lab.telemetry.swaps import fold_swaps
from evolution_lab.telemetry.verifying import verify

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = timedelta(0)


def frame(first: int, rows: int) -> pl.DataFrame:
    """Rows two hours apart."""
    numbers = range(first, first + rows)
    return pl.DataFrame(
        {
            "timestamp": [START + n * timedelta(hours=2) for n in numbers],
            "operation": ["op" for _ in numbers],
            "duration_ms": [float(n) for n in numbers],
            "trace_id": [f"{n + 1:032x}" for n in numbers],
            "span_id": [f"{n + 1:016x}" for n in numbers],
            "tenant": ["acme" if n % 3 else "globex" for n in numbers],
        }
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that was compacted, cut, erased from and partly forgotten, again and again."""
    lake = Lake(tmp_path_factory.mktemp("made") / "lab")
    for part in range(4):
        land(lake, frame(part * 24, 24))
        land(lake, frame(part * 24 + 6, 24))
        compact(lake, grace=NOW)
    retain(lake, days=3, as_of=START + timedelta(days=5), grace=NOW)
    erase_rows(lake, ["globex"], "tenant")
    land(lake, frame(100, 3))
    forget(lake, lake.batches()[-1].batch, grace=NOW)
    return lake.data_dir


@pytest.fixture
def lake(made: Path, tmp_path: Path) -> Lake:
    """A copy of it for each test."""
    return Lake(shutil.copytree(made, tmp_path / "lab"))


def seen(lake: Lake) -> tuple[object, ...]:
    """What readers and writers ask a lake for."""
    return (
        {kind: lake.live(kind) for kind in ("samples", "operations", "quarantine")},
        lake.digest(),
        [record.batch for record in lake.batches()],
        {record.batch: lake.renewed(record.batch) for record in lake.records()},
        lake.swaps(),
    )


def test_folding_changes_nothing_but_the_number_of_files(lake: Lake):
    before, files = seen(lake), len(list(lake.root.glob("superseded/*.json")))
    fold_swaps(lake.root, lake.swap_files())
    assert [path.stem for path in lake.root.glob("superseded/*.json")] == [str(files + 1)]
    assert seen(lake) == before
    assert seen(Lake(lake.data_dir)) == before
    fold_swaps(lake.root, lake.swap_files())
    assert seen(Lake(lake.data_dir)) == before
    assert verify(lake).sound


def test_a_killed_folding_leaves_both_and_they_count_once(lake: Lake, monkeypatch):
    before = seen(lake)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", _killed)
        with pytest.raises(KeyboardInterrupt):
            fold_swaps(lake.root, lake.swap_files())
    assert len(lake.swap_files()) == 1
    assert seen(Lake(lake.data_dir)) == before
    land(lake, frame(60, 30))
    compact(lake, grace=NOW)
    assert verify(lake).sound


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_compaction_folds_once_all_grace_has_ended(lake: Lake, monkeypatch):
    monkeypatch.setattr(compaction, "FOLD_FROM", 4)
    many = len(lake.swap_files())
    assert many > 4
    compact(lake, grace=timedelta(minutes=15))
    assert len(lake.swap_files()) >= many
    rows = lake.samples().collect().height
    compact(lake, grace=NOW)
    assert len(lake.swap_files()) < many
    assert Lake(lake.data_dir).samples().collect().height == rows
    assert land(lake, frame(72, 24)).rows_added == 0


def test_readers_see_every_row_once_while_files_are_folded(lake: Lake):
    expected = sorted(lake.samples().collect()["row_id"])
    wrong: list[object] = []
    stop = threading.Event()

    def read(reader: Lake) -> None:
        while not stop.is_set():
            try:
                found = sorted(Lake(reader.data_dir).live_files("samples"))
                if found != live:
                    wrong.append(found)
                if reader.live_files("samples") != live:
                    wrong.append("a reader that lives long")
            except Exception as error:  # noqa: BLE001 (any is a failure)
                wrong.append(error)

    live = sorted(lake.live_files("samples"))
    readers = [threading.Thread(target=read, args=(Lake(lake.data_dir),)) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(25):
        fold_swaps(lake.root, lake.swap_files())
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert sorted(lake.samples().collect()["row_id"]) == expected


def test_a_lost_record_is_named_and_not_passed_over(lake: Lake):
    (lake.root / "superseded" / "2.json").unlink()
    with pytest.raises(CorruptFileError, match="superseded lacks one"):
        Lake(lake.data_dir).live_files("samples")
