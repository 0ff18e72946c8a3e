"""The concrete change that a finding asks for: one function per kind of finding.

A change has two forms. ``spec`` is the changed part of the operation's document, a JSON Merge Patch
(RFC 7396) that can be applied. ``ask`` is the same without any number that was measured: it goes
into the suggestion's id, so that new numbers never make a new suggestion. Numbers in ``spec`` are
proposals on a coarse grid (1, 2, 5, 10 …).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from evolution_lab.contracts import OperationSpec
from evolution_lab.records import ChangeType, IntentSignal, OperationRef, Workflow
from evolution_lab.suggestions.causes import Cause
from evolution_lab.suggestions.identity import canonical_json, pointer
from evolution_lab.suggestions.wording import name_of

HintCategory = Literal["schema", "policy", "performance", "error-handling"]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "QUERY"})
REPEATABLE_METHODS: Final = SAFE_METHODS | {"PUT", "DELETE"}
"""Methods that RFC 9110 section 9.2.2 calls idempotent (TRACE is not an operation)."""

TRANSIENT_CODES: Final = frozenset(
    {
        "408",
        "502",
        "503",
        "504",
        "unavailable",
        "deadline_exceeded",
        "aborted",
        "resource_exhausted",
    }
    | {"4", "8", "10", "14"}
)
"""Codes after which the same call may succeed: HTTP gateways, and gRPC by name and number."""

_TRANSIENT_WORDS = re.compile(r"time.?out|timed.?out|unavailable|econn|connection|circuit", re.I)
_EXCEPTION = re.compile(r"(Error|Exception|Fault)$")
_STATUS = re.compile(r"^[1-5]\d\d$")

CLIENT_ERRORS: Final[Mapping[str, tuple[str, str]]] = {
    "400": ("schema", "the request is malformed or breaks a rule of the input"),
    "401": ("auth", "the caller's credentials are missing, expired or refused"),
    "403": ("auth", "the caller is known but not allowed to do this"),
    "404": ("schema", "what the request names does not exist"),
    "409": ("schema", "the request conflicts with the present state"),
    "410": ("schema", "what the request names is gone for good"),
    "413": ("schema", "the request is larger than is accepted"),
    "415": ("schema", "the media type of the request is not accepted"),
    "422": ("schema", "the request is well-formed but breaks a validation rule"),
    "429": ("rate", "the caller sends more requests than its limit allows"),
}
"""Client errors by status: what they concern, and when they are answered."""


@dataclass(frozen=True, kw_only=True)
class SpecChange:
    """A change and the words for it.

    Attributes:
        change_type: ``new-spec``, ``revision``, ``policy-update`` or ``schema-update``.
        category: Of the optimisation hint it gives.
        operation: Whose spec changes; None for a new operation.
        path: JSON Pointer to the changed member.
        ask: The canonical change, without measured numbers.
        spec: The changed part of the document, a JSON Merge Patch.
        kind: ``command`` or ``query`` of a new operation.
        summary: One sentence: what to change.
        reason: One sentence: why this change answers the finding.
        actions: What a person would do, step by step.
        tags: Short labels for filters.
    """

    change_type: ChangeType
    category: HintCategory
    operation: OperationRef | None
    path: str
    ask: Mapping[str, Any]
    spec: Mapping[str, Any]
    kind: Literal["command", "query"] | None = None
    summary: str
    reason: str
    actions: tuple[str, ...]
    tags: tuple[str, ...] = field(default=())


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
            return _client_errors(signal, cause)
        return _server_errors(signal, cause, spec)
    if signal.kind == "latency-regression":
        if cause.version is not None:
            return _hold_version(signal, cause.version, cause)
        return _latency(signal, cause)
    if signal.kind == "throughput-drop":
        return _throughput(signal, cause)
    return None


def _scoped(signal: IntentSignal, cause: Cause) -> OperationRef:
    op = signal.operation
    return OperationRef(op.key, service=op.service, version=op.version, tenant_id=cause.tenant_id)


def _tags(signal: IntentSignal, cause: Cause, *more: str) -> tuple[str, ...]:
    tags = [signal.kind, *more]
    if cause.tenant_id is not None:
        tags.append("one-tenant")
    return tuple(tags)


def is_transient(code: str) -> bool:
    """Say whether the same call may succeed after a failure with this code.

    Examples:
        >>> [is_transient(code) for code in ("503", "UpstreamTimeout", "OUT_OF_STOCK")]
        [True, True, False]
    """
    return code.lower() in TRANSIENT_CODES or _TRANSIENT_WORDS.search(code) is not None


def is_declarable(code: str) -> bool:
    """Say whether a failure's code says something callers could act on.

    A bare status or the name of an exception class does not: declaring ``500`` or
    ``NullPointerException`` would promise a defect.

    Examples:
        >>> [is_declarable(code) for code in ("CARD_DECLINED", "500", "NullPointerException")]
        [True, False, False]
    """
    return not (_STATUS.match(code) or code.isdigit() or _EXCEPTION.search(code))


def is_repeatable(operation: OperationRef, spec: OperationSpec | None) -> bool:
    """Say whether a call may be sent again: from the spec, else from the method in the key.

    Examples:
        >>> is_repeatable(OperationRef("GET /orders"), None)
        True
        >>> is_repeatable(OperationRef("POST /orders"), None)
        False
    """
    if spec is not None:
        return spec.repeatable
    return operation.key.split(" ", 1)[0].upper() in REPEATABLE_METHODS


def _server_errors(signal: IntentSignal, cause: Cause, spec: OperationSpec | None) -> SpecChange:
    op, code = _scoped(signal, cause), cause.error_code
    declared = spec is not None and code in spec.errors
    if code is not None and is_declarable(code) and not is_transient(code) and not declared:
        when = "see the failures behind this suggestion; the owner says what leads to it"
        return SpecChange(
            change_type="revision",
            category="error-handling",
            operation=op,
            path=pointer("errors", code),
            ask={"declare-error": code},
            spec={"errors": {code: {"when": when}}},
            summary=f"Declare error {name_of(code)} of {name_of(op)}.",
            reason="Callers can only handle a failure they are told to expect.",
            actions=(
                f"Say when {name_of(code)} is answered, and with which status.",
                "Tell callers what to do: repeat, correct the input, or give up.",
                "If it should not happen at all, fix it and reject this suggestion with that note.",
            ),
            tags=_tags(signal, cause, "declare-error"),
        )
    failures = [code] if code is not None else ["5xx"]
    shown = name_of(code) if code is not None else "server errors"
    if code is not None and is_transient(code) and is_repeatable(op, spec):
        return SpecChange(
            change_type="policy-update",
            category="error-handling",
            operation=op,
            path="/policy/retry",
            ask={"retry-on": failures},
            spec={"policy": {"retry": {"on": failures, "attempts": 2, "backoff": "jittered"}}},
            summary=f"Let callers of {name_of(op)} repeat a call that failed with {shown}.",
            reason=f"{shown} is transient and the operation may be repeated without harm.",
            actions=(
                "Repeat once, after a jittered wait, within the caller's own deadline.",
                "Bound repeats by a budget, so that an outage is not multiplied.",
            ),
            tags=_tags(signal, cause, "retry"),
        )
    return SpecChange(
        change_type="policy-update",
        category="error-handling",
        operation=op,
        path="/policy/circuitBreaker",
        ask={"circuit-breaker-on": failures},
        spec={"policy": {"circuitBreaker": {"on": failures, "fallback": "fail-fast"}}},
        summary=f"Stop calling {name_of(op)} while it fails with {shown}.",
        reason="The failures came as a burst, and repeating such a call would not be safe or useful.",
        actions=(
            "Open the circuit when the error rate passes the operation's guardrail boundary.",
            "Answer callers at once while it is open, with a declared error.",
            "Find what the failures share; the evidence names the windows they came in.",
        ),
        tags=_tags(signal, cause, "circuit-breaker"),
    )


def _client_errors(signal: IntentSignal, cause: Cause) -> SpecChange:
    op, code = _scoped(signal, cause), cause.error_code or "4xx"
    concerns, when = CLIENT_ERRORS.get(code, ("schema", "the request cannot be accepted as sent"))
    shown = name_of(code)
    error = {"http": int(code), "when": when} if _STATUS.match(code) else {"when": when}
    if concerns == "rate":
        limit = {"key": "user", "answer": {"http": 429, "header": "Retry-After"}}
        return SpecChange(
            change_type="policy-update",
            category="policy",
            operation=op,
            path="/policy/rateLimit",
            ask={"document-rate-limit": code},
            spec={"policy": {"rateLimit": limit}, "errors": {code: error}},
            summary=f"Document the rate limit of {name_of(op)} and answer {shown} with Retry-After.",
            reason="Callers run into a limit they are not told about.",
            actions=(
                "State the limit and whom it counts (user, organisation, all).",
                "Answer with Retry-After, and raise the limit if the traffic is wanted.",
            ),
            tags=_tags(signal, cause, "client", "rate-limit"),
        )
    if concerns == "auth":
        return SpecChange(
            change_type="policy-update",
            category="policy",
            operation=op,
            path=pointer("errors", code),
            ask={"document-access": code},
            spec={"errors": {code: error}},
            summary=f"Document who may call {name_of(op)} and when it answers {shown}.",
            reason="Many callers are refused at once: access changed, or credentials ran out.",
            actions=(
                "Check for a changed scope, an expired key or a rotated secret.",
                f"Declare {shown} with the credentials or the role that is needed.",
            ),
            tags=_tags(signal, cause, "client", "access"),
        )
    return SpecChange(
        change_type="schema-update",
        category="schema",
        operation=op,
        path=pointer("errors", code),
        ask={"document-or-relax-input": code},
        spec={"errors": {code: error}},
        summary=f"Document or relax the validation behind {shown} of {name_of(op)}.",
        reason="Callers send in good faith what the operation refuses: the spec and they disagree.",
        actions=(
            "Find what the refused requests have in common.",
            "If they are reasonable, relax the rule; if not, write it into the input schema.",
            f"Declare {shown} with the rule that was broken.",
        ),
        tags=_tags(signal, cause, "client", "validation"),
    )


def _hold_version(signal: IntentSignal, version: str, cause: Cause) -> SpecChange:
    op = _scoped(signal, cause)
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
        tags=_tags(signal, cause, "hold-version"),
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
    op = _scoped(signal, cause)
    promise = coarse_ms(2 * signal.baseline) if signal.baseline else None
    if cause.dependency is not None:
        waited = cause.dependency
        bound: dict[str, Any] = {"onTimeout": "fail-fast"}
        if promise is not None:
            bound["timeoutMs"] = promise
        return SpecChange(
            change_type="policy-update",
            category="performance",
            operation=op,
            path=pointer("policy", "dependencies", waited),
            ask={"bound-dependency": waited},
            spec={"policy": {"dependencies": {waited: bound}}},
            summary=f"Bound the time {name_of(op)} waits for {name_of(waited)}.",
            reason=f"It became slow with {name_of(waited)}, which it waits for without a bound.",
            actions=(
                "Give the call a timeout below the caller's own deadline.",
                "Say what is answered without it: a cached value, less detail, or an error.",
                f"Ask the owner of {name_of(waited)} for a service level.",
            ),
            tags=_tags(signal, cause, "timeout", "dependency"),
        )
    latency: dict[str, Any] = {"objective": "declared", "onTimeout": "fail-fast"}
    if promise is not None:
        latency["timeoutMs"] = promise
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
            "Promise what it kept before; the proposed timeout is twice that, on a coarse grid.",
            "Find what the slow calls have in common: payload, page size, tenant, version.",
        ),
        tags=_tags(signal, cause, "timeout"),
    )


def _throughput(signal: IntentSignal, cause: Cause) -> SpecChange:
    op = _scoped(signal, cause)
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
        tags=_tags(signal, cause, "lifecycle"),
    )


def change_for_workflow(workflow: Workflow) -> SpecChange:
    """Return a draft of one operation that does what clients do in several calls.

    Inputs and outputs are left open: which values flow from step to step is not in telemetry.
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
    draft = {
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
            "Fill in the draft's input and output from the steps' own schemas.",
            "Offer it beside the steps, which stay as they are.",
        ),
        tags=("workflow", workflow.basis),
    )


def _slug(key: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", key)
    return "-".join(word.lower() for word in words)[:40].strip("-") or "operation"
