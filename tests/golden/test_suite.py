"""The suite's records: ids by content, JSON there and back, a digest that tells suites apart."""

from __future__ import annotations

import dataclasses

from evolution_lab.golden.matchers import named
from evolution_lab.golden.suite import (
    ExpectedError,
    GoldenCase,
    GoldenStep,
    GoldenSuite,
    Relaxation,
    content_id,
)
from evolution_lab.records.json_form import from_json, to_json

CASE = GoldenCase(
    id=content_id("pay", {"amount": 1}, "error-declined"),
    name="declined",
    outcome="error-declined",
    steps=(
        GoldenStep(operation="make", input={}, output={"$$match": 1, "id": named("uuid")}),
        GoldenStep(
            operation="pay",
            input={"amount": 1},
            error=ExpectedError(name="CardError", code="declined", message="no"),
        ),
    ),
    relaxations=(
        Relaxation(step=0, path="/id", matcher="uuid", evidence="shape", detail="looks like one"),
    ),
)
SUITE = GoldenSuite(operation="pay", cases=(CASE,), snapshots=2, lost={"status=500": 1})


def test_json_there_and_back():
    assert from_json(GoldenSuite, to_json(SUITE)) == SUITE


def test_digest_follows_what_is_expected():
    steps = (dataclasses.replace(CASE.steps[0], output={"id": 1}), CASE.steps[1])
    other = dataclasses.replace(SUITE, cases=(dataclasses.replace(CASE, steps=steps),))
    assert other.digest != SUITE.digest
    assert dataclasses.replace(SUITE, lost={}).digest == SUITE.digest


def test_id_does_not_depend_on_the_order_of_properties():
    assert content_id("a", {"x": 1, "y": 2}, "ok") == content_id("a", {"y": 2, "x": 1}, "ok")
    assert content_id("a", {"x": 1}, "ok") != content_id("a", {"x": 1}, "status-404")


def test_table_has_a_row_a_case():
    assert SUITE.to_dicts()[0]["case"] == f"{CASE.id}-declined"
    assert CASE.id in str(SUITE)
