"""Signals, workflows and windows that the tests of this folder start from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from evolution_lab.records import IntentSignal, OperationRef, Workflow
from evolution_lab.schemas import WINDOWS, polars_schema

START = datetime(2026, 3, 2, 10, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


@pytest.fixture
def start() -> datetime:
    return START


@pytest.fixture
def orders() -> OperationRef:
    return OperationRef("POST /orders", service="shop")


@pytest.fixture
def stock() -> OperationRef:
    return OperationRef("GET /stock/{sku}", service="warehouse")


@pytest.fixture
def signal(orders: OperationRef) -> Callable[..., IntentSignal]:
    """Make an error spike of POST /orders, with changes."""

    def make(**changes: Any) -> IntentSignal:
        values: dict[str, Any] = {
            "id": "signal-1",
            "kind": "error-spike",
            "severity": "high",
            "operation": orders,
            "window_start": START,
            "window_end": START + 2 * QUARTER,
            "detected_at": START + QUARTER,
            "state": "open",
            "observed": 0.12,
            "baseline": 0.004,
            "effect": 0.116,
            "unit": "fraction",
            "p_value": 1e-9,
            "sample_size": 1240,
            "error_class": "server",
            "detector": "error-spike",
        }
        if changes.get("kind") == "latency-regression":
            values |= {"unit": "ns", "observed": 9e8, "baseline": 1.2e8, "effect": 7.5}
            values |= {"error_class": None}
        if changes.get("kind") == "throughput-drop":
            values |= {"unit": "calls", "observed": 0.0, "baseline": 120.0, "effect": 0.0}
            values |= {"error_class": None}
        return IntentSignal(**(values | changes))

    return make


@pytest.fixture
def workflow(orders: OperationRef, stock: OperationRef) -> Callable[..., Workflow]:
    """Make a workflow of three calls, with changes."""

    def make(**changes: Any) -> Workflow:
        values: dict[str, Any] = {
            "id": "workflow-1",
            "basis": "session",
            "steps": (stock, OperationRef("POST /cart", service="shop"), orders),
            "support": 300,
            "sequences": 900,
            "expected": 12.0,
            "lift": 25.0,
            "p_value": 1e-4,
        }
        return Workflow(**(values | changes))

    return make


@pytest.fixture
def window_rows() -> Callable[..., pl.DataFrame]:
    """Make windows of one operation, the first starting ``first`` quarters from START."""

    def make(operation: OperationRef, *rows: dict[str, Any], first: int = 0) -> pl.DataFrame:
        made = []
        for number, row in enumerate(rows, start=first):
            values: dict[str, Any] = {
                "service": operation.service,
                "operation_key": operation.key,
                "operation_version": operation.version,
                "op_id": operation.op_id,
                "window_start": START + number * QUARTER,
                "window_end": START + (number + 1) * QUARTER,
                "calls": 100,
                "outcomes": 100,
                "errors": 0,
                "client_errors": 0,
                "mean_ns": 1e7,
                "p50_ns": 1e7,
                "p95_ns": 2e7,
                "p99_ns": 4e7,
                "max_ns": 50_000_000,
                "top_errors": [],
                "closed": True,
                "final": True,
                "revision": 0,
            } | row
            values["calls_adjusted"] = float(values["calls"])
            counted = values["errors"] is not None and values["outcomes"]
            values["error_rate"] = values["errors"] / values["outcomes"] if counted else None
            made.append(values)
        return pl.DataFrame(made, schema=polars_schema(WINDOWS))

    return make
