"""Labs that earlier versions wrote are read by this one; ``write_lab.py`` made them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from evolution_lab.cli import main
from evolution_lab.lab import Lab
from evolution_lab.telemetry.verifying import verify
from evolution_lab.windows import aggregate_landed

HERE = Path(__file__).parent
FIXTURES = sorted(HERE.glob("lab-*.zip"))


@pytest.fixture(scope="module", params=FIXTURES, ids=lambda path: path.stem)
def earlier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("earlier")
    with zipfile.ZipFile(request.param) as packed:
        packed.extractall(folder)
    return folder


def told(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    return found


def test_there_is_a_lab_of_an_earlier_version() -> None:
    assert FIXTURES
    assert sum(path.stat().st_size for path in FIXTURES) < 300_000


def test_the_lake_is_sound_and_says_what_it_said(earlier: Path) -> None:
    lab, expected = Lab(earlier / "data", window="1m"), told(earlier)
    assert verify(lab.lake).sound
    assert lab.samples().collect().height == expected["rows"]
    assert lab.windows().height == expected["windows"]
    assert aggregate_landed(lab.lake, window=lab.config.window).way == "samples"
    assert sorted(signal.id for signal in lab.detect().signals) == expected["signals"]


def test_decisions_and_experiments_are_there(earlier: Path) -> None:
    lab, expected = Lab(earlier / "data", window="1m"), told(earlier)
    assert sorted(each.id for each in lab.suggestions()) == expected["suggestions"]
    approved = lab.suggestion(str(expected["approved"]))
    assert approved.status == "approved"
    assert approved.approvals is not None
    keys = lab.sql("SELECT key, status FROM spec_experiments").rows()
    assert keys == [("null-1", "draft")]


def test_landing_goes_on_in_it(earlier: Path, tmp_path: Path) -> None:
    shutil.copytree(earlier / "data", tmp_path / "data")
    lab, expected = Lab(tmp_path / "data", window="1m"), told(earlier)
    again = lab.land(lab.samples().collect().drop("op_id", "row_id").head(100))
    assert again.rows_added + again.duplicates == 100
    before = lab.windows().filter(lab.windows()["calls"] > 0).height
    assert main(["lake", "compact", "--data", str(lab.data)]) == 0
    after = Lab(tmp_path / "data", window="1m").windows()
    assert after.filter(after["calls"] > 0).height == before
    assert after.height == expected["windows"]


def test_a_golden_suite_is_collected(earlier: Path) -> None:
    (suite,) = (earlier / "golden").glob("test_*.py")
    listed = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--collect-only",
            "-p",
            "no:cacheprovider",
            suite.name,
        ],
        cwd=suite.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stdout + listed.stderr
