"""Recorded calls as what a spec speaks of: input by place, answer, outcome, and whose call it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import polars as pl

from evolution_lab.records import OperationRef, TrafficSnapshot

Outcome = Literal["ok", "refused", "failed", "other"]

REFUSED: Final = frozenset({400, 413, 414, 422, 431})
"""Statuses that say the input cannot be taken as it is (RFC 9110 section 15.5, RFC 6585). Others of
4xx speak of the caller (401, 403, 429), of state (404, 409, 410) or of business (402)."""

_PLACES: Final = ("path", "query", "headers", "body")
_INPUT_WORDS: Final = re.compile(
    r"valid|required|missing|bad.?request|malformed|schema|too.?(long|large|many|big)",
    re.IGNORECASE,
)
_PARAMETER: Final = re.compile(r"\{([^{}]+)\}|:([A-Za-z_]\w*)|<(?:\w+:)?(\w+)>")
_MOST_PLACEHOLDER: Final = 40
_PLACEHOLDER: Final = re.compile(r"\[[a-z][a-z0-9 _-]*\]", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One recorded call.

    Attributes:
        id: Of its snapshot: the row behind a finding.
        operation: Service, key and version.
        input: What came in, in the form of ``OperationSpec.input_schema``: for HTTP
            ``{"path": …, "query": …, "body": …}``, else the input itself.
        http: Whether ``input`` has these places.
        answer: The body of a successful answer.
        status: HTTP status; None where it is not HTTP.
        error_code: What the answer names as its error; None without one.
        outcome: ``ok``, ``refused`` (the input was not accepted), ``failed`` (the operation broke), or
            ``other`` (a 4xx that does not speak of the input).
        tenant: Whose data; None where unknown.
        session: The session, else the trace; None where unknown.
        at: When it began, UTC.
        duration_ns: Nanoseconds; None where unknown.
        whole: Whether input and answer are complete, not cut when they were recorded.
        weight: How many calls it stands for.
    """

    id: str
    operation: OperationRef
    input: Any
    http: bool
    answer: Any
    status: int | None
    error_code: str | None
    outcome: Outcome
    tenant: str | None
    session: str | None
    at: datetime
    duration_ns: int | None
    whole: bool
    weight: float


def read_exchanges(
    snapshots: Iterable[TrafficSnapshot], samples: pl.DataFrame | pl.LazyFrame | None = None
) -> list[Exchange]:
    """Return recorded calls by time and id.

    Args:
        snapshots: Of any operations.
        samples: Landed telemetry (``schemas.SAMPLES``). Where a call has no tenant, session or version
            of its own, those of the sample of the same trace and operation are taken.

    Examples:
        >>> from datetime import UTC
        >>> snapshot = TrafficSnapshot(id="s1", operation=OperationRef("GET /carts/{id}"),
        ...     input={"path": "/carts/c-7", "query": {"full": "1"}, "headers": {}, "body": None},
        ...     output={"status": 404, "headers": {}, "body": {"error": {"code": "no_cart"}}},
        ...     success=True, timestamp=datetime(2026, 1, 1, tzinfo=UTC))
        >>> found = read_exchanges([snapshot])[0]
        >>> found.input, found.outcome, found.error_code
        ({'path': {'id': 'c-7'}, 'query': {'full': '1'}}, 'other', 'no_cart')
    """
    listed = list(snapshots)
    callers = _callers(samples, {s.trace_id for s in listed if s.trace_id}, listed)
    found = [
        _exchange(s, callers.get((s.trace_id, s.operation.key)) or callers.get((s.trace_id, "")))
        for s in listed
    ]
    return sorted(found, key=lambda each: (each.at, each.id))


def is_redacted(value: object) -> bool:
    """Say whether a text is what redaction leaves behind: it tells nothing of the value.

    Examples:
        >>> is_redacted("[email]"), is_redacted("[1, 2]")
        (True, False)
    """
    return (
        isinstance(value, str)
        and len(value) <= _MOST_PLACEHOLDER
        and _PLACEHOLDER.fullmatch(value) is not None
    )


def size_of(value: object) -> int:
    """Return the characters of a value as compact JSON; 0 of None, and of what is nested too deep."""
    try:
        return 0 if value is None else len(json.dumps(value, separators=(",", ":"), default=str))
    except RecursionError:
        return 0


_Caller = tuple[str | None, str | None, str | None]


def _callers(
    samples: pl.DataFrame | pl.LazyFrame | None, traces: set[str], listed: list[TrafficSnapshot]
) -> dict[tuple[str | None, str], _Caller]:
    if samples is None or not traces:
        return {}
    keys = {snapshot.operation.key for snapshot in listed}
    names = ["trace_id", "operation_key", "tenant_id", "session_id", "operation_version"]
    known = pl.any_horizontal(pl.col(*names[2:]).is_not_null())
    rows = (
        samples.lazy()
        .filter(pl.col("trace_id").is_not_null() & known)
        .select(*names, "row_id")
        .sort("trace_id", "operation_key", "row_id")
        .unique(["trace_id", "operation_key"], keep="first", maintain_order=True)
        .collect()
    )
    found: dict[tuple[str | None, str], _Caller] = {}
    for trace, key, tenant, session, version, _ in rows.iter_rows():
        if trace not in traces:
            continue
        if key in keys:
            found[trace, key] = (tenant, session, version)
        if tenant is not None and session is not None:  # Of the same request under another name.
            found.setdefault((trace, ""), (tenant, session, None))
    return found


def _exchange(snapshot: TrafficSnapshot, caller: _Caller | None) -> Exchange:
    tenant, session, version = caller or (None, None, None)
    op, http = snapshot.operation, _is_http(snapshot)
    status = snapshot.output.get("status") if http and isinstance(snapshot.output, dict) else None
    status = status if isinstance(status, int) and not isinstance(status, bool) else None
    answer = snapshot.output.get("body") if status is not None else snapshot.output
    code = _error_code(snapshot, answer if status is not None and status >= 400 else None)
    outcome = _outcome(snapshot, status, code)
    return Exchange(
        id=snapshot.id,
        operation=OperationRef(op.key, op.service, op.version or version),
        input=_places(snapshot) if http else snapshot.input,
        http=http,
        answer=answer if outcome == "ok" else None,
        status=status,
        error_code=code,
        outcome=outcome,
        tenant=snapshot.tenant_id or tenant,
        session=snapshot.session_id or session or snapshot.trace_id,
        at=snapshot.timestamp,
        duration_ns=None if snapshot.duration_ms is None else round(snapshot.duration_ms * 1e6),
        whole=not snapshot.metadata.get("truncated"),
        weight=1.0 / snapshot.sample_rate,
    )


def _is_http(snapshot: TrafficSnapshot) -> bool:
    given = snapshot.input
    return (
        isinstance(given, dict)
        and isinstance(given.get("path"), str)
        and isinstance(given.get("query"), dict)
    )


def _places(snapshot: TrafficSnapshot) -> dict[str, Any]:
    given = snapshot.input
    places: dict[str, Any] = {}
    named = dict(_path_parameters(snapshot.operation.key, given["path"]))
    if named:
        places["path"] = named
    if given["query"]:
        places["query"] = dict(given["query"])
    if given.get("body") is not None:
        places["body"] = given["body"]
    return places


def _path_parameters(key: str, path: str) -> Iterator[tuple[str, str]]:
    """Yield parameters by aligning template and path at their ends: a base path may precede."""
    template = key.partition(" ")[2] or key
    wanted, got = template.strip("/").split("/"), path.strip("/").split("/")
    for own, part in zip(reversed(wanted), reversed(got), strict=False):
        match = _PARAMETER.fullmatch(own)
        if match is not None:
            yield next(name for name in match.groups() if name), part


def _error_code(snapshot: TrafficSnapshot, body: object) -> str | None:
    if snapshot.error is not None:
        return snapshot.error.code or snapshot.error.name
    if not isinstance(body, Mapping):
        return None
    inner = body.get("error")
    for holder in (inner, body):
        code = holder.get("code") if isinstance(holder, Mapping) else None
        if isinstance(code, str) and code:
            return code[:120]
    return inner[:120] if isinstance(inner, str) and re.fullmatch(r"[\w.-]+", inner) else None


def _outcome(snapshot: TrafficSnapshot, status: int | None, code: str | None) -> Outcome:
    if status is not None:
        if status in REFUSED:
            return "refused"
        if 400 <= status < 500:
            return "other"
        return "failed" if status >= 500 else "ok"
    if snapshot.error is None and snapshot.success:
        return "ok"
    return "refused" if code is not None and _INPUT_WORDS.search(code) else "failed"
