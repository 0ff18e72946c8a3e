"""The draft of one operation that does what clients do in several calls, from what flows between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evolution_lab.contracts import OperationSpec
from evolution_lab.display import format_duration
from evolution_lab.records import EvidenceItem, Workflow
from evolution_lab.suggestions.identity import pointer
from evolution_lab.suggestions.traffic.data_flow import DataFlow, recorded_runs
from evolution_lab.suggestions.traffic.exchanges import Exchange
from evolution_lab.suggestions.traffic.places import shown
from evolution_lab.suggestions.traffic.values import ITEM, MOST_DEPTH, Path, inferred_schema
from evolution_lab.suggestions.wording import name_of


@dataclass(frozen=True, kw_only=True)
class CompositeParts:
    """What recorded calls say of a composite operation.

    Attributes:
        flow: What flows between the steps.
        input_schema: What nobody supplies, so that the client must.
        output_schema: What the client ends with: the last step's answer.
        errors: Declared errors of all steps.
        given: Per step, where its linked inputs come from, JSON-ready.
        evidence: The flow as a fact.
    """

    flow: DataFlow
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    errors: Mapping[str, Any]
    given: tuple[tuple[Mapping[str, Any], ...], ...]
    evidence: EvidenceItem


def composite_parts(
    workflow: Workflow,
    flow: DataFlow,
    exchanges: Sequence[Exchange],
    specs: Sequence[OperationSpec | None],
) -> CompositeParts:
    """Return the parts of a composite's draft.

    Args:
        workflow: The workflow.
        flow: Its data flow.
        exchanges: The recorded calls it was found in.
        specs: What is declared of each step; None where nothing is.
    """
    runs = recorded_runs(workflow, exchanges)
    linked = [{link.path for link in flow.links if link.step == i} for i in range(len(specs))]
    inputs = inferred_schema([_left_open(run, linked) for run in runs])
    last = specs[-1]
    answers = last.output_schema if last is not None else {}
    errors: dict[str, Any] = {}
    for spec in specs:
        errors |= spec.to_document()["errors"] if spec is not None else {}
    given = tuple(
        tuple(
            {
                "to": pointer(*link.path),
                "from": {"step": link.from_step, "of": link.side, "at": pointer(*link.from_path)},
            }
            for link in flow.links
            if link.step == step
        )
        for step in range(len(specs))
    )
    return CompositeParts(
        flow=flow,
        input_schema=inputs,
        output_schema=answers or inferred_schema([run[-1].answer for run in runs]),
        errors=errors,
        given=given,
        evidence=_evidence(workflow, flow),
    )


def _left_open(run: Sequence[Exchange], linked: Sequence[set[Path]]) -> dict[str, Any]:
    """Return what one run was given from outside, by name; a name that means two things says whose."""
    merged: dict[str, Any] = {}
    for step, exchange in enumerate(run):
        places = exchange.input if exchange.http else {"body": exchange.input}
        for place, held in sorted(places.items() if isinstance(places, Mapping) else ()):
            above = (place,) if exchange.http else ()
            left = _pruned(held, above, linked[step])
            for name, value in left.items() if isinstance(left, Mapping) else ():
                same = name not in merged or merged[name] == value
                merged[name if same else f"{name}OfStep{step + 1}"] = value
    return merged


def _pruned(value: Any, path: Path, linked: set[Path]) -> Any:
    """Return a value without its linked leaves; None where nothing is left."""
    if path in linked:
        return None
    if len(path) > MOST_DEPTH:
        return value
    if isinstance(value, Mapping):
        kept = {
            str(name): _pruned(below, (*path, str(name)), linked) for name, below in value.items()
        }
        return {name: below for name, below in kept.items() if below is not None} or None
    if isinstance(value, list):
        items = [_pruned(item, (*path, ITEM), linked) for item in value]
        return None if all(item is None for item in items) else items
    return value


def _evidence(workflow: Workflow, flow: DataFlow) -> EvidenceItem:
    told = [
        f"{shown(link.path)} of step {link.step + 1} is {shown(link.from_path)} of step "
        f"{link.from_step + 1} ({link.matches:,} of {link.runs:,} runs; {link.expected:.1f} by chance)"
        for link in flow.links
    ]
    words = "; ".join(told) if told else "nothing that a step answers is sent to a later one"
    low, high = (format_duration(ns) for ns in flow.saved_interval)
    saved = f"{flow.calls_saved} call{'s' if flow.calls_saved > 1 else ''}"
    return EvidenceItem(
        description=(
            f"{' → '.join(name_of(step) for step in workflow.steps)}, {flow.runs:,} recorded runs: {words}. "
            f"One call would save {saved} and the {format_duration(flow.saved_ns)} between them "
            f"(median; 95 % interval {low} to {high})."
        ),
        data={
            "test": "Poisson test of matches against runs mixed within tenants, over all pairs",
            "runs": flow.runs,
            "links": [
                {
                    "step": link.step,
                    "path": pointer(*link.path),
                    "fromStep": link.from_step,
                    "side": link.side,
                    "fromPath": pointer(*link.from_path),
                    "runs": link.runs,
                    "matches": link.matches,
                    "expected": link.expected,
                    "pValue": link.p_value,
                    "pMixed": link.p_mixed,
                }
                for link in flow.links
            ],
            "inputs": [{"step": step, "path": pointer(*path)} for step, path in flow.inputs],
            "callsSaved": flow.calls_saved,
            "savedNs": flow.saved_ns,
            "savedInterval": list(flow.saved_interval),
            "rows": list(flow.rows),
        },
    )
