"""The list of files that count, and what happens when the lake is not as it should be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from evolution_lab.errors import CorruptFileError, FormatVersionError, InputError
from evolution_lab.schemas import OPERATIONS, SAMPLES, check
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.landing import land

START = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)


def frame(first, rows):
    times = [START + timedelta(minutes=n) for n in range(first, first + rows)]
    return pl.DataFrame(
        {
            "timestamp": times,
            "operation": ["GET /a"] * rows,
            "duration_ns": [1] * rows,
            "service": ["shop"] * rows,
        }
    )


@pytest.fixture
def lake(tmp_path):
    lake = Lake(tmp_path / "lab")
    land(lake, frame(0, 120))
    return lake


def record_of(lake):
    (path,) = (lake.root / "batches").glob("*.json")
    return path


def test_a_lab_directory_that_does_not_exist_reads_as_an_empty_lake(tmp_path):
    lake = Lake(tmp_path / "nowhere")
    assert (lake.live_files("samples"), lake.batches()) == ([], ())
    assert check(lake.samples().collect(), SAMPLES).is_empty()
    assert check(lake.operations(), OPERATIONS).is_empty()
    assert lake.quarantine().is_empty()
    assert not lake.data_dir.exists()


def test_a_file_without_a_published_batch_does_not_count(lake):
    stray = lake.live_files("samples")[0].with_name("part-stray.parquet")
    lake.samples().collect().write_parquet(stray)
    assert lake.samples().collect().height == 120
    hidden = record_of(lake).rename(record_of(lake).with_suffix(".gone"))
    assert lake.samples().collect().height == 0
    hidden.rename(hidden.with_suffix(".json"))
    assert lake.samples().collect().height == 120


def test_what_a_dead_writer_left_is_removed_by_the_next_one_of_that_day(lake):
    day = lake.live_files("samples")[0].parent
    (day / "part-dead.parquet").write_bytes(b"PAR1")
    (day / ".part-dead.parquet.1-ab.tmp").write_bytes(b"PA")
    land(lake, frame(1, 3))
    assert [path.name for path in day.iterdir()] == [lake.live_files("samples")[0].name]


def test_times_bound_files_and_rows(lake):
    first, second = lake.live_files("samples")
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    assert lake.live_files("samples", until=midnight) == [first]
    assert lake.live_files("samples", since=midnight) == [second]
    assert lake.samples(since=midnight, until=midnight + timedelta(minutes=7)).collect().height == 7
    with pytest.raises(InputError, match=r"since.*no time zone"):
        lake.samples(since=datetime.fromisoformat("2026-03-02"))


def test_the_digest_follows_the_rows_and_nothing_else(lake, tmp_path):
    before = lake.digest()
    land(lake, frame(0, 60))
    assert lake.digest() == before
    land(lake, frame(200, 1))
    assert lake.digest() != before
    other = Lake(tmp_path / "other")
    land(other, frame(200, 1))
    land(other, frame(0, 120))
    assert len(other.live_files("samples")) == len(lake.live_files("samples"))


def test_a_compaction_swaps_files_in_one_rename(lake):
    whole = lake.samples().collect()
    old = [str(path.relative_to(lake.root)) for path in lake.live_files("samples")]
    new = "samples/compact-1.parquet"
    whole.write_parquet(lake.root / new)
    swap = {
        "format_version": 1,
        "replaces": old,
        "adds": {"samples": [{"path": new, "rows": whole.height}]},
    }
    (lake.root / "superseded").mkdir()
    (lake.root / "superseded" / "1.json").write_text(json.dumps(swap))
    assert lake.live_files("samples") == [lake.root / new]
    assert lake.samples().collect().equals(whole)
    (lake.root / "superseded" / "2.json").write_text("{}")
    with pytest.raises(FormatVersionError):
        lake.live_files("samples")


def test_a_newer_format_is_refused(lake):
    path = record_of(lake)
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 2}))
    with pytest.raises(FormatVersionError, match=r"format_version 2.*Upgrade"):
        Lake(lake.data_dir).batches()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format_version": 1, "batch": 3}'])
def test_a_record_that_cannot_be_read_is_named(lake, content):
    record_of(lake).write_text(content)
    with pytest.raises((CorruptFileError, FormatVersionError), match=record_of(lake).stem):
        Lake(lake.data_dir).live_files("samples")


def test_a_missing_file_of_a_published_batch_is_named(lake):
    lost = lake.live_files("samples")[0]
    lost.unlink()
    with pytest.raises(CorruptFileError, match=lost.name):
        lake.samples()
