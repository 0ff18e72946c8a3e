"""Targets that judge and write: comparator, sanitiser, generated code, overlays, servers, stored JSON."""

from __future__ import annotations

import copy
import http.client
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from fuzz_corpus import OPENAPI, PAYLOAD, otlp, span
from fuzz_engine import Mutator, Target

from evolution_lab.errors import EvolutionLabError
from evolution_lab.export.csv_tables import csv_text
from evolution_lab.golden import GoldenCase, GoldenStep, GoldenSuite
from evolution_lab.golden.comparison import compare
from evolution_lab.golden.emitting import EmitSettings, emit
from evolution_lab.golden.matchers import bind, literal, named, of_type, ref, text
from evolution_lab.lab import Lab
from evolution_lab.records import IntentSignal, SpecSuggestion, from_json, to_json
from evolution_lab.redaction import LabKey
from evolution_lab.redaction.payloads import PayloadSanitiser
from evolution_lab.review import ReviewServer
from evolution_lab.suggestions.overlays import apply_overlay, make_overlay
from evolution_lab.telemetry.otlp_receiver import OtlpReceiver


def _comparison(m: Mutator) -> tuple[Any, Any]:
    expected: dict[str, Any] = {
        **literal(PAYLOAD["body"]),  # type: ignore[dict-item]
        "id": bind("id", named("uuid")),
        "rows": [of_type("object"), of_type("object")],
        "url": text(["/orders/", ref("id", named("uuid"))]),
    }
    if m.choice((True, False)):
        expected = literal(m.tree(PAYLOAD["body"]))  # type: ignore[assignment]
    return m.tree(PAYLOAD["body"]), expected


def _compares(given: tuple[Any, Any]) -> bool:
    actual, expected = given
    try:
        for difference in compare(actual, expected):
            str(difference)
        # A value fits what is made of it as it stands.
        assert compare(actual, literal(actual)) == []
    except EvolutionLabError:
        return True
    return False


@cache
def _sanitiser() -> PayloadSanitiser:
    return PayloadSanitiser(LabKey(b"k" * 32))


def _sanitises(payload: Any) -> bool:
    if not isinstance(payload, dict):
        return True
    try:
        cleaned = _sanitiser().sanitised(payload).payload
    except EvolutionLabError:
        return True
    shown = json.dumps(cleaned)
    if json.dumps(payload).count("ann@example.com") and "ann@example.com" in shown:
        raise AssertionError("an address is left")
    return False


def _suite(m: Mutator) -> tuple[Any, str]:
    step: Any = {
        "input": literal({"body": m.tree(PAYLOAD["body"]), "query": {"page": 1}}),
        "output": literal({"status": 200, "body": m.tree(PAYLOAD["body"])}),
    }
    name = m.data(b"POST /orders").decode("utf-8", "replace")
    return (name, step), m.choice(("pytest", "vitest", "jest"))


def _emits(given: tuple[Any, str]) -> bool:
    (name, step), framework = given
    made = GoldenSuite(
        operation=name,
        cases=(
            GoldenCase(
                id="0a", name=name, outcome="ok",
                steps=(GoldenStep(operation=name, input=step["input"], output=step["output"]),),
            ),
        ),
    )  # fmt: skip
    suffix = "py" if framework == "pytest" else "ts"
    settings = EmitSettings(framework=framework, runner_import="runner", standalone=True)
    try:
        written = emit(made, Path(f"test_x.{suffix}"), settings)
    except EvolutionLabError:
        return True
    written.code.encode()
    if framework == "pytest":
        compile(written.code, "x", "exec")
    elif any(each in written.code for each in ("\u2028", "\u2029", "\x00")):
        raise AssertionError("a character that ends a line or a text of TypeScript")
    return False


def _overlay(m: Mutator) -> tuple[Any, Any]:
    return OPENAPI, m.tree(OPENAPI)


def _overlays(given: tuple[Any, Any]) -> bool:
    before, after = given
    if not isinstance(after, dict):
        return True
    try:
        overlay = make_overlay(before, after, title="x")
        applied = apply_overlay(before, overlay)
    except EvolutionLabError:
        return True
    if json.dumps(applied, sort_keys=True) != json.dumps(after, sort_keys=True):
        raise AssertionError("the overlay does not make of it what it says")
    return False


def _applied(m: Mutator) -> Any:
    after = copy.deepcopy(OPENAPI)
    after["paths"]["/orders/{id}"]["get"]["deprecated"] = True
    return m.tree(make_overlay(OPENAPI, after, title="x"))


def _applies(overlay: Any) -> bool:
    if not isinstance(overlay, dict):
        return True
    try:
        apply_overlay(OPENAPI, overlay)
    except EvolutionLabError:
        return True
    return False


def _cells(m: Mutator) -> list[str]:
    return [m.data(b"=1+1,+x,-y,@z\t").decode("utf-8", "replace") for _ in range(3)]


def _spreadsheet(cells: list[str]) -> bool:
    import csv
    import io

    written = csv_text(["a", "b", "c"], [dict(zip("abc", cells, strict=True))])
    rows = list(csv.reader(io.StringIO(written, newline="")))
    if len(rows) != 2 or len(rows[1]) != 3:
        raise AssertionError("a cell breaks out of its place")
    if any(cell[:1] in {"=", "+", "-", "@", "\t", "\r"} for cell in rows[1]):
        raise AssertionError("a cell that a spreadsheet takes for a formula")
    return False


class _Posts:
    """Posts to a server on loopback, over one connection that is renewed when it is closed."""

    def __init__(self, host: str, port: int, path: str, headers: dict[str, str]) -> None:
        self.host, self.port, self.path, self.headers = host, port, path, headers
        self.connection = http.client.HTTPConnection(host, port, timeout=10)

    def __call__(self, body: bytes, **headers: str) -> int:
        try:
            self.connection.request("POST", self.path, body, {**self.headers, **headers})
            answer = self.connection.getresponse()
            answer.read()
        except (http.client.HTTPException, ConnectionError):
            self.connection.close()
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
            self.connection.request("POST", self.path, body, {**self.headers, **headers})
            answer = self.connection.getresponse()
            answer.read()
        if answer.status >= 500 and answer.status != 503:
            raise AssertionError(f"the server answers {answer.status}")
        return answer.status


def _review_server() -> Target:
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    started: list[tuple[ReviewServer, _Posts]] = []

    def posts() -> _Posts:
        if not started:
            server = ReviewServer(Lab(folder).review_board(reviewer="ada")).start()
            host, port = server.url.split("/")[2].split(":")
            headers = {"x-review-token": server.token, "content-type": "application/json"}
            started.append((server, _Posts(host, int(port), "/api", headers)))
        return started[0][1]

    def draw(m: Mutator) -> bytes:
        kind = m.choice(("list", "detail", "decide"))
        message = {"kind": kind, "id": "x" * 16, "decision": "approve", "revision": 1, "notes": "n"}
        return m.document(message)

    return Target(
        "review server",
        draw,
        lambda body: posts()(body) != 200,
        0.5,
        close=lambda: [server.close() for server, _ in started] and None,
    )


def _receiver() -> Target:
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    started: list[tuple[OtlpReceiver, _Posts]] = []

    def posts() -> _Posts:
        if not started:
            receiver = OtlpReceiver(folder, port=0)
            receiver.start()
            host, port = receiver.address.removeprefix("http://").split(":")
            posts = _Posts(host, int(port), "/v1/traces", {})
            started.append((receiver, posts))
        receiver = started[0][0]
        if receiver.spool.waiting_bytes > 8 << 20:
            receiver.spool.landed(receiver.spool.seal())
        return started[0][1]

    def draw(m: Mutator) -> tuple[bytes, dict[str, str]]:
        body = m.document(otlp(span(1)))
        headers = {"Content-Type": m.choice(("application/json", "application/x-protobuf"))}
        if m.choice((False, False, True)):
            headers["Content-Encoding"] = m.choice(("gzip", "br", "identity"))
        return body, headers

    return Target(
        "OTLP receiver",
        draw,
        lambda given: posts()(given[0], **given[1]) != 200,
        0.5,
        close=lambda: [receiver.stop() for receiver, _ in started] and None,
    )


@cache
def _stored() -> tuple[tuple[type, Any], ...]:
    from evolution_lab.datasets import sample_path

    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), window="30s")
        lab.land(sample_path() / "spans.jsonl.gz")
        suggestion, signal = lab.suggest()[0], lab.detect().signals[0]
    return (
        (SpecSuggestion, json.loads(to_json(suggestion))),
        (IntentSignal, json.loads(to_json(signal))),
    )


def _stored_json(m: Mutator) -> tuple[type, bytes]:
    kind, document = m.choice(_stored())
    return kind, m.document(document)


def _reads_stored(given: tuple[type, bytes]) -> bool:
    kind, data = given
    try:
        record = from_json(kind, data)
    except ValueError:  # Whoever reads a file says which one is damaged.
        return True
    to_json(record)
    return False


def writing_targets() -> list[Target]:
    """Return the targets of this module."""
    sanitised: Callable[[Mutator], Any] = lambda m: m.tree(PAYLOAD)  # noqa: E731
    return [
        Target("comparator", _comparison, _compares, 16),
        Target("sanitiser", sanitised, _sanitises, 4),
        Target("generated code", _suite, _emits, 1),
        Target("overlay writer", _overlay, _overlays, 1),
        Target("overlay of others", _applied, _applies, 1),
        Target("CSV writer", _cells, _spreadsheet, 8),
        Target("stored JSON", _stored_json, _reads_stored, 8),
        _review_server(),
        _receiver(),
    ]
