"""Erased for good: out of both state databases and their freed pages, out of experiments, kept out."""

from __future__ import annotations

import json
import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.approval.postgres_repository import PostgresSpecSuggestionRepository
from evolution_lab.cli import main
from evolution_lab.errors import CorruptFileError, LockedError
from evolution_lab.experiments import outcome_files
from evolution_lab.experiments.outcome_files import OutcomeWriter, forget_unit
from evolution_lab.experiments.tallies import tallies, unit_number
from evolution_lab.golden.store_lake import LakeTrafficStore
from evolution_lab.lab.caring import erase
from evolution_lab.lab.redacting_state import TOMBSTONE, subject_pattern
from evolution_lab.records import OperationRef, TrafficSnapshot
from evolution_lab.redaction import LabKey
from evolution_lab.telemetry import Lake, land
from evolution_lab.telemetry.locks import file_lock
from evolution_lab.telemetry.state import STATE_FILE, open_state, rewrite_state
from evolution_lab.telemetry.suppression import SUPPRESSED_FILE, suppress, suppressed
from evolution_lab.telemetry.verifying import verify

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACTOR, TENANT = "ada@shop.example", "acme"


def frame(first: int, rows: int) -> pl.DataFrame:
    numbers = range(first, first + rows)
    return pl.DataFrame(
        {
            "timestamp": [START + timedelta(minutes=n) for n in numbers],
            "operation": ["op" for _ in numbers],
            "duration_ms": [1.0 for _ in numbers],
            "trace_id": [f"{n + 1:032x}" for n in numbers],
            "span_id": [f"{n + 1:016x}" for n in numbers],
            "tenant": [TENANT if n % 2 else "globex" for n in numbers],
            "actor": [ACTOR if n % 5 == 0 else "bob@shop.example" for n in numbers],
        }
    )


def snapshot(number: int, user: str) -> TrafficSnapshot:
    return TrafficSnapshot(
        id=f"s{number}",
        operation=OperationRef("op"),
        input={},
        output={},
        success=True,
        timestamp=START + timedelta(minutes=number),
        user_id=user,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = Lake(tmp_path_factory.mktemp("made") / "lab")
    land(lake, frame(0, 20))
    return lake.data_dir


@pytest.fixture
def lake(made: Path, tmp_path: Path) -> Lake:
    return Lake(shutil.copytree(made, tmp_path / "lab"))


@pytest.mark.parametrize(("kind", "value", "left"), [("actor", ACTOR, 16), ("tenant", TENANT, 10)])
def test_later_landings_leave_who_was_erased_out(lake: Lake, kind: str, value: str, left: int):
    erase(lake.data_dir, **{kind: value})
    report = land(lake, frame(20, 20))
    assert report.rows_added == left
    assert sum(record.left_out for record in lake.records()) == 20 - left
    samples = lake.samples().collect()
    assert samples.height == 2 * left
    assert value not in set(samples["tenant_id"])
    assert verify(lake).sound


def test_recorded_traffic_leaves_them_out_too(lake: Lake):
    key = LabKey.open(lake.data_dir)
    store = LakeTrafficStore(lake.data_dir)
    store.add([snapshot(n, key.pseudonym("actor", ACTOR)) for n in range(3)])
    erase(lake.data_dir, actor=ACTOR)
    store.add([snapshot(n, key.pseudonym("actor", ACTOR if n % 2 else "bob")) for n in range(4, 8)])
    assert [each.id for each in store.snapshots()] == ["s4", "s6"]
    store.add([snapshot(9, key.pseudonym("actor", ACTOR))])
    assert len(list(store.snapshots())) == 2


def test_the_list_names_nobody(lake: Lake):
    erase(lake.data_dir, tenant=TENANT)
    erase(lake.data_dir, actor=ACTOR)
    erase(lake.data_dir, actor=LabKey.open(lake.data_dir).pseudonym("actor", ACTOR))
    text = (lake.root / SUPPRESSED_FILE).read_text()
    assert ACTOR not in text
    assert TENANT not in text
    assert len(json.loads(text)["pseudonyms"]) == 2


def test_an_erasure_waits_for_landings_that_do_not_know_of_it(lake: Lake):
    with (
        file_lock(lake.root / "locks" / "2026-03-01.lock"),
        pytest.raises(LockedError),
    ):
        suppress(lake.root, "actor", ACTOR, wait_seconds=0.1)
    assert suppressed(lake.root).pseudonyms  # Who lands from now on knows.


def test_a_damaged_list_stops_landings(lake: Lake):
    (lake.root / SUPPRESSED_FILE).write_text('{"format_version": 1}')
    with pytest.raises(CorruptFileError, match="restore it"):
        land(lake, frame(20, 3))


def test_freed_pages_of_the_state_hold_nobody(lake: Lake):
    subject = "subject-4711-of-the-lab"
    with open_state(lake.data_dir) as state:
        state.execute(
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, said JSON, text VARCHAR NOT NULL)"
        )
        state.execute("CREATE INDEX by_text ON notes (text)")
        payload = json.dumps({"actor": subject, "n": 4711, "list": [f"by {subject}, {subject}"]})
        state.execute("INSERT INTO notes VALUES (1, ?, ?)", [payload, subject])
    path = lake.data_dir / STATE_FILE
    assert subject.encode() in path.read_bytes()
    done = erase(lake.data_dir, actor=subject)
    assert done.redacted == {"notes": 2}
    assert subject.encode() not in path.read_bytes()
    assert [
        each.name for each in lake.data_dir.glob(f"*{STATE_FILE}*") if "lock" not in each.name
    ] == [STATE_FILE]
    with open_state(lake.data_dir) as state:
        said, text = state.execute("SELECT said, text FROM notes").fetchall()[0]
        assert text == TOMBSTONE
        assert json.loads(said) == {
            "actor": TOMBSTONE,
            "n": 4711,
            "list": [f"by {TOMBSTONE}, {TOMBSTONE}"],
        }
        with pytest.raises(Exception, match="Constraint"):
            state.execute("INSERT INTO notes VALUES (1, '{}', 'again')")


def test_a_state_that_is_in_use_is_not_rewritten(lake: Lake):
    with open_state(lake.data_dir) as state:
        state.execute("CREATE TABLE notes (text VARCHAR)")
        with pytest.raises(LockedError):
            rewrite_state(lake.data_dir, wait_seconds=0.1)
    rewrite_state(lake.data_dir)


def test_a_number_that_is_an_id_becomes_a_tombstone_and_json_stays_json():
    pattern = subject_pattern(["12345"])
    assert pattern is not None
    cell = '{"userId":12345,"12345":1,"amount":12345.5,"other":123456,"text":"of 12345."}'
    assert json.loads(pattern.redacted(cell)) == {
        "userId": TOMBSTONE,
        TOMBSTONE: 1,
        "amount": 12345.5,
        "other": 123456,
        "text": f"of {TOMBSTONE}.",
    }


def test_experiments_keep_counts_and_forget_whose_they_were(lake: Lake):
    key = LabKey.open(lake.data_dir).secret
    mine, other = unit_number(ACTOR, key), unit_number("bob", key)
    folder = lake.data_dir / "lake" / "outcomes" / "try@1"
    writer = OutcomeWriter(folder, "0" * 16)
    writer.add(tallies([(0, 1, mine, 5, 1, 0, 0, 0), (0, 0, other, 9, 1, 0, 0, 0)]), START)
    writer.add(tallies([(0, 1, mine, 2, 0, 0, 0, 0)]), START)
    assert erase(lake.data_dir, actor=ACTOR).units == ("try@1",)
    tables = [outcome_files._unpacked(path)[0] for path in folder.iterdir()]
    rows = outcome_files.added(tables)
    assert mine not in set(rows["unit"].tolist())
    assert sorted(zip(rows["arm"].tolist(), rows["requests"].tolist(), strict=True)) == [
        (0, 9),
        (1, 7),
    ]
    assert forget_unit(lake.data_dir, [ACTOR]) == ()


def test_archives_are_looked_into(lake: Lake, tmp_path: Path):
    reports = tmp_path / "reports"
    reports.mkdir()
    with zipfile.ZipFile(reports / "shop.lab.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/signals.json", json.dumps({"tenant": TENANT}))
    with zipfile.ZipFile(reports / "other.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", json.dumps({"tenant": "acmeology"}))
    (reports / "torn.zip").write_bytes(b"PK\x03\x04 torn, and of acme")
    done = erase(lake.data_dir, tenant=TENANT, exported=[reports])
    assert [path.name for path in done.files] == ["shop.lab.zip", "torn.zip"]


def test_the_teams_database_is_redacted_too(lake: Lake, postgres: str, tmp_path: Path):
    import psycopg

    repository = PostgresSpecSuggestionRepository(postgres)
    with repository.transaction():
        pass
    payload = json.dumps({"target": {"operation": "op"}, "evidence": f"tenant {TENANT}", "n": 1})
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO spec_suggestions VALUES ('x', 1, 'pending', %s, now(), now())", (payload,)
        )
        connection.execute(
            "INSERT INTO suggestion_decisions VALUES ('x', 1, 1, 'ada', 'rejected', %s, now())",
            (f"asked {TENANT}.",),
        )
        connection.execute("CREATE TABLE theirs (note TEXT)")
        connection.execute("INSERT INTO theirs VALUES (%s)", (TENANT,))
        settings = tmp_path / "evolution_lab.toml"
        settings.write_text(f'state_url = "{postgres}"\n')
        arguments = ["--data", str(lake.data_dir), "--config", str(settings), "--tenant", TENANT]
        assert main(["lake", "erase", *arguments]) == 0
        said = connection.execute("SELECT payload FROM spec_suggestions").fetchone()
        note = connection.execute("SELECT notes FROM suggestion_decisions").fetchone()
        others = connection.execute("SELECT note FROM theirs").fetchone()
    assert json.loads(said[0])["evidence"] == f"tenant {TOMBSTONE}"
    assert note == (f"asked {TOMBSTONE}.",)
    assert others == (TENANT,), "a table that is not this package's"


def test_old_days_take_their_findings_with_them(lake: Lake, capsys: pytest.CaptureFixture[str]):
    ends = {"old": "2026-01-05T10:00:00Z", "lasting": "2026-03-01T12:15:00Z", "new": None}
    with open_state(lake.data_dir) as state:
        state.execute(
            "CREATE TABLE intent_snapshots (id VARCHAR, payload JSON, detected_at TIMESTAMPTZ)"
        )
        for name, end in ends.items():
            detected = START if name == "new" else START - timedelta(days=60)
            payload = json.dumps({"windowEnd": end} if end else {})
            # An episode is stored each time that it changes; it lasts as long as its last row says.
            rows = (
                [("{}", detected), (payload, detected)]
                if name == "lasting"
                else [(payload, detected)]
            )
            for row in rows:
                state.execute("INSERT INTO intent_snapshots VALUES (?, ?, ?)", [name, *row])
    day = ["--days", "1", "--as-of", "2026-03-02T00:00:00Z", "--data", str(lake.data_dir)]
    assert main(["lake", "retain", *day, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"rows": 0, "removed": [], "findings": 1}
    with open_state(lake.data_dir) as state:
        kept = state.execute("SELECT DISTINCT id FROM intent_snapshots ORDER BY id").fetchall()
    assert kept == [("lasting",), ("new",)]
