"""A result of detection as a busy day gives it, with windows to match and one hostile name."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from evolution_lab.config import EvolutionConfig
from evolution_lab.export import Provenance
from evolution_lab.records import (
    Decision,
    DetectionResult,
    EvidenceItem,
    Incident,
    InsufficientEvidence,
    IntentSignal,
    OperationRef,
    SpecSuggestion,
    Workflow,
)
from evolution_lab.schemas import WINDOWS, check, polars_schema
from evolution_lab.suggestions import SpecGenerator

START = datetime(2026, 3, 2, tzinfo=UTC)
WINDOW = timedelta(minutes=15)
DAY = 96
HOSTILE = "<img src=x onerror=alert(1)>"
CHECKOUT = OperationRef("POST /checkout", service="shop", version="2.4.1")
PAYMENT = OperationRef("POST /v1/charges", service="payments")
STOCK = OperationRef("GET /stock/{sku}", service="warehouse")
LOGIN = OperationRef("POST /login", service="accounts", tenant_id="tenant_5f2c")
EXPORT = OperationRef("POST /reports/export", service="shop")
STRANGER = OperationRef(HOSTILE, service="</script><b>edge</b>")


@dataclass(frozen=True)
class Scene:
    """Everything a report is written from."""

    detection: DetectionResult
    windows: pl.DataFrame
    suggestions: tuple[SpecSuggestion, ...]
    provenance: Provenance


@dataclass(frozen=True)
class Fault:
    """What goes wrong with an operation, and in which of its windows."""

    operation: OperationRef
    first: int
    length: int
    errors: float = 0.004
    client_errors: float = 0.02
    slowdown: float = 1.0
    traffic: float = 1.0
    calls: int = 240
    p50_ms: float = 40.0


FAULTS = (
    Fault(PAYMENT, 132, 9, slowdown=6.5, p50_ms=85, calls=150),
    Fault(CHECKOUT, 133, 8, errors=0.17, calls=190, p50_ms=120),
    Fault(LOGIN, 88, 5, client_errors=0.31, calls=420, p50_ms=22),
    Fault(STOCK, 160, 12, slowdown=2.2, calls=900, p50_ms=9),
    Fault(EXPORT, 176, 16, traffic=0.0, calls=60, p50_ms=900),
    Fault(STRANGER, 60, 3, errors=0.5, calls=110, p50_ms=31),
)


def make_windows(*, days: int = 2, seed: int = 7) -> pl.DataFrame:
    """Return two days of windows with the faults in them, rows in a shuffled order."""
    draw = random.Random(seed)
    rows = [_window(fault, position, draw) for fault in FAULTS for position in range(days * DAY)]
    draw.shuffle(rows)
    return check(pl.DataFrame(rows, schema=polars_schema(WINDOWS)), WINDOWS)


def _window(fault: Fault, position: int, draw: random.Random) -> dict[str, Any]:
    on = fault.first <= position < fault.first + fault.length
    daily = 1 + 0.4 * math.sin(2 * math.pi * position / DAY)
    calls = round(fault.calls * daily * draw.uniform(0.9, 1.1) * (fault.traffic if on else 1))
    share, client_share = (fault.errors, fault.client_errors) if on else (0.004, 0.02)
    errors = sum(draw.random() < share for _ in range(calls))
    client_errors = sum(draw.random() < client_share for _ in range(calls))
    p50 = fault.p50_ms * 1e6 * draw.uniform(0.93, 1.07) * (fault.slowdown if on else 1)
    operation = fault.operation
    return {
        "service": operation.service,
        "operation_key": operation.key,
        "operation_version": operation.version,
        "op_id": operation.op_id,
        "window_start": START + position * WINDOW,
        "window_end": START + (position + 1) * WINDOW,
        "calls": calls,
        "calls_adjusted": float(calls),
        "outcomes": calls,
        "errors": errors,
        "client_errors": client_errors,
        "error_rate": errors / calls if calls else None,
        "mean_ns": p50 * 1.2 if calls else None,
        "p50_ns": p50 if calls else None,
        "p95_ns": p50 * draw.uniform(2.6, 3.2) if calls else None,
        "p99_ns": p50 * 4 if calls else None,
        "max_ns": round(p50 * 7) if calls else None,
        "top_errors": [],
        "closed": True,
        "final": True,
        "revision": 0,
    }


def make_signal(number: int, fault: Fault, **changes: Any) -> IntentSignal:
    """Return the signal that a fault deserves."""
    start = START + fault.first * WINDOW
    values: dict[str, Any] = {
        "id": f"{number:02d}c0ffee00{number:02d}",
        "kind": "error-spike",
        "severity": "high",
        "operation": fault.operation,
        "window_start": start,
        "window_end": start + fault.length * WINDOW,
        "detected_at": start + WINDOW,
        "state": "recovered",
        "observed": fault.errors,
        "baseline": 0.004,
        "effect": fault.errors - 0.004,
        "effect_interval": (fault.errors - 0.03, fault.errors + 0.03),
        "unit": "fraction",
        "p_value": 3.1e-14,
        "sample_size": fault.calls,
        "incident_id": f"{number:02d}c0ffee00{number:02d}",
        "error_class": "server",
        "detector": "error-spike",
    }
    values |= changes
    metric = values.pop("metric", "error-rate")
    low, high = values.pop("range", (None, None))
    values["evidence"] = (
        EvidenceItem(
            description=values.pop("said", "The error rate left its trailing baseline."),
            data={
                "metric": metric,
                "observed": values["observed"],
                "baseline": values["baseline"],
                "baseline_low": low,
                "baseline_high": high,
                "pValue": values["p_value"],
            },
        ),
        *values.get("evidence", ()),
    )
    return IntentSignal(**values)


def _signals() -> tuple[IntentSignal, ...]:
    payment, checkout, login, stock, export, stranger = FAULTS
    slow = {"kind": "latency-regression", "unit": "ns", "error_class": None}
    return (
        make_signal(
            1,
            stranger,
            range=(0.0, 0.016),
            said=f"The error rate of {HOSTILE} was 50 % over 45 min; the baseline is 0.4 %.",
            attribution={"errorCode": {"value": "<b>E_BOOM</b>", "carried": 0.97}},
        ),
        make_signal(
            2,
            login,
            severity="medium",
            error_class="client",
            metric="client-error-rate",
            observed=0.31,
            baseline=0.02,
            effect=0.29,
            effect_interval=(0.24, 0.34),
            range=(0.008, 0.034),
            said="The rate of client errors (4xx) was 31 % over 15 min (420 calls); the trailing "
            "baseline is 2 % (p = 2.2e-16).",
            attribution={
                "tenantId": {"value": "tenant_5f2c", "carried": 0.99, "pValue": 1e-12},
                "errorCode": {"value": "429", "carried": 0.98},
            },
            evidence=(
                EvidenceItem(description="99 % of the excess is in tenantId 'tenant_5f2c'."),
            ),
        ),
        make_signal(
            3,
            payment,
            **slow,
            metric="latency-tail",
            detector="latency-regression",
            observed=1.61e9,
            baseline=2.5e8,
            effect=6.44,
            effect_interval=(5.7, 7.2),
            said="The 95th percentile of latency was 1.61 s over 15 min (150 calls); the trailing "
            "baseline is 250 ms (p = 3.1e-14).",
        ),
        make_signal(
            4,
            checkout,
            incident_id="03c0ffee0003",
            range=(0.0, 0.014),
            said="The error rate was 17 % over 15 min (190 calls); the trailing baseline is 0.4 % "
            "(p = 3.1e-14).",
            attribution={
                "version": {"value": "2.4.1", "carried": 1.0, "pValue": 1e-9},
                "errorCode": {"value": "PAYMENT_TIMEOUT", "carried": 0.94},
            },
            evidence=(
                EvidenceItem(description="94 % of the excess is in errorCode 'PAYMENT_TIMEOUT'."),
            ),
        ),
        make_signal(
            5,
            stock,
            **slow,
            severity="low",
            metric="latency-median",
            detector="latency-regression",
            observed=1.98e7,
            baseline=9e6,
            effect=2.2,
            effect_interval=(2.0, 2.4),
            p_value=4e-7,
            said="The median latency was 19.8 ms over 15 min (900 calls); the trailing baseline is "
            "9 ms (p = 4e-07).",
        ),
        make_signal(
            6,
            export,
            kind="throughput-drop",
            unit="calls",
            error_class=None,
            state="open",
            metric="throughput",
            detector="throughput-drop",
            observed=0.0,
            baseline=58.0,
            effect=0.0,
            effect_interval=(0.0, 0.02),
            sample_size=0,
            range=(38.0, 78.0),
            said="Calls a window were 0 over 1 h (0 calls in all); the trailing baseline is 58 "
            "(p = 1e-11).",
        ),
    )


def _incidents(signals: tuple[IntentSignal, ...]) -> tuple[Incident, ...]:
    groups: dict[str, list[IntentSignal]] = {}
    for signal in signals:
        assert signal.incident_id is not None
        groups.setdefault(signal.incident_id, []).append(signal)
    return tuple(
        Incident(
            id=incident_id,
            window_start=members[0].window_start,
            window_end=max(s.window_end for s in members),
            detected_at=members[0].detected_at,
            state=members[-1].state,
            severity=members[0].severity,
            origin=members[0].operation,
            operations=tuple(s.operation for s in members),
            signal_ids=tuple(s.id for s in members),
            p_value=1.4e-13,
        )
        for incident_id, members in groups.items()
    )


def make_scene() -> Scene:
    """Return a day with five incidents, a workflow, thin traffic, and decisions taken."""
    signals = _signals()
    windows = make_windows()
    detection = DetectionResult(
        signals=signals,
        incidents=_incidents(signals),
        workflows=(
            Workflow(
                id="f10a",
                basis="session",
                steps=(STOCK, OperationRef("POST /cart/items", service="shop"), CHECKOUT),
                support=412,
                sequences=1690,
                expected=21.4,
                lift=19.3,
                p_value=0.0002,
                label="chain",
                median_gap_ns=2_400_000_000,
                error_rate=0.021,
                duration_p50_ns=6_100_000_000,
                tenants=("tenant_5f2c",),
            ),
        ),
        insufficient={
            "latency": tuple(
                InsufficientEvidence(
                    operation=OperationRef(f"GET /admin/{name}", service="shop"),
                    metric="latency",
                    windows=192,
                    calls_per_window=1.5,
                    minimum_detectable_effect=None,
                    reason="1.5 calls a window are too few to tell a slow-down from chance.",
                )
                for name in ("audit", "flags", "users")
            ),
        },
        operation_windows=1152,
        settings={
            **EvolutionConfig().to_settings(),
            "looked_at": {
                "operations": 6,
                "windows": 192,
                "since": START.isoformat(),
                "until": (START + 2 * DAY * WINDOW).isoformat(),
            },
        },
        notes=("2 days are a short history: rhythms of a week cannot be told from change.",),
    )
    suggestions = SpecGenerator().generate(detection, windows=windows)
    first, second, *rest = suggestions
    approval = Decision(
        suggestion_id=first.id,
        revision=1,
        reviewer="mona",
        status="approved",
        notes="Agreed with the payments team.",
        decided_at=START + timedelta(days=2),
    )
    rejection = replace(
        approval,
        suggestion_id=second.id,
        reviewer=f"eve {HOSTILE}",
        status="rejected",
        notes="Known load test | not a | change.",
    )
    decided = (
        replace(first, status="approved", approvals=(approval,)),
        replace(second, status="rejected", approvals=(rejection,)),
    )
    return Scene(
        detection=detection,
        windows=windows,
        suggestions=(*decided, *rest),
        provenance=Provenance(
            command="evolution-lab report --data data --every 15m",
            data_digest="9f2c4e7a81b0d35c66aa01",
            package_version="0.1.0",
        ),
    )


@pytest.fixture(scope="session")
def scene() -> Scene:
    return make_scene()
