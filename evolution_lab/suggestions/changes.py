"""The concrete change that a signal asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evolution_lab.contracts import OperationSpec
from evolution_lab.records import EvidenceItem, IntentSignal
from evolution_lab.suggestions.causes import Cause
from evolution_lab.suggestions.error_changes import client_errors, server_errors
from evolution_lab.suggestions.identity import pointer
from evolution_lab.suggestions.spec_change import SpecChange, change_tags, scoped_operation
from evolution_lab.suggestions.wording import name_of


def change_for_signal(
    signal: IntentSignal, cause: Cause, *, spec: OperationSpec | None = None
) -> SpecChange | None:
    """Return the change a signal asks for, None for kinds that need more than telemetry.

    ``schema-mismatch`` and ``missing-operation`` are read from specs and recorded traffic, not
    from windows; they give no change here.
    """
    if signal.kind == "error-spike":
        if cause.version is not None:
            return _hold_version(signal, cause.version, cause)
        if signal.error_class == "client":
            return client_errors(signal, cause)
        return server_errors(signal, cause, spec)
    if signal.kind == "latency-regression":
        if cause.version is not None:
            return _hold_version(signal, cause.version, cause)
        return _latency(signal, cause)
    if signal.kind == "throughput-drop":
        return _throughput(signal, cause)
    return None


def _hold_version(signal: IntentSignal, version: str, cause: Cause) -> SpecChange:
    op = scoped_operation(signal, cause)
    return SpecChange(
        change_type="revision",
        category="error-handling" if signal.kind == "error-spike" else "performance",
        operation=op,
        path="/rollout/hold",
        ask={"hold-version": version},
        spec={"rollout": {"hold": version}},
        summary=f"Hold version {name_of(version)} of {name_of(op)} until it is understood.",
        reason=f"The change came with version {name_of(version)} and is not seen in the others.",
        actions=(
            "Route to the previous version while the cause is looked for.",
            "Compare the two versions' failures and times in the windows of the evidence.",
        ),
        tags=change_tags(signal, cause, "hold-version"),
    )


def coarse_ms(duration_ns: float) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50 … milliseconds that is not below a duration.

    Examples:
        >>> [coarse_ms(ns) for ns in (0, 1_000_000, 130_000_000, 510_000_000)]
        [1, 1, 200, 1000]
    """
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor * 1_000_000 >= duration_ns:
                return step * factor
        step *= 10


def _latency(signal: IntentSignal, cause: Cause) -> SpecChange:
    op = scoped_operation(signal, cause)
    timeout = None if cause.usual_p99_ns is None else coarse_ms(2 * cause.usual_p99_ns)
    if cause.dependency is not None:
        waited = " · ".join(filter(None, (cause.dependency.service, cause.dependency.key)))
        bound: dict[str, Any] = {"onTimeout": "fail-fast"}
        if timeout is not None:
            bound["timeoutMs"] = timeout
        return SpecChange(
            change_type="policy-update",
            category="performance",
            operation=op,
            path=pointer("policy", "dependencies", waited),
            ask={"bound-dependency": waited},
            spec={"policy": {"dependencies": {waited: bound}}},
            summary=f"Bound the time {name_of(op)} waits for {name_of(waited)}.",
            reason=f"It became slow when {name_of(waited)} did; a bound keeps that from spreading.",
            actions=(
                "Give the call a timeout below the caller's own deadline.",
                "Say what is answered without it: a cached value, less detail, or an error.",
                f"Ask the owner of {name_of(waited)} for a service level.",
            ),
            tags=change_tags(signal, cause, "timeout", "dependency"),
        )
    latency: dict[str, Any] = {"onTimeout": "fail-fast"}
    if cause.usual_p99_ns is not None:
        latency["p99Ms"] = coarse_ms(cause.usual_p99_ns)
        latency["timeoutMs"] = timeout
    return SpecChange(
        change_type="policy-update",
        category="performance",
        operation=op,
        path="/policy/latency",
        ask={"declare-latency": "timeout"},
        spec={"policy": {"latency": latency}},
        summary=f"Declare a timeout and a latency objective for {name_of(op)}.",
        reason="It became slower than callers are used to, and nothing says how slow is too slow.",
        actions=(
            "Promise the 99th percentile that 19 of 20 windows kept, rounded up; time out at twice it.",
            "Find what the slow calls have in common: payload, page size, tenant, version.",
        ),
        tags=change_tags(signal, cause, "timeout"),
    )


def _throughput(signal: IntentSignal, cause: Cause) -> SpecChange:
    op = scoped_operation(signal, cause)
    return SpecChange(
        change_type="revision",
        category="policy",
        operation=op,
        path="/lifecycle",
        ask={"confirm-lifecycle": ["restore-routing", "deprecate"]},
        spec={"lifecycle": {"state": "under-review", "decide": ["restore-routing", "deprecate"]}},
        summary=f"Confirm whether {name_of(op)} is being left: restore its routing, or deprecate it.",
        reason="Callers left. Either they cannot reach it, or they no longer need it.",
        actions=(
            "Check routing, feature flags and clients released shortly before the drop.",
            "If callers moved on, mark the operation deprecated and say what replaces it.",
        ),
        tags=change_tags(signal, cause, "lifecycle"),
    )


def leaning(change: SpecChange, departure: EvidenceItem) -> SpecChange:
    """Return a question about a lifecycle with what the callers who left say to it.

    Callers who are still seen elsewhere need the operation no more; callers who are not seen at all
    cannot reach it, or anything.

    Args:
        change: What a fall in throughput asks.
        departure: Who left (``traffic.departures``).
    """
    lean = departure.data.get("lean")
    if lean not in {"deprecate", "restore-routing"} or "lifecycle" not in change.spec:
        return change
    reason = (
        "Most of its callers are still there, with other calls: they do not need it any more."
        if lean == "deprecate"
        else "Most of its callers are gone altogether: look at what leads to it first."
    )
    lifecycle = {**change.spec["lifecycle"], "leaning": lean}
    return replace(change, reason=reason, spec={**change.spec, "lifecycle": lifecycle})
