"""A lab handed on as a file: the same to look at, nobody's data in it, nothing to be changed."""

from __future__ import annotations

import inspect
import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.cli import main
from evolution_lab.datasets import sample_path
from evolution_lab.errors import (
    CorruptFileError,
    EmptyLakeError,
    FormatVersionError,
    LakeError,
    PathNotFoundError,
    ReadOnlyLabError,
)
from evolution_lab.export import lab_file
from evolution_lab.export.lab_file import LabContents, read_lab_file, write_lab_file
from evolution_lab.export.lab_sanitising import sanitised
from evolution_lab.lab import Lab, OpenedLab
from evolution_lab.records import Decision
from evolution_lab.redaction import LabKey
from evolution_lab.redaction.scan import scan_paths

MAIL, PHONE, CARD = "jane.doe@shop.io", "+49 30 901820", "4111 1111 1111 1111"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    lab = Lab(folder / "data", reports=folder / "reports", window="30s")
    lab.land(sample_path() / "spans.jsonl.gz")
    submitted = lab.suggest()
    lab.approve(submitted[0].id, reviewer="ada", notes="agreed")
    lab.reject(submitted[1].id, reviewer=MAIL, notes=f"ask {MAIL} or {PHONE}, she paid with {CARD}")
    return lab


@pytest.fixture(scope="module")
def file(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lab.export(tmp_path_factory.mktemp("handed on") / "shop.lab.zip")


@pytest.fixture(scope="module")
def opened(file: Path) -> OpenedLab:
    return Lab.open_export(file)


def members(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_colleague_sees_what_the_lab_shows(lab: Lab, opened: OpenedLab) -> None:
    assert opened.windows().equals(lab.windows())
    assert opened.detect().signals == lab.detect().signals
    assert opened.detect().incidents == lab.detect().incidents
    assert [s.id for s in opened.suggestions()] == [s.id for s in lab.suggestions()]
    assert opened.suggestions("pending") == lab.suggestions("pending")
    (approved,) = opened.suggestions("approved")
    assert approved == lab.suggestion(approved.id)
    assert approved.approvals[0].reviewer == "ada"
    key = lab.detect().signals[0].operation.key
    assert opened.windows(operation=key).height == lab.windows(operation=key).height > 0
    assert opened.sql("SELECT count(*) AS n FROM signals")["n"].item() == len(lab.detect().signals)


def test_the_panel_draws_the_same_charts_and_names_nobody_who_decides(
    lab: Lab, opened: OpenedLab
) -> None:
    ours, theirs = lab.review_board(), opened.review_board()
    charts = 0
    for suggestion in lab.suggestions("pending"):
        ask = {"kind": "detail", "id": suggestion.id}
        answer = theirs.handle(ask)
        assert answer == ours.handle(ask)
        charts += sum(s["chart"] is not None for s in answer["suggestion"]["signals"])
    assert charts > 0
    assert theirs.handle({"kind": "list"})["reviewer"] == ""
    decision = {"kind": "decide", "decision": "approve", "revision": 1}
    pending = opened.suggestions("pending")[0]
    answer = theirs.handle({**decision, "id": pending.id}, reviewer="mallory")
    assert answer["reason"] == "ReadOnlyLabError"
    assert "the lab it came from" in answer["error"]
    assert opened.suggestion(pending.id).status == "pending"


def test_the_report_is_that_of_the_lab(lab: Lab, opened: OpenedLab, tmp_path: Path) -> None:
    theirs = opened.report(tmp_path / "theirs", command="same")
    ours = lab.report(tmp_path / "ours", command="same")
    assert [path.name for path in theirs.paths] == [path.name for path in ours.paths]
    shown, own = (json.loads(f.paths[2].read_bytes()) for f in (theirs, ours))
    differ = {name for name in own if shown[name] != own[name]}
    assert shown.keys() == own.keys()
    assert differ <= {"suggestions"}  # one rejection names people


CHANGING = ("land", "import_traffic", "suggest", "approve", "reject", "reopen", "label",
            "calibrate", "add_deployment", "register_experiment")  # fmt: skip


@pytest.mark.parametrize("name", CHANGING)
def test_nothing_can_be_changed(opened: OpenedLab, file: Path, name: str) -> None:
    before = file.read_bytes()
    with pytest.raises(ReadOnlyLabError, match="read only; do that in the lab it came from"):
        getattr(opened, name)()
    assert file.read_bytes() == before


def test_every_method_of_a_lab_is_either_shown_or_refused() -> None:
    def methods(owner: type) -> set[str]:
        return {n for n, _ in inspect.getmembers(owner, callable) if not n.startswith("_")}

    of_the_samples = {
        "samples", "evidence", "explore", "sequences", "edges", "specs", "traffic_reading", "analyze", "deploys", "recent_traffic", "rollout_controller", "rollout_decisions",
        "evaluate_experiment", "experiment_durations", "harmful_experiments",
        "evaluate", "envelope_of", "export", "open_export", "signal_labels", "labels",
        "draft_experiment", "silences", "mute", "unmute", "add_maintenance", "remove_maintenance",
    }  # fmt: skip
    assert methods(Lab) - methods(OpenedLab) <= of_the_samples


def test_nobody_is_named_and_nothing_raw_leaves(lab: Lab, file: Path, tmp_path: Path) -> None:
    content = members(file)
    windows = pl.read_parquet(io.BytesIO(content["windows.parquet"]))
    # Of the table its texts: a float of sixteen digits may pass for the number of a card.
    windows.select(pl.col(pl.String), "top_errors").write_parquet(tmp_path / "windows.parquet")
    for name in ("lab.json", "detection.json", "suggestions.json"):
        (tmp_path / name).write_bytes(content[name])
    assert scan_paths([tmp_path]).leaks == ()
    everything = b"".join(content.values()) + str(windows.to_dicts()).encode()
    for planted in (MAIL, PHONE, CARD):
        assert planted.encode() not in everything
    words = {word.decode() for word in re.findall(rb"[\w-]+", everything)}
    samples = lab.samples().collect()
    for column in ("actor_id", "session_id", "trace_id"):
        values = set(samples[column].drop_nulls())
        assert values, column
        assert not words & values, column
    (rejected,) = Lab.open_export(file).suggestions("rejected")
    assert rejected.approvals[0].reviewer == LabKey.open(lab.data).pseudonym("reviewer", MAIL)
    assert rejected.approvals[0].notes == "ask [email] or [phone], she paid with [card]"


def test_texts_are_masked_wherever_they_stand(lab: Lab) -> None:
    suggestion = lab.suggestions("pending")[0]
    proposal = replace(
        suggestion.proposal,
        rationale=f"fails for {MAIL}",
        metadata={"samples": [{"note": f"call {PHONE}"}], MAIL: 1, "nested": {"deep": [MAIL]}},
    )
    decision = Decision(
        suggestion_id=suggestion.id, revision=1, reviewer="kim", status="approved",
        notes=None, decided_at=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip
    codes = pl.lit([{"error_code": f"no {MAIL}", "count": 1}])
    windows = lab.windows().head(3).with_columns(operation_key=pl.lit(f"GET /{MAIL}"))
    contents = LabContents(
        windows=windows.with_columns(top_errors=codes.cast(windows.schema["top_errors"])),
        detection=lab.detect(),
        suggestions=(replace(suggestion, proposal=proposal, approvals=(decision,)),),
        data_digest="d",
        package_version="1",
    )
    clean = sanitised(contents, LabKey(b"k" * 32))
    (cleaned,) = clean.suggestions
    assert cleaned.id == suggestion.id
    assert cleaned.overlay == suggestion.overlay
    assert cleaned.approvals == (decision,)
    assert cleaned.proposal.rationale == "fails for [email]"
    assert cleaned.proposal.metadata == {
        "samples": [{"note": "call [phone]"}], "[email]": 1, "nested": {"deep": ["[email]"]},
    }  # fmt: skip
    assert clean.windows["operation_key"].unique().to_list() == ["GET /[email]"]
    assert clean.windows["top_errors"][0].to_list() == [{"error_code": "no [email]", "count": 1}]
    assert sanitised(clean, LabKey(b"k" * 32)).suggestions == clean.suggestions


def test_equal_labs_give_equal_bytes(lab: Lab, file: Path, tmp_path: Path) -> None:
    assert lab.export(tmp_path / "again.zip").read_bytes() == file.read_bytes()
    assert os.listdir(tmp_path) == ["again.zip"]  # noqa: PTH208 (hidden files, too)


def rewritten(file: Path, folder: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    content = members(file)
    change(content)
    other = folder / "other.zip"
    with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return other


def newer(content: dict[str, bytes]) -> None:
    content["lab.json"] = json.dumps(
        {**json.loads(content["lab.json"]), "formatVersion": 2}
    ).encode()


BROKEN: dict[str, Callable[[dict[str, bytes]], None]] = {
    "a member is missing": lambda c: c.pop("detection.json") and None,
    "another archive": lambda c: c.update({"lab.json": b"{}"}),
    "no JSON": lambda c: c.update({"suggestions.json": b"[{"}),
    "no list": lambda c: c.update({"suggestions.json": b"{}"}),
    "other records": lambda c: c.update({"suggestions.json": b'[{"id": 1}]'}),
    "no table": lambda c: c.update({"windows.parquet": b"PAR1"}),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_refused_with_the_reason(file: Path, tmp_path: Path, how: str) -> None:
    with pytest.raises(CorruptFileError, match="cannot be read as an exported lab"):
        Lab.open_export(rewritten(file, tmp_path, BROKEN[how]))


def test_no_more_is_unpacked_than_a_lab_can_have(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = rewritten(file, tmp_path, lambda c: c.update({"detection.json": b" " * (2**22 + 1)}))
    monkeypatch.setattr(lab_file, "_LARGEST_MEMBER", 2**22)
    with pytest.raises(CorruptFileError, match=r"detection\.json is larger than"):
        Lab.open_export(bomb)
    assert Lab.open_export(file).windows().height > 0


def test_a_table_that_breaks_the_contract_is_refused(file: Path, tmp_path: Path) -> None:
    def spoil(content: dict[str, bytes]) -> None:
        out = io.BytesIO()
        frame = pl.read_parquet(io.BytesIO(content["windows.parquet"]))
        frame.with_columns(calls=pl.lit(-1, dtype=pl.Int64)).write_parquet(out)
        content["windows.parquet"] = out.getvalue()

    with pytest.raises(CorruptFileError, match="calls"):
        Lab.open_export(rewritten(file, tmp_path, spoil))


def test_what_is_no_lab_file_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatVersionError, match="reads up to 1"):
        Lab.open_export(rewritten(file, tmp_path, newer))
    (tmp_path / "text").write_text("hello", encoding="utf-8")
    with pytest.raises(CorruptFileError):
        Lab.open_export(tmp_path / "text")
    (tmp_path / "cut.zip").write_bytes(file.read_bytes()[:5000])
    with pytest.raises(CorruptFileError):
        Lab.open_export(tmp_path / "cut.zip")
    with pytest.raises(PathNotFoundError):
        Lab.open_export(tmp_path / "nowhere.zip")


def test_members_of_other_names_touch_no_disk(file: Path, tmp_path: Path) -> None:
    other = rewritten(file, tmp_path, lambda c: c.update({"../../evil": b"x", "/etc/evil": b"x"}))
    assert Lab.open_export(other).windows().height > 0
    assert not (tmp_path.parent / "evil").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["other.zip"]


def test_a_file_that_cannot_be_written_says_so(opened: OpenedLab, file: Path) -> None:
    with pytest.raises(LakeError, match="cannot be written"):
        write_lab_file(read_lab_file(file), file / "below a file.zip")


def test_an_empty_lab_has_nothing_to_hand_on(tmp_path: Path) -> None:
    with pytest.raises(EmptyLakeError):
        Lab(tmp_path / "empty").export(tmp_path / "empty.zip")
    assert not (tmp_path / "empty.zip").exists()


def test_the_command_line_exports_and_opens(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / "shop.lab.zip")
    assert main(["lab", "export", target, "--data", str(lab.data), "--every", "30s", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["signals"] == len(lab.detect().signals)
    assert said["decisions"] == 2
    assert main(["lab", "open", target, "--json", "--report", str(tmp_path / "report")]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["suggestionList"]) == said["suggestions"]
    assert all(Path(path).is_file() for path in shown["report"])
    assert main(["lab", "open", target]) == 0
    assert lab.suggestions()[0].id[:8] in capsys.readouterr().out
    assert main(["lab", "open", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err
