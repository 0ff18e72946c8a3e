"""What bursts of errors ask for: a declared error, a retry, a circuit breaker, a clearer input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from evolution_lab.contracts import OperationSpec
from evolution_lab.records import IntentSignal
from evolution_lab.suggestions.causes import Cause
from evolution_lab.suggestions.identity import pointer
from evolution_lab.suggestions.spec_change import (
    SpecChange,
    change_tags,
    is_repeatable,
    scoped_operation,
)
from evolution_lab.suggestions.wording import name_of

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

_TRANSIENT_WORDS = re.compile(
    r"time.?out|timed.?out|unavailable|econn|connection|circuit", re.IGNORECASE
)
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


def server_errors(signal: IntentSignal, cause: Cause, spec: OperationSpec | None) -> SpecChange:
    """Return what failures of the operation itself ask for."""
    op, code = scoped_operation(signal, cause), cause.error_code
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
            tags=change_tags(signal, cause, "declare-error"),
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
            tags=change_tags(signal, cause, "retry"),
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
        tags=change_tags(signal, cause, "circuit-breaker"),
    )


def client_errors(signal: IntentSignal, cause: Cause) -> SpecChange:
    """Return what refused requests ask for: words for an input, a limit or an access rule."""
    op, code = scoped_operation(signal, cause), cause.error_code or "4xx"
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
            tags=change_tags(signal, cause, "client", "rate-limit"),
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
            tags=change_tags(signal, cause, "client", "access"),
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
        tags=change_tags(signal, cause, "client", "validation"),
    )
