"""Files looked through: what is in them is found, what stands in is not."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.cli import main
from evolution_lab.errors import PathNotFoundError
from evolution_lab.redaction import LabKey
from evolution_lab.redaction.payloads import PayloadSanitiser
from evolution_lab.redaction.scan import leaks_in_text, scan_paths

MAIL = "ada.lovelace@analytical.io"


def test_text_parquet_and_binary_files_are_looked_through(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"x = 1\ny = '{MAIL}'\n")
    pl.DataFrame({"body": [json.dumps({"to": MAIL})]}).write_parquet(tmp_path / "b.parquet")
    (tmp_path / "c.bin").write_bytes(b"\x00\x01" + b"\xff" * 2_000_000 + MAIL.encode() + b"\x00")
    report = scan_paths([tmp_path])
    assert [(leak.path, leak.line) for leak in report.leaks] == [
        ("a.py", 2),
        ("b.parquet", 0),
        ("c.bin", 0),
    ]
    assert report.by_kind() == {"email": 3}
    assert MAIL not in str(report.to_dicts())


def test_stand_ins_and_reserved_values_are_no_findings() -> None:
    person = {"email": MAIL, "card": "4111111111111111", "ip": "81.2.69.160"}
    person |= {"iban": "GB82WEST12345698765432", "token": "ghp_" + "a1B2" * 9}
    cleaned = PayloadSanitiser(LabKey(b"k" * 32)).sanitised({"body": person}).payload
    assert leaks_in_text(json.dumps(person), name="before") != ()
    assert leaks_in_text(json.dumps(cleaned), name="after") == ()
    assert leaks_in_text("mail team@example.org from 10.0.0.7, package==1.2.3.4") == ()


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    report = scan_paths([tmp_path])
    assert not report.clean
    assert report.unread[0][0] == "broken.parquet"
    with pytest.raises(PathNotFoundError):
        scan_paths([tmp_path / "missing"])


def test_the_command_says_by_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clean.txt").write_text("nothing here")
    assert main(["test", "scan", str(tmp_path)]) == 0
    (tmp_path / "leak.txt").write_text(MAIL)
    capsys.readouterr()
    assert main(["test", "scan", str(tmp_path), "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["kinds"] == {"email": 1}
    assert MAIL not in said.out + said.err


def test_the_digits_of_a_fraction_are_no_card():
    assert leaks_in_text('{"share": 0.4111111111111111}') == ()
    assert leaks_in_text("3.4111111111111111e-5, -0.4111111111111111") == ()
    assert [leak.kind for leak in leaks_in_text("card: 4111111111111111.")] == ["card"]
    assert [leak.kind for leak in leaks_in_text("card. 4111.1111.1111.1111")] == ["card"]
