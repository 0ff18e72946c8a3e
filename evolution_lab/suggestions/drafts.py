"""Drafts of operations that clients miss: one call for what they do in several."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

from evolution_lab.records import Workflow
from evolution_lab.suggestions.identity import canonical_json, pointer
from evolution_lab.suggestions.spec_change import SAFE_METHODS, SpecChange
from evolution_lab.suggestions.traffic.composites import CompositeParts
from evolution_lab.suggestions.wording import name_of


def composite_operation(workflow: Workflow, parts: CompositeParts | None = None) -> SpecChange:
    """Return a draft of one operation that does what clients do in several calls.

    Args:
        workflow: The calls.
        parts: What recorded calls say of the values that flow between them; without, inputs and
            outputs are left open: telemetry does not have them.
    """
    steps = [{"service": s.service, "key": s.key, "version": s.version} for s in workflow.steps]
    kind: Literal["command", "query"] = (
        "query"
        if all(s.key.split(" ", 1)[0].upper() in SAFE_METHODS for s in workflow.steps)
        else "command"
    )
    digest = hashlib.blake2b(canonical_json(steps), digest_size=4).hexdigest()
    key = f"workflow.{_slug(workflow.steps[0].key)}-to-{_slug(workflow.steps[-1].key)}.{digest}"
    chain = " → ".join(name_of(step) for step in workflow.steps)
    draft: dict[str, Any] = {
        "key": key,
        "version": "0.1.0",
        "kind": kind,
        "goal": f"Do in one call what clients do in {len(steps)}.",
        "steps": steps,
        "inputSchema": {},
        "outputSchema": {},
        "errors": {},
        "policy": {},
    }
    if parts is not None:
        draft |= {
            "steps": [
                {**step, "given": [dict(each) for each in given]}
                for step, given in zip(steps, parts.given, strict=True)
            ],
            "inputSchema": dict(parts.input_schema),
            "outputSchema": dict(parts.output_schema),
            "errors": dict(parts.errors),
        }
    fill = (
        "Fill in the draft's input and output from the steps' own schemas."
        if parts is None
        else "Check the draft's input: it is what no step answers."
    )
    return SpecChange(
        change_type="new-spec",
        category="schema",
        operation=None,
        path=pointer("operations", key),
        ask={"compose": steps, "kind": kind},
        spec=draft,
        kind=kind,
        summary=f"Offer one operation for {chain}.",
        reason=f"Clients make these {len(steps)} calls in a row; one call would save the rest.",
        actions=(
            "Check with a client that the calls serve one purpose.",
            fill,
            "Offer it beside the steps, which stay as they are.",
        ),
        tags=("workflow", workflow.basis),
    )


def _slug(key: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", key)
    return "-".join(word.lower() for word in words)[:40].strip("-") or "operation"
