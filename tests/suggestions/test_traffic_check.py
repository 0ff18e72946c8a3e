"""The demo's planted gaps: what its real traffic asked for is told by the changed document."""

import io
import json
import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
import zstandard

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.contracts.conformance import Conformance
from evolution_lab.datasets import sample_path
from evolution_lab.records import OperationRef, TrafficSnapshot
from evolution_lab.suggestions.document_change import change_document
from evolution_lab.suggestions.edits import DeclareError, DeclareField, Edit, Place, RequireField
from evolution_lab.suggestions.traffic_check import check_traffic

GAPS: dict[str, tuple[str, Edit]] = {
    "undocumented-field": (
        "GET /products/{sku}",
        DeclareField(
            place=Place(part="response", path=("restockedOn",)),
            schema={"type": "string", "format": "date"},
        ),
    ),
    "undocumented-error": (
        "POST /carts/{cartId}/items",
        DeclareError(code="sku_discontinued", status=409, when="the product is discontinued"),
    ),
    "missing-field": (
        "POST /invoices",
        RequireField(place=Place(part="body", path=("poNumber",))),
    ),
}


@pytest.fixture(scope="module")
def document() -> OpenApiDocument:
    return OpenApiDocument.load(sample_path() / "openapi.json")


@pytest.fixture(scope="module")
def calls(document: OpenApiDocument) -> dict[str, list[TrafficSnapshot]]:
    with (sample_path() / "traffic.har.zst").open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file)
        entries = json.load(io.TextIOWrapper(stream, "utf-8"))["log"]["entries"]
    found: dict[str, list[TrafficSnapshot]] = {}
    for route, _ in GAPS.values():
        method, path = document.operation(route).route.split(" ")
        pattern = re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path))
        found[route] = [
            snapshot(entry, route)
            for entry in entries
            if entry["request"]["method"] == method
            and pattern.fullmatch(urlsplit(entry["request"]["url"]).path)
        ]
    return found


def snapshot(entry: dict, route: str) -> TrafficSnapshot:
    sent, answer = entry["request"], entry["response"]
    url = urlsplit(sent["url"])
    body = sent.get("postData", {}).get("text")
    text = answer["content"].get("text")
    return TrafficSnapshot(
        id=entry["startedDateTime"],
        operation=OperationRef(route),
        input={
            "path": url.path,
            "query": dict(parse_qsl(url.query)),
            "body": json.loads(body) if body else None,
        },
        output={"status": answer["status"], "body": json.loads(text) if text else None},
        success=answer["status"] < 500,
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
    )


def asks(gap: str, call: TrafficSnapshot) -> bool:
    body = call.output["body"]
    if gap == "undocumented-field":
        return "restockedOn" in (body or {})
    if gap == "undocumented-error":
        return bool(call.output["status"] == 409 and "sku_discontinued" in json.dumps(body))
    return bool(call.output["status"] == 422 and "poNumber" not in call.input["body"])


@pytest.mark.parametrize("gap", GAPS)
def test_traffic_that_asked_is_told_afterwards_and_good_traffic_still_is(gap, document, calls):
    route, edit = GAPS[gap]
    asked = [call for call in calls[route] if asks(gap, call)]
    change = change_document(document, route, [edit], title="Close the gap.")
    check = check_traffic(document, OpenApiDocument(change.content), asked=asked)
    assert check.asked > 20
    assert (check.told_before, check.told_after) == (0, check.asked)
    # Before invoices were refused without poNumber they were taken without it: that was good then.
    good = [
        call
        for call in calls[route]
        if gap != "missing-field" or call.input["body"].get("poNumber")
    ]
    kept = check_traffic(document, OpenApiDocument(change.content), asked=(), good=good)
    assert kept.good > 100
    assert kept.answered


def test_what_violates_the_document_is_named(document, calls):
    conformance = Conformance(document)
    kinds = {
        (violation.kind, violation.place)
        for route, called in calls.items()
        for call in called
        for violation in conformance.response_violations(call, route)
    }
    assert ("undocumented-field", "/restockedOn") in kinds
    assert ("undocumented-status", "") in kinds
