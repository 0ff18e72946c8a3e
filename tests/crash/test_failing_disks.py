"""A disk that is full, may not be written to, or changes bytes; a clock that jumps; a newer version.

In each case nothing that was there is lost, the command ends with 2 and one sentence that says what
is wrong and what to do, and what is not concerned is served.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.cli import main
from evolution_lab.datasets import sample_path
from evolution_lab.errors import EvolutionLabError, FormatVersionError
from evolution_lab.lab import Lab
from evolution_lab.telemetry import Lake, land

DAYS = (4, 5, 6)


def table(folder: Path, day: int, rows: int = 400) -> Path:
    path = folder / f"day-{day}.csv"
    start = datetime(2026, 5, day, tzinfo=UTC)
    pl.DataFrame(
        {
            "timestamp": [(start + timedelta(seconds=200 * n)).isoformat() for n in range(rows)],
            "operation": [f"op {n % 3}" for n in range(rows)],
            "duration_ms": [float(day * 1000 + n) for n in range(rows)],
        }
    ).write_csv(path)
    return path


def said(*command: str) -> tuple[int, str]:
    """Run a command; its exit code and what it says, which is never a traceback."""
    out, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        code = main(list(command))
    text = out.getvalue() + told.getvalue()
    assert "Traceback" not in text, text[-2000:]
    return code, text


def durations(data: Path) -> set[int]:
    return set(Lab(data).samples().select("duration_ns").collect().to_series().to_list())


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab of three days, with windows, suggestions and a decision to make."""
    folder = tmp_path_factory.mktemp("template")
    data = folder / "lab"
    lab = Lab(data)
    for day in DAYS:
        lab.land(table(folder, day))
    lab.detect()
    shop = Lab(folder / "shop", window="30s")
    shop.land(sample_path() / "spans.jsonl.gz")
    shop.suggest(every="30s")
    return folder


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template / "lab", tmp_path / "lab")
    return tmp_path / "lab"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of eight megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True, check=False
    )  # fmt: skip
    if done.returncode:
        pytest.skip("no disk can be mounted here: needs root and CAP_SYS_ADMIN")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def filled(disk: Path, *, leaving: int) -> Path:
    """Fill a disk up to some bytes; returns the file that can be removed."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    filler.write_bytes(b"x" * max(0, free.f_bavail * free.f_frsize - leaving))
    return filler


def test_a_full_disk_loses_nothing_and_landing_goes_on_when_there_is_room(
    small_disk: Path, template: Path, tmp_path: Path
):
    data = small_disk / "lab"
    shutil.copytree(template / "lab", data)
    before = durations(data)
    for leaving in (0, 4_096, 20_000, 60_000):
        filler = filled(small_disk, leaving=leaving)
        code, text = said("land", str(table(tmp_path, 7, 3_000)), "--data", str(data))
        assert code in {0, 2}
        if code == 2:
            assert "space" in text, text
            assert durations(data) >= before
        code, text = said("report", "--data", str(data), "--output", str(small_disk / "reports"))
        assert code in {0, 2}, text
        filler.unlink()
        for path in (small_disk / "reports").rglob("*"):
            assert not path.name.endswith(".json") or json.loads(path.read_bytes())
        shutil.rmtree(small_disk / "reports", ignore_errors=True)
    assert said("land", str(table(tmp_path, 7, 3_000)), "--data", str(data))[0] == 0
    assert len(durations(data)) == len(before) + 3_000
    assert said("lake", "verify", "--data", str(data))[0] == 0


def test_a_decision_on_a_full_disk_is_taken_or_not(small_disk: Path, template: Path):
    data = small_disk / "lab"
    shutil.copytree(template / "shop", data)
    (suggestion, *_) = Lab(data).suggestions("pending")
    command = ("suggestions", "approve", suggestion.id, "--reviewer", "ada", "--data", str(data))
    filler = filled(small_disk, leaving=0)
    code, text = said(*command, "--output", str(small_disk / "out"))
    assert code == 2
    assert "space" in text.lower(), text
    filler.unlink()
    assert said(*command, "--output", str(small_disk / "out"))[0] in {0, 2}
    decided = next(each for each in Lab(data).suggestions() if each.id == suggestion.id)
    assert (decided.status, len(decided.approvals)) == ("approved", 1)


def unprivileged(*command: str) -> tuple[int, str]:
    """Run a command as somebody whom permissions bind; root is bound by none."""
    program = [sys.executable, "-m", "evolution_lab", *command]
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root without setpriv: no permission binds")
        bound = "-dac_override,-dac_read_search"
        program = ["setpriv", "--bounding-set", bound, "--inh-caps", bound, *program]
    done = subprocess.run(
        program, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    text = done.stdout + done.stderr
    assert "Traceback" not in text, text[-3000:]
    return done.returncode, text


def test_a_folder_that_may_not_be_written_to_can_be_looked_at(data: Path, tmp_path: Path):
    for path in (data, *data.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        source = table(tmp_path, 9)
        source.chmod(0o444)
        code, text = unprivileged("land", str(source), "--data", str(data))
        assert code == 2
        assert "ermission" in text or "writ" in text, text
        code, text = unprivileged("windows", "--data", str(data))
        assert code == 0, text
        code, text = unprivileged("detect", "--data", str(data))  # It keeps what it finds.
        assert code == 2
        assert "must be writable" in text, text
        code, text = unprivileged("report", "--data", str(data), "--output", str(data / "reports"))
        assert code == 2
    finally:
        for path in (data, *data.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert len(durations(data)) == 400 * len(DAYS)


def test_a_folder_that_may_not_be_read_is_named(data: Path):
    lake = data / "lake"
    lake.chmod(0o000)
    try:
        code, text = unprivileged("detect", "--data", str(data))
        assert code == 2
        assert "lake" in text
        assert "ermission" in text or "read" in text
    finally:
        lake.chmod(0o755)


def _flipped(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(8):
        at = draw.randrange(len(changed))
        changed[at] ^= 1 << draw.randrange(8)
    return bytes(changed)


DAMAGE: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flipped bits": _flipped,
    "truncated": lambda content, draw: content[: draw.randrange(len(content))],
    "empty": lambda *_: b"",
    "zeros": lambda content, _: bytes(len(content)),
}
KINDS = {
    "samples": "lake/samples/date=2026-05-05/*.parquet",
    "operations": "lake/operations/*.parquet",
    "projection": "lake/latency/**/*.parquet",
    "projection list": "lake/latency/**/runs.json",
    "windows": "lake/windows*/**/*.parquet",
    "batch": "lake/batches/*.json",
    "state": "evolution.duckdb",
}


QUICK = {("samples", "truncated"), ("batch", "zeros"), ("state", "flipped bits")}


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        pytest.param(kind, damage, marks=() if (kind, damage) in QUICK else pytest.mark.slow)
        for kind in KINDS
        for damage in DAMAGE
    ],
)
def test_damaged_files_are_named_and_the_rest_is_served(data: Path, kind: str, damage: str):
    (path, *_) = sorted(data.glob(KINDS[kind]))
    draw = random.Random(f"{kind} {damage}")
    whole = path.read_bytes()
    path.write_bytes(DAMAGE[damage](whole, draw))
    harmful = kind in {"samples", "batch", "operations"}
    code, text = said("lake", "verify", "--data", str(data))
    if harmful and damage != "flipped bits":
        assert code in {1, 2}
        assert path.name[:20] in text, text
    for command in (
        ("windows",),
        ("detect",),
        ("detect", "--every", "5m"),
        ("suggestions", "list"),
    ):
        code, text = said(*command, "--data", str(data))
        assert code in {0, 2}
        if code == 2:
            assert path.name[:20] in text, text
    if kind == "samples":
        # The days beside it are served.
        rest = Lab(data).windows(since=datetime(2026, 5, 6, tzinfo=UTC))
        assert rest["calls"].sum() > 0
    if kind in {"projection", "projection list", "windows"}:
        # What can be made again from samples says the same as ever.
        with contextlib.suppress(EvolutionLabError):  # Which names the file: looked at above.
            calls = Lab(data).windows()["calls"].sum()
            assert damage == "flipped bits" or calls == 400 * len(DAYS)
    path.write_bytes(whole)
    assert len(durations(data)) == 400 * len(DAYS)


def test_a_clock_that_jumps_changes_no_row_and_no_window(tmp_path: Path):
    plain, jumping = Lake(tmp_path / "plain"), Lake(tmp_path / "jumping")
    now = datetime(2026, 5, 10, tzinfo=UTC)
    for number, day in enumerate(DAYS):
        land(plain, table(tmp_path, day), landed_at=now + timedelta(hours=number))
    for day, moment in zip(
        DAYS, (now, now + timedelta(days=900), now - timedelta(days=1)), strict=True
    ):
        land(jumping, table(tmp_path, day), landed_at=moment)
        assert land(jumping, table(tmp_path, day), landed_at=now).rows_added == 0
    both = [
        Lab(lake.data_dir).windows(every="15m").drop("revision", "final")
        for lake in (plain, jumping)
    ]
    assert both[0].equals(both[1])


def test_a_newer_version_on_the_same_lake_is_refused_in_words(data: Path):
    (record, *_) = sorted(data.glob("lake/batches/*.json"))
    document = json.loads(record.read_bytes())
    name = next(key for key in document if key.lower().replace("_", "") == "formatversion")
    record.write_text(json.dumps({**document, name: 99}))
    with pytest.raises(FormatVersionError):
        Lab(data).samples().collect()
    code, text = said("detect", "--data", str(data))
    assert code == 2
    assert "99" in text
    assert "newer" in text or "upgrade" in text.lower(), text
    record.write_text(json.dumps(document))
    assert said("detect", "--data", str(data))[0] == 0


HOLDS = """
    import sys, time, fcntl
    from pathlib import Path
    from evolution_lab.telemetry.state import open_state
    with open_state(Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(120)
"""


def test_a_locked_database_names_who_holds_it(data: Path, monkeypatch: pytest.MonkeyPatch):
    from evolution_lab.errors import LockedError
    from evolution_lab.telemetry.state import open_state

    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDS), str(data)], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with (
                pytest.raises(LockedError, match=str(holder.pid)),
                open_state(data, wait_seconds=0.2),
            ):
                pass
        finally:
            holder.kill()
    with open_state(data):
        pass
