from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.export import FileSystemSuggestionWriter
from evolution_lab.export.envelopes import envelope_bytes, envelope_name, safe_name
from evolution_lab.records import (
    Decision,
    EvidenceItem,
    OperationRef,
    Proposal,
    SpecSuggestion,
    Target,
    from_json,
    to_json,
)
from evolution_lab.suggestions import suggestion_id

CREATED = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)


def approved(key: str = "POST /orders", version: str | None = "1.2.0") -> SpecSuggestion:
    target = Target(operation=OperationRef(key, service="shop", version=version), path="/errors/E1")
    ask = {"declare-error": "E1"}
    made_id = suggestion_id(target, "revision", ask)
    decision = Decision(
        suggestion_id=made_id,
        revision=1,
        reviewer="mia",
        status="approved",
        notes="good",
        decided_at=CREATED,
    )
    return SpecSuggestion(
        id=made_id,
        intent="error-spike",
        target=target,
        proposal=Proposal(
            summary="Declare E1.",
            rationale="Errors rose.",
            change_type="revision",
            spec={"errors": {"E1": {"when": "…"}}},
            metadata={"ask": ask},
        ),
        confidence=None,
        risk=0.2,
        created_at=CREATED,
        status="approved",
        evidence=(EvidenceItem(description="Errors rose.", data={"observed": 0.1}),),
        priority="high",
        approvals=(decision,),
    )


def test_the_envelope_has_the_seed_names_and_loses_nothing(tmp_path):
    path = FileSystemSuggestionWriter(tmp_path).write(approved())
    assert path.name == f"POST-orders.v1.2.0.{approved().id[:8]}.suggestion.json"
    document = json.loads(path.read_bytes())
    assert document["formatVersion"] == 1
    assert document["proposal"]["changeType"] == "revision"
    assert document["proposal"]["specMeta"]["key"] == "POST /orders"
    assert "spec" not in document["proposal"]
    assert document["change"] == {"errors": {"E1": {"when": "…"}}}
    assert document["approvals"][0]["decidedAt"] == "2026-03-02T10:15:00Z"
    document["proposal"]["spec"] = document.pop("change")
    del document["formatVersion"], document["proposal"]["specMeta"]
    assert from_json(SpecSuggestion, document) == approved()


def test_the_form_is_canonical():
    text = envelope_bytes(approved()).decode()
    document = json.loads(text)
    assert text == json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_the_same_suggestion_gives_the_same_bytes_wherever_it_was_kept():
    kept = from_json(SpecSuggestion, to_json(approved()))
    turned = replace(kept.proposal, metadata=dict(reversed(kept.proposal.metadata.items())))
    assert envelope_bytes(replace(kept, proposal=turned)) == envelope_bytes(approved())


def test_writing_again_leaves_the_file_alone(tmp_path):
    writer = FileSystemSuggestionWriter(tmp_path)
    path = writer.write(approved())
    os.utime(path, (1, 1))
    assert writer.write(approved()) == path
    assert path.stat().st_mtime == 1
    writer.write(replace(approved(), revision=2))
    assert path.stat().st_mtime != 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_is_named_after_itself():
    spec = {"key": "workflow.a-to-b", "version": "0.1.0", "steps": []}
    made = approved()
    draft = replace(
        made,
        target=Target(operation=None, path="/operations/workflow.a-to-b"),
        proposal=replace(made.proposal, spec=spec, change_type="new-spec", kind="query"),
    )
    assert envelope_name(draft) == f"workflow.a-to-b.v0.1.0.{made.id[:8]}.suggestion.json"


HOSTILE = [
    "../../../etc/passwd",
    "..",
    ".",
    "/",
    "a\x00b",
    "x" * 10_000,
    "CON",
    "com1.txt",
    "名前 🎉",
    "-rf *",
    "a\nb; rm -rf $HOME",
    ".hidden",
    "C:\\Windows",
    "\u202egnp.exe",
    "name.",
    " ",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_an_operation_is_called_its_file_stays_in_the_directory(tmp_path, name):
    directory = tmp_path / "generated"
    path = FileSystemSuggestionWriter(directory).write(approved(name, version=name))
    assert path.resolve().parent == directory.resolve()
    assert [p.name for p in tmp_path.iterdir()] == ["generated"]
    assert json.loads(path.read_bytes())["target"]["operation"]["key"] == name


def test_two_operations_never_share_a_file(tmp_path):
    """In the seed system a second suggestion overwrote the first one's file."""
    writer = FileSystemSuggestionWriter(tmp_path)
    names = ["a/b", "a-b", "a b", "A-B", "a\x00b", "名", "前", "x" * 200, "x" * 201]
    paths = {writer.write(approved(name)).name.lower() for name in names}
    assert len(paths) == len(names)


@given(st.text(max_size=100))
@settings(max_examples=100)
def test_safe_names_are_safe(text):
    name = safe_name(text)
    assert name
    assert len(name) <= 81
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert ".." not in name
    assert name[0] not in ".-"
    assert name[-1] not in ".-"
    assert name.split(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}


def test_a_reviewer_sees_every_character_of_the_file():
    hidden = "\u202e\x1b[31m\x7f\u2028é"
    content = envelope_bytes(approved(hidden)).decode()
    assert all(c.isprintable() or c == "\n" for c in content)
    assert "é" in content
    assert json.loads(content)["target"]["operation"]["key"] == hidden


def test_a_file_that_cannot_be_written_leaves_the_old_one_whole(tmp_path, monkeypatch):
    writer = FileSystemSuggestionWriter(tmp_path)
    path = writer.write(approved())
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        writer.write(replace(approved(), revision=2))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_the_directory_is_replaced_not_followed(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    directory = tmp_path / "generated"
    directory.mkdir()
    (directory / envelope_name(approved())).symlink_to(victim)
    path = FileSystemSuggestionWriter(directory).write(approved())
    assert not path.is_symlink()
    assert victim.read_text() == "precious"
