import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from evolution_lab.contracts import BoundSpecs, OpenApiDocument, bind_specs
from evolution_lab.contracts.document_text import parse_document
from evolution_lab.errors import InvalidOverlayError
from evolution_lab.export import FileSystemSuggestionWriter
from evolution_lab.export.changed_documents import changed_document
from evolution_lab.records import EvidenceItem, OperationRef, Proposal, SpecSuggestion, Target
from evolution_lab.suggestions.document_change import change_document
from evolution_lab.suggestions.edits import Deprecate
from evolution_lab.suggestions.overlays import apply_overlay

YAML = """\
openapi: 3.0.3
info: {title: Carts, version: "1"}
paths:
  /carts:
    get:
      summary: "no"
      responses: {"200": {description: "2024-01-01"}}
"""
OPERATION = OperationRef("GET /carts", service="shop")


@pytest.fixture
def specs(tmp_path) -> BoundSpecs:
    path = tmp_path / "carts.yaml"
    path.write_text(YAML)
    return bind_specs([(None, OpenApiDocument.load(path))], [("shop", "GET /carts")])


def suggestion(specs: BoundSpecs) -> SpecSuggestion:
    document = specs.document_of(OPERATION)
    assert document is not None
    change = change_document(document, "GET /carts", [Deprecate()], title="Retire.")
    return SpecSuggestion(
        id="0123456789abcdef",
        intent="throughput-drop",
        status="approved",
        revision=3,
        target=Target(operation=OPERATION, path="/policy/deprecated"),
        confidence=None,
        risk=0.2,
        proposal=Proposal(summary="Retire.", rationale="Unused.", change_type="revision"),
        evidence=(EvidenceItem(description="No calls."),),
        priority="low",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        overlay=change.overlay,
    )


def test_envelope_overlay_and_changed_document_stand_beside_each_other(tmp_path, specs):
    writer = FileSystemSuggestionWriter(tmp_path / "out", specs=specs)
    written = writer.write_all(suggestion(specs))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    stem = "GET-carts.vunknown.01234567"
    assert names == [f"{stem}.{e}" for e in ("changed.yaml", "overlay.json", "suggestion.json")]
    assert written.overlay is not None
    assert written.document is not None
    overlay = json.loads(written.overlay.read_bytes())
    assert overlay["info"]["version"] == "3"
    source = parse_document(YAML)
    assert parse_document(written.document.read_text()) == apply_overlay(source, overlay)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert writer.write_all(suggestion(specs)) == written
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}


def test_what_is_taken_back_keeps_its_envelope_alone(tmp_path, specs):
    writer = FileSystemSuggestionWriter(tmp_path / "out", specs=specs)
    writer.write(suggestion(specs))
    written = writer.write_all(replace(suggestion(specs), status="withdrawn"))
    assert list((tmp_path / "out").iterdir()) == [written.envelope]
    assert json.loads(written.envelope.read_bytes())["status"] == "withdrawn"


def test_a_document_that_moved_on_is_not_written_and_says_why(tmp_path, specs):
    made = suggestion(specs)
    (tmp_path / "carts.yaml").write_text(YAML.replace("/carts", "/baskets"))
    moved = bind_specs(
        [(None, OpenApiDocument.load(tmp_path / "carts.yaml"))], [("shop", "GET /baskets")]
    )
    target = replace(made.target, operation=OperationRef("GET /baskets", service="shop"))
    writer = FileSystemSuggestionWriter(tmp_path / "out", specs=moved)
    written = writer.write_all(replace(made, target=target))
    assert written.document is None
    assert written.refused is not None
    assert "selects 0 objects" in written.refused


def test_an_overlay_that_makes_no_valid_document_is_refused():
    document = OpenApiDocument.load(parse_document(YAML))
    bad = {"actions": [{"target": "$.paths['/carts'].get", "update": {"responses": 7}}]}
    with pytest.raises(InvalidOverlayError, match="not valid"):
        changed_document(document, bad)


def test_surrogates_are_written_as_escapes():
    document = OpenApiDocument.load(parse_document(YAML))
    update = {"x-note": "\ud800"}
    _, content = changed_document(
        document, {"actions": [{"target": "$.paths['/carts'].get", "update": update}]}
    )
    assert json.loads(content)["paths"]["/carts"]["get"]["x-note"] == "\ud800"
