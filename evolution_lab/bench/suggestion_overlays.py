"""Measures overlays: whether each selects, changes and keeps exactly what it should."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from evolution_lab.bench.planted_edits import PlantedEdit, planted_edits
from evolution_lab.bench.public_documents import bench_documents
from evolution_lab.bench.targets import BenchReport, Target, share_interval
from evolution_lab.contracts import OpenApiDocument, OperationSpec
from evolution_lab.errors import EvolutionLabError
from evolution_lab.suggestions.document_change import DocumentChange, change_document
from evolution_lab.suggestions.json_patch import apply_json_patch, same_json
from evolution_lab.suggestions.overlays import apply_overlay, targets_matched
from evolution_lab.suggestions.traffic_check import check_traffic

_WHAT: Final = {
    "made": "edits that gave an overlay",
    "matched": "overlays whose every target selects an object or list",
    "exact": "overlays that, applied by oas-patch, give source + JSON Patch and nothing else",
    "alone": "overlays that leave every other operation's promises as they were",
    "valid": "changed documents that openapi-spec-validator accepts",
    "asked": "calls that asked, told by the changed document and not before",
    "kept": "good calls that the changed document still tells",
}


@dataclass
class _Counts:
    made: tuple[int, int] = (0, 0)
    matched: tuple[int, int] = (0, 0)
    exact: tuple[int, int] = (0, 0)
    alone: tuple[int, int] = (0, 0)
    valid: tuple[int, int] = (0, 0)
    asked: tuple[int, int] = (0, 0)
    kept: tuple[int, int] = (0, 0)

    def add(self, name: str, hits: int, of: int) -> None:
        known = getattr(self, name)
        setattr(self, name, (known[0] + hits, known[1] + of))


def measure_overlays(
    *, at_most: int = 100, progress: Callable[[str], None] | None = None
) -> BenchReport:
    """Plant gaps in the demo's and three public documents and judge the overlays that close them.

    Args:
        at_most: Edits tried on one document, spread evenly over its operations.
        progress: Told of each document.

    Returns:
        One target a law, each of which must hold without exception.
    """
    total = _Counts()
    rows: list[Mapping[str, Any]] = []
    faults: list[Mapping[str, Any]] = []
    documents = bench_documents()
    for name, document in documents.items():
        if progress is not None:
            progress(f"overlays on {name}")
        own = _Counts()
        specs = {
            operation.route: document.spec(operation.route) for operation in document.operations
        }
        for route, planted in _spread(document, at_most):
            reason = _judge(document, route, planted, own, specs)
            if reason:
                faults.append(
                    {
                        "document": name,
                        "operation": route,
                        "edit": planted.edit.name,
                        "place": str(getattr(planted.edit, "place", "")),
                        "fault": reason,
                    }
                )
        for entry in fields(own):
            total.add(entry.name, *getattr(own, entry.name))
        rows.append(
            {"document": name, "openapi": document.content["openapi"]}
            | {entry.name: "{} / {}".format(*getattr(own, entry.name)) for entry in fields(own)}
        )
    targets = [
        Target(
            id=f"overlays-{name}",
            value=hits / of if of else None,
            interval=share_interval(hits, of) if of else None,
            target=1.0,
            bound="at least",
            what=f"Share of {what}, over {len(documents)} documents ({hits} of {of}).",
        )
        for name, what in _WHAT.items()
        for hits, of in [getattr(total, name)]
    ]
    documented = Target(
        id="overlays-documents",
        value=float(len(documents)),
        target=4.0,
        bound="at least",
        what="Documents measured: the demo's and three that ship inside packages on PyPI.",
    )
    tables = {"Overlays by document": tuple(rows)}
    if faults:
        tables["Overlays at fault"] = tuple(faults[:50])
    return BenchReport(targets=(*targets, documented), tables=tables)


def _spread(document: OpenApiDocument, at_most: int) -> list[tuple[str, PlantedEdit]]:
    found = [
        (operation.route, planted)
        for operation in document.operations
        for planted in planted_edits(document, operation)
    ]
    if len(found) <= at_most:
        return found
    return [found[place * len(found) // at_most] for place in range(at_most)]


def _judge(
    document: OpenApiDocument,
    route: str,
    planted: PlantedEdit,
    counts: _Counts,
    specs: Mapping[str, OperationSpec],
) -> str:
    """Count what holds of one edit's overlay and return what does not, in words."""
    try:
        change = change_document(document, route, [planted.edit], title="Close a planted gap.")
    except EvolutionLabError as error:
        counts.add("made", 0, 1)
        return str(error)
    counts.add("made", 1, 1)
    laws = {
        "matched": all(count >= 1 for count in targets_matched(document.content, change.overlay)),
        "exact": _is_exact(document, change),
        "alone": _is_alone(specs, change, route),
        "valid": _is_valid(change.content),
    }
    for name, holds in laws.items():
        counts.add(name, int(holds), 1)
    after = OpenApiDocument(change.content)
    check = check_traffic(document, after, asked=planted.asked, good=planted.good)
    counts.add("asked", check.told_after if check.told_before == 0 else 0, check.asked)
    counts.add("kept", check.kept, check.good)
    broken = [_WHAT[name] for name, holds in laws.items() if not holds]
    if check.told_before or not check.answered:
        broken.append(f"traffic: {check}")
    return "; ".join(broken)


def _is_exact(document: OpenApiDocument, change: DocumentChange) -> bool:
    by_overlay = apply_overlay(document.content, change.overlay)
    by_patch = apply_json_patch(document.content, change.json_patch)
    return same_json(by_overlay, by_patch)


def _is_alone(specs: Mapping[str, OperationSpec], change: DocumentChange, route: str) -> bool:
    after = OpenApiDocument(change.content)
    return all(after.spec(other) == spec for other, spec in specs.items() if other != route)


def _is_valid(content: Mapping[str, Any]) -> bool:
    from openapi_spec_validator import validate

    try:
        validate(dict(content))
    except Exception:  # noqa: BLE001 - whatever it says, the document is not accepted
        return False
    return True
