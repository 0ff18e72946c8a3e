"""Landings taken back, files joined, days and people removed: each row once, and only theirs gone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.cli import main
from evolution_lab.errors import InputError, LockedError, UnknownNameError
from evolution_lab.golden.store_lake import LakeTrafficStore
from evolution_lab.lab import Lab
from evolution_lab.lab.caring import erase
from evolution_lab.lab.redacting_state import TOMBSTONE
from evolution_lab.records import OperationRef, TrafficSnapshot
from evolution_lab.schemas import SAMPLES, check
from evolution_lab.telemetry.compaction import compact
from evolution_lab.telemetry.forgetting import forget, landings
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.landing import land
from evolution_lab.telemetry.locks import file_lock
from evolution_lab.telemetry.retention import erase_rows, retain
from evolution_lab.telemetry.state import open_state
from evolution_lab.telemetry.verifying import verify

START = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
NOW = timedelta(0)


def frame(first: int, rows: int, **columns: object) -> pl.DataFrame:
    """Rows a minute apart; they cross midnight at number 30."""
    numbers = range(first, first + rows)
    return pl.DataFrame(
        {
            "timestamp": [START + timedelta(minutes=n) for n in numbers],
            "operation": [f"op {n % 2}" for n in numbers],
            "duration_ms": [float(n) for n in numbers],
            "trace_id": [f"{n + 1:032x}" for n in numbers],
            "span_id": [f"{n + 1:016x}" for n in numbers],
            "tenant": ["acme" if n % 4 == 0 else "globex" for n in numbers],
            "actor": [f"user{n % 5}@shop.example" for n in numbers],
            **columns,
        }
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lab")
    for part in range(6):
        land(lake, frame(part * 10, 10))
    return lake


def rows(lake: Lake) -> pl.DataFrame:
    found = check(Lake(lake.data_dir).samples().collect(), SAMPLES)
    return found.sort("timestamp", "row_id")


def minutes(lake: Lake) -> list[int]:
    return [(t - START) // timedelta(minutes=1) for t in rows(lake)["timestamp"]]


def test_compaction_changes_files_and_nothing_else(lake: Lake):
    before, digest, operations = rows(lake), lake.digest(), lake.operations()
    old = lake.live_files("samples")
    report = compact(lake)
    assert [(f.folder, f.before, f.after) for f in report.folders] == [
        ("samples/date=2026-03-01", 3, 1),
        ("samples/date=2026-03-02", 3, 1),
        ("operations", 6, 1),
    ]
    assert rows(lake).equals(before)
    assert lake.operations().equals(operations)
    assert lake.digest() == digest
    assert report.waiting == 12
    assert pl.read_parquet(old, hive_partitioning=False).height == 60, "a reader's list still holds"
    assert compact(lake, grace=NOW).deleted == 12
    assert not any(path.exists() for path in old)
    assert rows(lake).equals(before)
    assert verify(lake).findings == ()
    assert compact(lake).folders == ()


def test_what_was_landed_is_still_known_after_compaction(lake: Lake):
    compact(lake, grace=NOW)
    assert land(lake, frame(0, 10)).rows_added == 0
    grown = land(lake, frame(0, 65))
    assert (grown.rows_added, grown.duplicates) == (5, 60)
    (last,) = [each for each in landings(lake).landings if each.rows == 5]
    assert sum(last.duplicates_of.values()) == 60
    assert len(last.duplicates_of) == 6


def test_files_are_filled_up_to_a_size(lake: Lake):
    compact(lake, joined_rows=24, grace=NOW)
    assert sorted(pl.read_parquet(p).height for p in lake.live_files("samples")) == [10, 10, 20, 20]
    assert minutes(lake) == list(range(60))


def test_only_one_maintains_at_a_time(lake: Lake):
    with (
        file_lock(lake.root / "locks" / "maintenance.lock"),
        pytest.raises(LockedError, match="maintenance"),
    ):
        compact(lake, wait_seconds=0.05)


@pytest.mark.parametrize("compacted", [False, True])
def test_a_landing_is_taken_back_and_made_again(lake: Lake, *, compacted: bool):
    if compacted:
        compact(lake, grace=NOW)
    second = landings(lake).landings[1]
    assert forget(lake, second.batch[:10]).rows == 10
    assert minutes(lake) == [n for n in range(60) if not 10 <= n < 20]
    assert len(landings(lake).landings) == 5
    # Again with another meaning of its durations, and again taken back, and as it was.
    wrong = {"timestamp": "timestamp", "operation": "operation", "duration": "duration_ms:s"}
    assert land(lake, frame(10, 10), mapping=wrong).rows_added == 10
    assert rows(lake)["duration_ns"].max() == 19_000_000_000
    again = landings(lake).landings[-1]
    forget(lake, again.batch, grace=NOW)
    for _ in range(2):
        assert land(lake, frame(10, 10)).rows_added == 10
        assert minutes(lake) == list(range(60))
        forget(lake, landings(lake).landings[-1].batch)
    land(lake, frame(10, 10))
    assert land(lake, frame(10, 10)).rows_added == 0
    compact(lake, grace=NOW)
    assert minutes(lake) == list(range(60))
    assert verify(lake).sound


def test_rows_that_another_landing_left_out_are_not_lost_in_silence(lake: Lake):
    land(lake, frame(55, 10))
    last_but_one = landings(lake).landings[5]
    with pytest.raises(InputError, match=r"has 5 of its rows, too.*--with-dependents"):
        forget(lake, last_but_one.batch)
    assert minutes(lake) == list(range(65))
    report = forget(lake, last_but_one.batch, with_dependents=True)
    assert len(report.land_again) == 1
    assert minutes(lake) == list(range(50))
    assert land(lake, frame(55, 10)).rows_added == 10


def test_an_unknown_batch_is_named(lake: Lake):
    with pytest.raises(UnknownNameError, match="unknown batch 'zzz'"):
        forget(lake, "zzz")
    with pytest.raises(UnknownNameError, match="ambiguous"):
        forget(lake, "")


def test_a_long_writer_notices_what_was_taken_back(lake: Lake):
    from evolution_lab.telemetry.dedupe import LandedRows

    landed, day = LandedRows(lake), START.date()
    asked = rows(lake).filter(pl.col("timestamp").dt.date() == day)
    assert landed.new(asked, day).height == 0
    compact(lake, grace=NOW)
    assert landed.new(asked, day).height == 0
    forget(lake, landings(lake).landings[0].batch)
    assert landed.new(asked, day).height == 10


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_any_order_of_care_keeps_each_row_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    lake = Lake(tmp_path_factory.mktemp("lab"))
    expected: dict[int, set[int]] = {}
    for _ in range(data.draw(st.integers(3, 7))):
        step = data.draw(st.sampled_from(["land", "land", "compact", "forget", "sweep"]))
        if step == "land":
            part = data.draw(st.integers(0, 4))
            land(lake, frame(part * 10, 10))
            expected[part] = set(range(part * 10, part * 10 + 10))
        elif step == "forget" and expected:
            part = data.draw(st.sampled_from(sorted(expected)))
            first = START + timedelta(minutes=part * 10)
            (landing,) = [each for each in landings(lake).landings if each.first == first]
            forget(lake, landing.batch)
            del expected[part]
        else:
            compact(lake, grace=NOW if step == "sweep" else timedelta(hours=1))
        assert minutes(lake) == sorted(n for held in expected.values() for n in held)
    assert verify(lake).sound


def test_old_days_leave_and_are_not_landed_again(lake: Lake):
    digest = lake.digest()
    report = retain(lake, days=1, as_of=datetime(2026, 3, 3, 12, tzinfo=UTC), grace=NOW)
    assert [(each.folder, each.rows) for each in report.removed] == [
        ("samples/date=2026-03-01", 30)
    ]
    assert minutes(lake) == list(range(30, 60))
    assert lake.digest() != digest
    assert land(lake, frame(0, 10)).rows_added == 0
    assert not list(lake.root.glob("samples/date=2026-03-01/*.parquet"))
    assert retain(lake, days=1, as_of=datetime(2026, 3, 3, tzinfo=UTC)).rows == 0
    with pytest.raises(InputError, match="at least 1"):
        retain(lake, days=0)


def snapshot(number: int, tenant: str) -> TrafficSnapshot:
    return TrafficSnapshot(
        id=f"s{number}",
        operation=OperationRef("cart.add", "shop"),
        input={"of": tenant, "n": number},
        output={},
        success=True,
        timestamp=START + timedelta(minutes=number),
        tenant_id=tenant,
    )


@pytest.mark.parametrize("compacted", [False, True])
def test_a_tenant_is_erased_and_nobody_else(lake: Lake, tmp_path: Path, *, compacted: bool):
    store = LakeTrafficStore(lake.data_dir)
    store.add([snapshot(n, "acme" if n < 3 else "acmeology") for n in range(6)])
    if compacted:
        compact(lake, grace=NOW)
    payload = json.dumps({"tenant": "acme", "other": "acmeology", "said": "of acme, acme"})
    with open_state(lake.data_dir) as state:
        state.execute("CREATE TABLE intent_snapshots (id VARCHAR PRIMARY KEY, payload JSON)")
        state.execute("INSERT INTO intent_snapshots VALUES ('s1', ?)", [payload])
    reports = tmp_path / "reports"
    (reports / "inner").mkdir(parents=True)
    (reports / "inner" / "r.html").write_text("<td>acme</td>")
    (reports / "other.md").write_text("acmeology")
    done = erase(lake.data_dir, tenant="acme", exported=[reports])
    assert done.removal.rows == 15 + 3
    assert set(rows(lake)["tenant_id"]) == {"globex"}
    assert [each.id for each in store.snapshots()] == ["s3", "s4", "s5"]
    assert done.redacted == {"intent_snapshots": 1}
    with open_state(lake.data_dir) as state:
        kept = json.loads(state.execute("SELECT payload FROM intent_snapshots").fetchall()[0][0])
    said = f"of {TOMBSTONE}, {TOMBSTONE}"
    assert kept == {"tenant": TOMBSTONE, "other": "acmeology", "said": said}
    assert [path.name for path in done.files] == ["r.html"]
    named = [
        path
        for path in lake.root.rglob("*.parquet")
        if "acme" in set(pl.read_parquet(path).to_dict(as_series=False).get("tenant_id", []))
    ]
    assert named == []
    assert verify(lake).sound


def test_an_actor_is_erased_by_name_or_pseudonym(lake: Lake):
    actor = rows(lake)["actor_id"][0]
    assert erase(lake.data_dir, actor="user0@shop.example").removal.rows == 12
    assert actor not in set(rows(lake)["actor_id"])
    other = rows(lake)["actor_id"][0]
    assert erase_rows(lake, [other], "actor").rows == 12
    with pytest.raises(InputError, match="exactly one"):
        erase(lake.data_dir, actor="a", tenant="b")


def test_verify_names_what_is_wrong(lake: Lake):
    assert verify(lake).findings == ()
    first, second, third, *_ = lake.live_files("samples")
    (first.parent / "stray.parquet").write_bytes(b"PAR1")
    assert verify(lake).sound
    first.write_bytes(b"PAR1 broken")
    pl.read_parquet(second, hive_partitioning=False).head(3).write_parquet(second)
    third.unlink()
    report = verify(lake)
    assert not report.sound
    problems = {finding.path.rpartition("/")[2]: finding.problem for finding in report.findings}
    assert "cannot be read" in problems[first.name]
    assert "holds 3 rows, its record says 10" in problems[second.name]
    assert "missing" in problems[third.name]
    assert "No list names it" in problems["stray.parquet"]


def test_the_commands_say_what_they_did(lake: Lake, capsys: pytest.CaptureFixture[str]):
    def answer(*arguments: str, exit_code: int = 0):
        assert main(["lake", *arguments, "--data", str(lake.data_dir), "--json"]) == exit_code
        return json.loads(capsys.readouterr().out)

    listed = answer("batches")
    assert [each["rows"] for each in listed] == [10] * 6
    assert {"batch", "source", "landedAt", "duplicatesOf"} <= listed[0].keys()
    assert answer("forget", listed[0]["batch"])["rows"] == 10
    assert answer("compact", "--grace", "0s")["deleted"] > 0
    assert answer("retain", "--days", "1", "--as-of", "2026-03-03T00:00:00")["rows"] == 20
    assert answer("erase", "--tenant", "acme")["rows"] == 7
    assert answer("verify")["sound"] is True
    lake.live_files("samples")[0].unlink()
    assert answer("verify", exit_code=1)["findings"]
    assert main(["lake", "forget", "zz", "--data", str(lake.data_dir)]) == 2
    assert main(["lake", "verify", "--data", str(lake.data_dir / "none")]) == 2


def test_findings_on_rows_taken_back_are_withdrawn(tmp_path: Path):
    from evolution_lab.datasets import sample_path
    from evolution_lab.lab.caring import take_back

    lab = Lab(tmp_path / "data", reports=tmp_path / "reports", window="30s")
    lab.land(sample_path() / "spans.jsonl.gz")
    submitted = lab.suggest()
    assert lab.suggestions("pending")
    done = take_back(lab.data, landings(lab.lake).landings[0].batch)
    assert len(done.withdrawn) == 7
    assert set(done.expired) <= {each.id for each in submitted}
    assert done.expired
    assert lab.lake.samples().collect().is_empty()
    assert lab.land(sample_path() / "spans.jsonl.gz").rows_added > 10_000
    assert len(lab.detect().signals) == 7


def test_sql_sees_the_same_columns_after_compaction(lake: Lake):
    before = Lab(lake.data_dir).sql("SELECT * FROM samples ORDER BY timestamp")
    compact(lake)
    land(lake, frame(60, 1))
    after = Lab(lake.data_dir).sql("SELECT * FROM samples ORDER BY timestamp")
    assert after.head(60).equals(before)
