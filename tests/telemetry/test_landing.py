"""Landing: twice is once, what grew adds what is new, what is broken stops nothing else."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
import zstandard

from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import (
    ConfigError,
    InputError,
    LockedError,
    MappingError,
    PathNotFoundError,
    UnknownFormatError,
)
from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.schemas import QUARANTINE, SAMPLES, check
from evolution_lab.telemetry import writing
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.landing import land, land_samples
from evolution_lab.telemetry.locks import file_lock

START = datetime(2026, 3, 1, 23, 59, 30, tzinfo=UTC)
LANDED_AT = datetime(2026, 4, 1, tzinfo=UTC)
NGINX = '203.0.113.7 - - [02/Mar/2026:00:00:{:02d} +0000] "GET /a HTTP/1.1" 200 1 "-" "c" 0.01\n'


def table(first=0, rows=100, **columns):
    """A table whose rows cross midnight."""
    numbers = range(first, first + rows)
    return pl.DataFrame(
        {
            "timestamp": [(START + timedelta(seconds=n)).isoformat() for n in numbers],
            "operation": [f"GET /{n % 3}" for n in numbers],
            "duration_ms": [float(n) for n in numbers],
            "trace_id": [f"{n:032X}" if n else "f" * 32 for n in numbers],
            "span_id": [f"{n + 1:016x}" for n in numbers],
            **columns,
        }
    )


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lab")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "spans.csv"
    table().write_csv(path)
    return path


def rows(lake):
    return check(lake.samples().sort("timestamp", "row_id").collect(), SAMPLES)


def test_landing_twice_is_landing_once(lake, file):
    first = land(lake, file)
    files = lake.live_files("samples")
    second = land(lake, file)
    assert (first.rows_added, second.rows_added, second.duplicates) == (100, 0, 100)
    assert second.sources[0].status == "already landed"
    assert lake.live_files("samples") == files
    assert [path.parent.name for path in files] == ["date=2026-03-01", "date=2026-03-02"]


def test_rows_are_normalised_sorted_and_kept_in_order_of_time(lake, file):
    land(lake, file)
    landed = rows(lake)
    assert landed["trace_id"][1] == f"{1:032x}"
    assert landed["row_id"][1] == f"{1:032x}/{2:016x}"
    assert landed["op_id"][0] == OperationRef("GET /0").op_id
    for path in lake.live_files("samples"):
        assert pl.read_parquet(path)["timestamp"].is_sorted()
        assert pl.read_parquet_metadata(path)["format_version"] == "1"
    assert lake.operations()["operation_key"].to_list() == ["GET /0", "GET /1", "GET /2"]


@pytest.mark.parametrize("batch_rows", [7, 33, 1000])
def test_batches_and_row_order_do_not_change_what_is_landed(
    lake, file, tmp_path, monkeypatch, batch_rows
):
    monkeypatch.setattr(writing, "BATCH_ROWS", batch_rows)
    monkeypatch.setattr("evolution_lab.telemetry.csv_tables._BLOCK", 300)
    shuffled = table().sample(fraction=1.0, shuffle=True, seed=7)
    path = tmp_path / "shuffled.csv"
    pl.concat([shuffled, shuffled.head(40)]).write_csv(path)
    report = land(lake, path)
    assert (report.rows_added, report.duplicates) == (100, 40)
    other = Lake(tmp_path / "other")
    shutil.copytree(lake.data_dir, other.data_dir, ignore=shutil.ignore_patterns("lake"))
    land(other, file)
    assert rows(lake).equals(rows(other))


def test_a_file_that_grew_adds_only_what_is_new(lake, tmp_path):
    path = tmp_path / "access.log"
    lines = [NGINX.format(second) for second in (1, 1, 2, 2, 2)]
    path.write_text("".join(lines) + "unfinished")
    first = land(lake, path)
    assert (first.rows_added, first.waiting_lines) == (5, 1)
    path.write_text("".join(lines) + NGINX.format(2) + NGINX.format(3) + "bad line\n")
    second = land(lake, path)
    assert (second.rows_added, second.duplicates, second.rows_quarantined) == (2, 5, 1)
    path.rename(tmp_path / "access.log.1")
    path.write_text(NGINX.format(9))
    third = land(lake, tmp_path, service=None)
    assert third.rows_added == 1
    assert len(rows(lake)) == 8
    assert rows(lake)["row_id"].is_unique().all()


def test_rows_without_ids_are_never_merged(lake):
    frame = table().drop("trace_id", "span_id").head(1)
    frame = pl.concat([frame] * 4)
    assert land(lake, frame).rows_added == 4
    assert land(lake, pl.concat([frame, frame])).rows_added == 4
    assert land(lake, frame.head(2)).rows_added == 0


def test_equal_ids_in_one_landing_keep_the_same_row_in_any_order(tmp_path):
    frame = pl.concat([table(rows=1), table(rows=1).with_columns(duration_ms=pl.lit(9.0))])
    kept = []
    for name, content in (("a", frame), ("b", frame.reverse())):
        lake = Lake(tmp_path / name)
        assert land(lake, content).duplicates == 1
        kept.append(rows(lake)["duration_ns"].to_list())
    assert kept == [[9_000_000], [9_000_000]]


def test_compressed_and_truncated_files(lake, tmp_path, file):
    plain = file.read_bytes()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(plain))
    (tmp_path / "b.csv.zst").write_bytes(
        zstandard.compress(plain[:3000]) + zstandard.compress(plain[3000:])
    )
    assert land(lake, tmp_path / "a.csv.gz").rows_added == 100
    assert land(lake, tmp_path / "b.csv.zst").duplicates == 100
    table().write_parquet(tmp_path / "d.parquet")
    packed = tmp_path / "d.parquet.gz"
    packed.write_bytes(gzip.compress((tmp_path / "d.parquet").read_bytes()))
    assert land(lake, packed).duplicates == 100
    broken = tmp_path / "c.csv.gz"
    broken.write_bytes(gzip.compress(plain, mtime=1)[:-40])
    report = land(Lake(tmp_path / "other"), broken)
    assert 0 < report.rows_added < 100
    assert "compressed data end" in next(iter(report.quarantined))


def test_what_cannot_be_true_is_quarantined_with_its_place(lake, tmp_path):
    good = "2026-03-01T00:00:00Z,checkout,1\n"
    bad = {
        "1989-12-31T23:59:59Z,checkout,1": "The timestamp is before 1990.",
        "2026-04-02T00:00:01Z,checkout,1": "The timestamp is more than a day after the landing time.",
        "2026-03-01T00:00:00Z,checkout,-1": "The duration is negative.",
        "2026-03-01T00:00:00Z,checkout,NaN": "The duration (column 'duration_ms') is not a number.",
        "2026-03-01T00:00:00Z,checkout,1e9": "The duration is longer than 7 days.",
        "2026-03-01T00:00:00Z, ,1": "The operation has no name.",
        "yesterday,checkout,1": "The timestamp (column 'timestamp') cannot be read as a time.",
        "2026-03-01T00:00:00Z,checkout": "The line has 2 fields, the header names 3.",
    }
    path = tmp_path / "bad.csv"
    path.write_text("timestamp,operation,duration_ms\n" + good + "\n".join(bad) + "\n" + good)
    report = land(lake, path, landed_at=LANDED_AT)
    assert (report.rows_added, report.rows_quarantined) == (2, len(bad))
    kept = check(lake.quarantine(), QUARANTINE)
    assert kept["line"].to_list() == list(range(3, 3 + len(bad)))
    assert kept["reason"].to_list() == list(bad.values())
    assert kept["origin"].unique().to_list() == [str(path)]
    assert lake.batches()[0].landed_at == LANDED_AT
    with path.open("a") as grown:
        grown.write(good)
    again = land(lake, path, landed_at=LANDED_AT)
    assert (again.rows_added, again.rows_quarantined) == (1, 0)
    assert lake.quarantine().equals(kept)


def test_personal_data_never_reach_the_disk(lake, tmp_path):
    secret = "ann.lee@example.com"
    frame = table(
        rows=3,
        actor=[secret, secret, "bob"],
        session=["s1"] * 3,
        error_message=[f"no account for {secret}", None, ""],
    )
    path = tmp_path / "people.csv"
    frame.write_csv(path)
    with path.open("a") as file:
        file.write(f"not a time,{secret},1,,,,,\n")
    land(lake, path)
    landed = rows(lake)
    assert landed["actor_id"].n_unique() == 2
    assert landed["session_id"][0].startswith("session_")
    assert landed["error_message"][1] is None
    for kind in ("samples", "operations", "quarantine"):
        for part in lake.live_files(kind):
            assert secret not in str(pl.read_parquet(part).rows())
    assert lake.quarantine().height == 1


def test_a_folder_means_the_files_in_it(lake, tmp_path):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    table(0, 10).write_csv(folder / "deep" / "b.csv")
    table(10, 10).write_parquet(folder / "a.parquet")
    (folder / "empty.csv").touch()
    (folder / "blank.jsonl").write_text(" \n\n")
    (folder / "notes.md").write_text("# Notes\n\nSome words, and more.\n")
    pl.DataFrame({"unrelated": [1], "columns": [2]}).write_parquet(folder / "other.parquet")
    (folder / "nowhere").symlink_to(folder / "missing")
    report = land(lake, [folder, folder / "a.parquet"])
    status = {Path(source.source).name: source.status for source in report.sources}
    assert status == {
        "a.parquet": "landed",
        "b.csv": "landed",
        "blank.jsonl": "empty",
        "empty.csv": "empty",
        "notes.md": "skipped",
        "nowhere": "skipped",
        "other.parquet": "skipped",
    }
    assert report.rows_added == 20
    note = next(s.note for s in report.sources if s.source.endswith("other.parquet"))
    assert "--map" in note


def test_the_lake_is_never_landed_into_itself(lake, file):
    shutil.copy(file, lake.data_dir.parent / "x.csv")
    land(lake, file)
    report = land(lake, lake.data_dir.parent)
    assert not any("/lake/" in source.source for source in report.sources)


def test_clear_errors_for_named_files(lake, tmp_path, file):
    with pytest.raises(PathNotFoundError, match="nowhere"):
        land(lake, tmp_path / "nowhere.csv")
    (tmp_path / "prose.txt").write_text("just words\nand more\n")
    with pytest.raises(UnknownFormatError, match=r"prose\.txt.*csv"):
        land(lake, tmp_path / "prose.txt")
    with pytest.raises(UnknownFormatError, match="Did you mean 'parquet'"):
        land(lake, file, format="parquett")
    with pytest.raises(MappingError, match="Did you mean 'operation'"):
        land(lake, file, mapping=["operation=operatoin", "timestamp=timestamp", "end=timestamp"])
    with pytest.raises(MappingError, match="Did you mean 'operation'"):
        land(
            lake,
            tmp_path,
            mapping={"operation": "operatoin", "timestamp": "timestamp", "end": "timestamp"},
        )
    with pytest.raises(ConfigError, match="Mars"):
        land(lake, file, tz="Mars/Olympus")
    with pytest.raises(InputError, match="neither a path nor a frame"):
        land(lake, [3])
    assert not lake.batches()


def test_frames_of_all_makers(tmp_path):
    frame = table(rows=5)
    makers = {
        "polars": frame,
        "lazy": frame.lazy(),
        "pandas": frame.to_pandas(),
        "arrow": frame.to_arrow(),
        "duckdb": duckdb.from_arrow(frame.to_arrow()),
    }
    for name, made in makers.items():
        lake = Lake(tmp_path / name)
        assert land(lake, made).rows_added == 5, name
        assert land(lake, made).rows_added == 0, name


def test_a_dry_run_writes_nothing(lake, file):
    report = land(lake, [file, table(50, 100)], dry_run=True)
    assert (report.rows_added, report.duplicates) == (150, 50)
    assert report.first_rows is not None
    check(report.first_rows, SAMPLES)
    assert not lake.data_dir.exists()
    land(lake, file)
    assert land(lake, table(50, 100), dry_run=True).rows_added == 50


def test_records_land_as_they_are(lake):
    sample = TelemetrySample(
        operation=OperationRef("checkout", service="shop", version="1.2"),
        timestamp=START,
        duration_ns=5,
        success=False,
        attributes={"http.route": "/checkout", "secret": "x"},
    )
    config = EvolutionConfig(attributes=("http.route",))
    assert land_samples(lake, [sample, sample], config=config).rows_added == 2
    assert land_samples(lake, [sample, sample], config=config).rows_added == 0
    landed = rows(lake)
    assert landed["attributes"].to_list() == ['{"http.route":"/checkout"}'] * 2
    assert lake.operations().rows() == [(sample.operation.op_id, "shop", "checkout", "1.2")]
    assert lake.batches()[0].dropped_attributes == {"secret": 2}


def test_another_writer_of_the_same_day_is_waited_for(lake, file):
    with (
        file_lock(lake.root / "locks" / "2026-03-02.lock"),
        pytest.raises(LockedError, match=r"2026-03-02\.lock"),
    ):
        land(lake, file, wait_seconds=0.1)
    assert land(lake, file).rows_added == 100


def test_progress_counts_bytes(lake, file):
    seen = []
    land(lake, file, progress=lambda done, total: seen.append((done, total)))
    size = file.stat().st_size
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)


def test_a_row_every_day_for_years_needs_no_more_locks_than_files_may_be_open(lake):
    frame = table(rows=450).with_columns(
        timestamp=pl.Series([(START - timedelta(days=n)).isoformat() for n in range(450)])
    )
    report = land(lake, frame)
    assert (report.rows_added, report.rows_read, len(report.batches)) == (450, 450, 3)
    assert land(lake, frame).sources[0].status == "already landed"


def test_a_report_for_people_and_for_programs(lake, tmp_path, file):
    (tmp_path / "notes.md").write_text("# Notes\n\nSome words, and more.\n")
    report = land(lake, tmp_path)
    document = json.loads(json.dumps(report.to_document()))
    assert (document["rowsAdded"], document["firstEvent"]) == (100, "2026-03-01T23:59:30Z")
    assert document["skipped"] == [str(tmp_path / "notes.md")]
    assert report.summary in report.notes
    assert "notes.md" in str(report)
    assert report.to_polars().height == 2
    assert "<table>" in report._repr_html_()


def test_a_damaged_parquet_file_is_quarantined(lake, tmp_path):
    path = tmp_path / "cut.parquet"
    table().write_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    report = land(lake, path)
    assert (report.rows_added, report.rows_quarantined) == (0, 1)
    assert "cannot be read as Parquet" in next(iter(report.quarantined))


def test_rows_without_ids_give_away_nothing_by_their_row_id(tmp_path):
    frame = table(rows=1, actor=["ann"]).drop("trace_id", "span_id")
    ids = []
    for name in ("a", "b"):
        lake = Lake(tmp_path / name)
        land(lake, frame)
        ids.append(rows(lake)["row_id"][0])
    assert ids[0] != ids[1], "another lab, another key, another id"


def test_two_processes_that_land_the_same_file_land_it_once(lake, tmp_path):
    path = tmp_path / "log.csv"
    table(rows=3000).drop("trace_id", "span_id").write_csv(path)
    program = (
        "import sys; from pathlib import Path; from evolution_lab.telemetry import Lake, land;"
        "print(land(Lake(Path(sys.argv[1])), sys.argv[2]).rows_added)"
    )
    command = [sys.executable, "-c", program, str(lake.data_dir), str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    added = [int(process.communicate()[0]) for process in running]
    assert sum(added) == 3000
    assert rows(lake)["row_id"].is_unique().all()
    assert rows(lake).height == 3000


def test_routes_stay_apart_and_names_with_people_in_them_do_not_keep_them(lake):
    names = [
        "GET /api/v1/travel2service/trips/left_tickets/{tripId}",
        "GET /api/v1/travel2service/trips/left_seats/{tripId}",
        "GET /api/v1/orderOtherService/orderOther/status/{orderId}/{status}",
        "mail to ann.lee@example.com",
        "GET https://ann:pa55w0rd@host/x",
    ]
    land(lake, table(rows=5).with_columns(operation=pl.Series(names)))
    kept = rows(lake)["operation_key"].to_list()
    assert kept[:3] == names[:3]
    assert kept[3] == "mail to [email]"
    assert "pa55w0rd" not in kept[4]
