"""Looking before landing, and landing a part: nothing written, units judged, traces whole."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.cli import main
from evolution_lab.errors import ConfigError, InputError
from evolution_lab.lab import Lab, keep_mapping
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.landing import land
from evolution_lab.telemetry.limits import LandingLimits

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LANDED_AT = datetime(2026, 4, 1, tzinfo=UTC)
MAP = ["timestamp=Start:ms", "duration=Took:ms", "operation=Name", "service=Of", "actor=Who"]


def table(rows: int = 50, start: datetime = START, unit_ms: float = 1.0) -> pl.DataFrame:
    begin = start.timestamp() * 1000
    return pl.DataFrame(
        {
            "Start": [round((begin + 60_000 * n) * unit_ms) for n in range(rows)],
            "Took": [100.0 + n for n in range(rows)],
            "Name": [f"op {n % 2}" for n in range(rows)],
            "Of": ["cart"] * rows,
            "Who": [f"jane{n}@shop.example" for n in range(rows)],
        }
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "calls.csv"
    table().write_csv(path)
    return path


def test_a_dry_run_shows_and_leaves_nothing(tmp_path: Path, file: Path):
    lake = Lake(tmp_path / "lab")
    report = land(lake, file, mapping=MAP, dry_run=True, landed_at=LANDED_AT)
    preview = report.preview
    assert preview is not None
    assert preview.rows.height == 10
    assert "jane" not in str(preview.rows.rows())
    (cart,) = preview.services
    assert (cart.service, cart.rows, cart.median_ns) == ("cart", 50, 124_000_000)
    assert (cart.first, cart.last) == (START, START + timedelta(minutes=49))
    assert preview.readings == {str(file): dict(item.split("=") for item in sorted(MAP))}
    assert preview.warnings == ()
    assert not lake.data_dir.exists()
    assert land(lake, file, mapping=MAP, landed_at=LANDED_AT).preview is None


def test_units_that_can_hardly_be_right_are_named(tmp_path: Path, file: Path):
    lake = Lake(tmp_path / "lab")
    in_seconds = [item.replace("Took:ms", "Took:s").replace("Start:ms", "Start:us") for item in MAP]
    report = land(lake, file, mapping=in_seconds, dry_run=True, landed_at=LANDED_AT)
    assert report.preview is not None
    (time,) = report.preview.warnings
    assert "events lie between 1970-01-" in time
    assert "As Start:ms the first would be 2026-03-01 12:00." in time
    assert any("1970" in note for note in report.notes)


def test_a_median_of_hours_is_doubted(tmp_path: Path):
    path = tmp_path / "calls.csv"
    table().with_columns(pl.col("Took") * 1_000).write_csv(path)
    wrong = [item.replace("Took:ms", "Took:s") for item in MAP]
    report = land(Lake(tmp_path / "lab"), path, mapping=wrong, dry_run=True, landed_at=LANDED_AT)
    assert report.preview is not None
    (warning,) = report.preview.warnings
    assert warning.startswith("service 'cart': the median duration is 34 hours; is the unit right?")
    assert warning.endswith("Read as Took:s.")


def test_a_year_2100_is_doubted(tmp_path: Path):
    path = tmp_path / "calls.csv"
    table(start=datetime(2100, 1, 1, tzinfo=UTC)).write_csv(path)
    report = land(Lake(tmp_path / "lab"), path, mapping=MAP, dry_run=True, landed_at=LANDED_AT)
    assert report.preview is not None
    assert "events lie between 2100-01-01" in report.preview.warnings[0]
    assert report.rows_added == 0


def test_a_stretch_of_time_is_landed(tmp_path: Path, file: Path):
    lake = Lake(tmp_path / "lab")
    limits = {"since": START + timedelta(minutes=10), "until": START + timedelta(minutes=20)}
    report = land(lake, file, mapping=MAP, landed_at=LANDED_AT, **limits)
    assert (report.rows_added, report.left_out, report.rows_read) == (10, 40, 50)
    times = lake.samples().collect()["timestamp"]
    assert (times.min(), times.max()) == (limits["since"], START + timedelta(minutes=19))
    # What was left out can be landed later, and nothing of it twice.
    assert land(lake, file, mapping=MAP, landed_at=LANDED_AT).rows_added == 40


def test_a_share_keeps_whole_traces_with_their_weight(tmp_path: Path):
    rows, spans = 6_000, 3
    frame = pl.DataFrame(
        {
            "timestamp": [START + timedelta(milliseconds=n) for n in range(rows)],
            "duration_ms": [5.0] * rows,
            "operation": ["op"] * rows,
            "trace_id": [f"{n // spans:032x}" for n in range(1, rows + 1)],
            "span_id": [f"{n:016x}" for n in range(1, rows + 1)],
        }
    )
    lake = Lake(tmp_path / "lab")
    land(lake, frame, share=0.05, landed_at=LANDED_AT)
    kept = lake.samples().collect()
    whole = frame.group_by("trace_id").len().rename({"len": "all"})
    counted = kept.group_by("trace_id").len().join(whole, on="trace_id")
    assert (counted["len"] == counted["all"]).all()
    assert kept["weight"].unique().to_list() == [20.0]
    # 2,000 traces: five standard deviations either side of 100.
    assert 50 < counted.height < 150
    with pytest.raises(InputError, match="lake forget"):
        land(lake, frame, landed_at=LANDED_AT)


@given(st.floats(0.001, 1.0), st.floats(0.001, 1.0))
def test_a_smaller_share_is_part_of_a_larger_one(one: float, other: float):
    rows = pl.DataFrame({"trace_id": [str(n) for n in range(300)], "row_id": "r", "weight": 1.0})
    small, large = (
        set(LandingLimits(share=share).keep(rows)["trace_id"]) for share in sorted((one, other))
    )
    assert small <= large


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_is_a_fraction(share: float):
    with pytest.raises(InputError, match="at most 1"):
        LandingLimits(share=share)


def test_a_confirmed_mapping_is_kept_and_used(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    options = [option for item in MAP for option in ("--map", item)]
    assert main(["land", str(file), "--data", str(data), *options, "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rowsAdded"] == 50
    settings = tomllib.loads((data / "evolution_lab.toml").read_text())
    assert settings == {"mappings": [dict(sorted(item.split("=") for item in MAP))]}
    more = tmp_path / "more.csv"
    table(start=START + timedelta(days=1)).write_csv(more)
    assert main(["land", str(more), "--data", str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rowsAdded"] == 50
    assert main(["land", str(file), "--data", str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rowsAdded"] == 0
    assert Lab(data).samples().collect()["service"].unique().to_list() == ["cart"]


def test_a_mapping_is_kept_once_and_with_its_zone(tmp_path: Path):
    roles = {"timestamp": "When", "duration": 'To"ok:ms', "operation": "Na=me"}
    settings = tmp_path / "evolution_lab.toml"
    settings.write_text('window = "5m"\n\n[operations."a.*"]\nthroughput_drop = 0.5')
    for _ in range(2):
        assert keep_mapping(tmp_path, roles, tz="Europe/Berlin") == settings
    frame = pl.DataFrame({"When": ["2026-03-01 12:00:00"], 'To"ok': [1.0], "Na=me": ["op"]})
    lab = Lab(tmp_path)
    assert lab.config.for_operation("a.b").throughput_drop == 0.5
    assert len(lab.config.mappings) == 1
    lab.land(frame)
    assert lab.samples().collect()["timestamp"][0] == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert lab.land(frame.with_columns(pl.lit(2).alias("n")), tz="UTC").rows_added == 1
    settings.write_text("mappings = []\n")
    with pytest.raises(ConfigError, match=r"\[\[mappings\]\]"):
        keep_mapping(tmp_path, roles)
    assert settings.read_text() == "mappings = []\n"


def test_the_command_shows_ten_rows_and_warns(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
):
    options = [option for item in MAP for option in ("--map", item.replace("Took:ms", "Took:s"))]
    arguments = ["land", str(file), "--data", str(tmp_path / "data"), *options, "--dry-run"]
    assert main([*arguments, "--share", "0.5", "--since", "2026-03-01T12:10:00"]) == 0
    said = capsys.readouterr()
    assert "as they would land" in said.out
    assert said.out.count("op 0") + said.out.count("op 1") == 10
    assert "time zone" in said.err
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["preview"]["rows"]) == 10
    assert document["preview"]["services"][0]["medianMs"] == 124_000.0
    assert not (tmp_path / "data").exists()
