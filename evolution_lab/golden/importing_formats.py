"""HAR, VCR cassettes, Keploy test cases and OTLP spans as HTTP calls."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from evolution_lab.golden.http_snapshots import (
    HttpCall,
    UnrecordableError,
    decoded_base64,
    split_target,
)
from evolution_lab.golden.importing_texts import member, pairs

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TRACE: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_SERVER: Final = frozenset({2, "2", "SPAN_KIND_SERVER"})


@dataclass(frozen=True, kw_only=True)
class ImportedCall:
    """One call of a recording.

    Attributes:
        call: What was on the wire.
        timestamp: When it began; None where the recording does not say.
        duration_ms: How long it took; None where it does not say.
        route: The operation's route template, where it says that.
        metadata: What else it says.
    """

    call: HttpCall
    timestamp: datetime | None = None
    duration_ms: float | None = None
    route: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def har_calls(document: Any) -> Iterator[ImportedCall | UnrecordableError]:
    """Yield the calls of a HAR 1.2 archive (https://w3c.github.io/web-performance/specs/HAR/)."""
    for entry in _items(member(document, "log", "entries")):
        yield _guarded(_har_call, entry)


def vcr_calls(document: Any) -> Iterator[ImportedCall | UnrecordableError]:
    """Yield the calls of a cassette of VCR.py (or vcr, betamax), YAML or JSON."""
    interactions = member(document, "interactions") or member(document, "http_interactions")
    for interaction in _items(interactions):
        yield _guarded(_vcr_call, interaction)


def keploy_calls(document: Any) -> Iterator[ImportedCall | UnrecordableError]:
    """Yield the call of a Keploy test case; mocks and other kinds give none."""
    if member(document, "kind") == "Http" and member(document, "spec", "req"):
        yield _guarded(_keploy_call, document)


def otlp_calls(document: Any) -> Iterator[ImportedCall | UnrecordableError]:
    """Yield the server spans of OTLP JSON that carry a status and an answer's body.

    No semantic convention names bodies; ``http.request.body`` and ``http.response.body`` are read, and
    the same with ``.content`` or ``.text`` behind.
    """
    for resource in _items(member(document, "resourceSpans")):
        for scope in _items(member(resource, "scopeSpans")):
            for span in _items(member(scope, "spans")):
                said = _attributes(member(span, "attributes"))
                if member(span, "kind") in _SERVER and _body_of(said, "response") is not None:
                    yield _guarded(_otlp_call, (span, said))


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _milliseconds(value: Any) -> float | None:
    """Return a duration; None where it is none."""
    duration = float(value or 0)
    return max(duration, 0.0) if math.isfinite(duration) else None


def _guarded(read: Any, entry: Any) -> ImportedCall | UnrecordableError:
    try:
        found: ImportedCall = read(entry)
    except UnrecordableError as error:
        return error
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        return UnrecordableError("unreadable", f"a call cannot be read: {type(error).__name__}.")
    return found


def _har_call(entry: dict[str, Any]) -> ImportedCall:
    request, response = entry["request"], entry["response"]
    path, query = split_target(request["url"])
    content = member(response, "content") or {}
    got = _plain_bytes(content.get("text"), content.get("encoding"))
    sent = _plain_bytes(
        member(request, "postData", "text"), member(request, "postData", "encoding")
    )
    asked, answered = pairs(request.get("headers")), pairs(response.get("headers"))
    return ImportedCall(
        call=HttpCall(
            method=request["method"].upper(),
            path=path,
            query=query,
            request_headers=_unpacked(asked),
            request_body=sent,
            status=_status(response["status"]),
            response_headers=_unpacked(answered),
            response_body=got,
        ),
        timestamp=_time(entry.get("startedDateTime")),
        duration_ms=_milliseconds(entry.get("time")),
        metadata=_trace((*answered, *asked)),
    )


def _trace(headers: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the trace that the server, or else the client, says the call belongs to.

    ``traceresponse`` and ``traceparent`` have one form (W3C Trace Context).
    """
    said = {name.lower(): text for name, text in headers}
    for name in ("traceresponse", "traceparent"):
        match = _TRACE.fullmatch(said.get(name, "").strip().lower())
        if match is not None and match[1].strip("0"):
            return {"traceId": match[1], "spanId": match[2]}
    return {}


def _vcr_call(interaction: dict[str, Any]) -> ImportedCall:
    request, response = interaction["request"], interaction["response"]
    path, query = split_target(request.get("uri") or request["url"])
    status = response["status"]
    got = pairs(response.get("headers"))
    body, packed = _vcr_body(response)
    headers = got if packed else _unpacked(got)
    return ImportedCall(
        call=HttpCall(
            method=request["method"].upper(),
            path=path,
            query=query,
            request_headers=pairs(request.get("headers")),
            request_body=_vcr_body(request)[0],
            status=_status(status["code"] if isinstance(status, dict) else status),
            response_headers=headers,
            response_body=body,
        ),
        timestamp=_time(interaction.get("recorded_at")) or _dated(got),
    )


def _vcr_body(message: dict[str, Any]) -> tuple[bytes, bool]:
    """Return a body, and whether it is as it was on the wire."""
    if "parsed_body" in message and message["parsed_body"] is not None:
        return json.dumps(message["parsed_body"]).encode(), False
    body = message.get("body")
    if isinstance(body, dict):
        binary = body.get("base64_string")
        body = (binary and {"base64_string": binary}) or body.get("string")
    if isinstance(body, dict):
        return decoded_base64(str(body.get("base64_string", ""))), True
    if body is None or body == "null":
        return b"", False
    return str(body).encode("utf-8", "surrogatepass"), False


def _keploy_call(document: dict[str, Any]) -> ImportedCall:
    request, response = document["spec"]["req"], document["spec"]["resp"]
    path, query = split_target(request["url"])
    began, ended = _time(request.get("timestamp")), _time(response.get("timestamp"))
    took = (ended - began) / timedelta(milliseconds=1) if began and ended else None
    noise = member(document, "spec", "assertions", "noise")
    return ImportedCall(
        call=HttpCall(
            method=request["method"].upper(),
            path=path,
            query=query,
            request_headers=pairs(request.get("header")),
            request_body=_plain_bytes(request.get("body"), None),
            status=_status(response["status_code"]),
            response_headers=_unpacked(pairs(response.get("header"))),
            response_body=_plain_bytes(response.get("body"), None),
        ),
        timestamp=began,
        duration_ms=None if took is None else _milliseconds(took),
        metadata={"noise": sorted(noise)} if isinstance(noise, dict) and noise else {},
    )


def _otlp_call(found: tuple[dict[str, Any], dict[str, Any]]) -> ImportedCall:
    span, said = found
    target = str(said.get("url.full") or said.get("http.target") or said.get("url.path") or "/")
    path, query = split_target(target)
    began, ended = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    route = said.get("http.route")
    metadata = {"traceId": span.get("traceId"), "spanId": span.get("spanId")}
    return ImportedCall(
        call=HttpCall(
            method=str(said.get("http.request.method") or said["http.method"]).upper(),
            path=path,
            query=str(said.get("url.query") or query),
            request_headers=_span_headers(said, "request"),
            request_body=_plain_bytes(_body_of(said, "request"), None),
            status=_status(said.get("http.response.status_code", said.get("http.status_code"))),
            response_headers=_span_headers(said, "response"),
            response_body=_plain_bytes(_body_of(said, "response"), None),
        ),
        timestamp=_EPOCH + timedelta(microseconds=began // 1_000),
        duration_ms=max(ended - began, 0) / 1_000_000,
        route=str(route) if route else None,
        metadata={name: value for name, value in metadata.items() if isinstance(value, str)},
    )


def _attributes(attributes: Any) -> dict[str, Any]:
    found = {}
    for each in _items(attributes):
        text = _first(member(each, "value"))
        if isinstance(text, dict):  # An array.
            text = ", ".join(str(_first(value)) for value in _items(text.get("values")))
        found[str(member(each, "key"))] = text
    return found


def _first(value: Any) -> Any:
    return next(iter(value.values()), None) if isinstance(value, dict) else None


def _body_of(said: dict[str, Any], side: str) -> Any:
    names = (f"http.{side}.body{end}" for end in ("", ".content", ".text"))
    return next((said[name] for name in names if said.get(name) is not None), None)


def _span_headers(said: dict[str, Any], side: str) -> list[tuple[str, str]]:
    start = f"http.{side}.header."
    return [
        (name.removeprefix(start).replace("_", "-"), str(value))
        for name, value in said.items()
        if name.startswith(start) and not name.endswith("content-encoding")
    ]


def _plain_bytes(text: Any, encoding: Any) -> bytes:
    if text is None:
        return b""
    if encoding == "base64":
        return decoded_base64(str(text))
    if not isinstance(text, str):
        return json.dumps(text).encode()
    return text.encode("utf-8", "surrogatepass")


def _unpacked(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out the encoding of bodies that the recording holds unpacked."""
    return [(name, value) for name, value in headers if name.lower() != "content-encoding"]


def _status(value: Any) -> int:
    status = int(value)
    if not 100 <= status <= 599:
        raise UnrecordableError("incomplete", f"status == {status}, must be from 100 to 599.")
    return status


def _dated(headers: list[tuple[str, str]]) -> datetime | None:
    for name, value in headers:
        if name.lower() == "date":
            try:
                moment = parsedate_to_datetime(value)
            except ValueError:
                return None
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    return None


def _time(text: Any) -> datetime | None:
    """Read an ISO 8601 time; nanoseconds and their like are cut."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
