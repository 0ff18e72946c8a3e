"""How spans ended, and who called: kinds, statuses and codes against each other."""

from __future__ import annotations

from typing import Any

import pytest

from evolution_lab.config import EvolutionConfig
from evolution_lab.telemetry.otlp_columns import COLUMNS
from evolution_lab.telemetry.otlp_spans import Span, outcome, resource_of, span_row

CONFIG = EvolutionConfig()
OK, CLIENT_ERROR, FAILED = (True, False), (True, True), (False, False)


def row(resource: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    span = Span(**{"name": "op", "kind": "server", "start_ns": 0, "end_ns": 1, **fields})
    found = resource_of(resource or {}, CONFIG, service=None)
    return dict(zip(COLUMNS, span_row(span, found, CONFIG, line=1, line_hash=None), strict=True))


@pytest.mark.parametrize(
    ("kind", "status", "http", "grpc", "expected"),
    [
        ("server", 0, None, None, OK),
        ("server", 1, 200, None, OK),
        ("server", 2, 200, None, FAILED),
        ("server", 0, 404, None, CLIENT_ERROR),
        ("server", 2, 404, None, CLIENT_ERROR),
        ("consumer", 2, 429, None, CLIENT_ERROR),
        (None, 2, 401, None, CLIENT_ERROR),
        ("internal", 0, 404, None, CLIENT_ERROR),
        ("internal", 2, 404, None, FAILED),
        ("client", 0, 404, None, FAILED),
        ("producer", 0, 422, None, FAILED),
        ("server", 0, 500, None, FAILED),
        ("server", 0, 399, None, OK),
        ("server", 0, None, 0, OK),
        ("server", 0, None, 5, CLIENT_ERROR),
        ("client", 0, None, 5, FAILED),
        ("server", 0, None, 14, FAILED),
        ("server", 2, None, 5, FAILED),
    ],
)
def test_outcomes(kind, status, http, grpc, expected):
    assert outcome(kind, status, http, grpc) == expected


@pytest.mark.parametrize("code", [5, "5", "NOT_FOUND", "not_found"])
def test_grpc_codes_by_number_and_by_name(code: object):
    found = row(attributes={"rpc.method": "Get", "rpc.response.status_code": code})
    assert (found["status_code"], found["success"], found["error_code"]) == (5, True, str(code))


@pytest.mark.parametrize("code", [0, "0", "OK"])
def test_a_call_that_went_well_has_no_error_code(code: object):
    found = row(attributes={"rpc.grpc.status_code": code}, status=0)
    assert (found["success"], found["error_code"]) == (True, None)


def test_an_http_status_says_more_than_a_grpc_status():
    found = row(attributes={"http.response.status_code": 503, "rpc.grpc.status_code": 14})
    assert (found["status_code"], found["error_code"]) == (503, "503")


def test_who_called_is_found_on_the_span_then_on_the_resource():
    resource = {"tenant.id": "acme", "user.id": "u-1", "deployment.environment": "prod"}
    found = row(resource, attributes={"enduser.id": "u-2", "tenant.id": ""})
    assert (found["tenant_id"], found["actor_id"], found["environment"]) == ("acme", "u-2", "prod")


def test_variants_are_found_in_events_too():
    event = ("feature_flag.evaluation", {"feature_flag.result.variant": "b"})
    assert row(events=[("exception", {}), event])["variant_id"] == "b"
    assert row(attributes={"feature_flag.variant": "a"}, events=[event])["variant_id"] == "a"


@pytest.mark.parametrize(
    ("attributes", "label"),
    [
        ({"feature_flag.key": "try", "feature_flag.result.variant": "control"}, "try:control"),
        ({"feature_flag.key": "try", "feature_flag.variant": "variant"}, "try:variant"),
        ({"feature_flag.key": "try", "feature_flag.variant": "try@1:variant"}, "try@1:variant"),
        (
            {
                "feature_flag.key": "try",
                "feature_flag.result.variant": "control",
                "feature_flag.result.reason": "split",
            },
            "try:control",
        ),
        (
            {
                "feature_flag.key": "try",
                "feature_flag.result.variant": "control",
                "feature_flag.result.reason": "DEFAULT",
            },
            "try:control:default",
        ),
        ({"feature_flag.key": "try"}, None),
    ],
)
def test_a_variant_is_of_a_flag_and_says_where_no_split_chose_it(attributes, label):
    assert row(attributes=attributes)["variant_id"] == label
    assert row(events=[("feature_flag.evaluation", attributes)])["variant_id"] == label


def test_only_errors_carry_a_code_and_a_message():
    fine = row(status_message="all good", attributes={"error.type": "odd"})
    assert (fine["error_code"], fine["error_message"]) == (None, None)
    thrown = [("exception", {"exception.type": "KeyError", "exception.message": "'x'"})]
    failed = row(status=2, events=thrown)
    assert (failed["error_code"], failed["error_message"]) == ("KeyError", "'x'")


def test_long_messages_are_cut_before_a_value():
    message = "x " * 490 + "of jane.doe.with.a.long.name@example.org"
    found = row(status=2, status_message=message)["error_message"]
    assert len(found) <= 1_000
    assert "jane" not in found


@pytest.mark.parametrize(
    ("value", "size"), [("12", 12), (5 << 32, 5 << 32), ("x", None), (True, None), (None, None)]
)
def test_payload_sizes(value: object, size: int | None):
    assert row(attributes={"http.request.body.size": value})["payload_bytes"] == size


@pytest.mark.parametrize("value", [1 << 31, -(1 << 40), "x", [200], {"a": 1}, float("nan"), True])
def test_a_status_that_is_none_is_not_recorded(value: object):
    found = row(attributes={"http.response.status_code": value})
    assert (found["status_code"], found["success"]) == (None, True)


def test_a_duration_beyond_64_bits_is_refused():
    with pytest.raises(ValueError, match="64 bits"):
        row(start_ns=-(1 << 63), end_ns=(1 << 63) - 1)
