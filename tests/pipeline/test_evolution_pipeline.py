"""The pipeline on a replayed recording: what it tells, when, and that nothing a listener does harms it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from evolution_lab.config import EvolutionConfig
from evolution_lab.datasets import PlannedFault, shop_recording
from evolution_lab.errors import ConfigError, TimeZoneRequiredError, UnknownNameError
from evolution_lab.pipeline import EvolutionPipeline
from evolution_lab.records import OperationRef, TelemetrySample

MINUTE = timedelta(minutes=1)
START = datetime(2025, 3, 4, 9, 0, tzinfo=UTC)
BURST = PlannedFault(
    name="burst", key="GET /products", start_minute=40, end_minute=50, error_rate=0.9, status=503,
    error_type="Down", description="Searches fail.",
)  # fmt: skip


def sample(at: datetime, *, success: bool = True) -> TelemetrySample:
    return TelemetrySample(
        operation=OperationRef("checkout"), timestamp=at, duration_ns=5_000_000, success=success
    )


@pytest.fixture(scope="module")
def recorded() -> list[TelemetrySample]:
    frame = shop_recording(seed=3, start=START, minutes=60, plan=[BURST]).samples()
    rows = frame.filter(frame["kind"].is_in(["server", "consumer"])).sort("timestamp", "row_id")
    return [
        TelemetrySample(
            operation=OperationRef(
                row["operation_key"], service=row["service"], version=row["operation_version"]
            ),
            timestamp=row["timestamp"],
            duration_ns=row["duration_ns"],
            success=row["success"],
            kind=row["kind"],
            status_code=row["status_code"],
            error_code=row["error_code"],
            tenant_id=row["tenant_id"],
            trace_id=row["trace_id"],
            span_id=row["span_id"],
            parent_span_id=row["parent_span_id"],
        )
        for row in rows.iter_rows(named=True)
    ]


@pytest.fixture
def pipeline() -> EvolutionPipeline:
    return EvolutionPipeline(
        config=EvolutionConfig(window=MINUTE), clock=lambda: START + 30 * MINUTE
    )


def test_a_planted_fault_is_told_once_within_a_window_and_a_half(recorded: list[TelemetrySample]):
    told: list[tuple[datetime, object]] = []
    now = START
    pipeline = EvolutionPipeline(
        on_intent=lambda signal: told.append((now, signal)), config=EvolutionConfig(window=MINUTE)
    )
    events = []
    pipeline.on("intent.detected", events.append)
    at = 0
    while now < START + 58 * MINUTE:
        now += timedelta(minutes=2)
        while at < len(recorded) and recorded[at].timestamp < now:
            pipeline.ingest(recorded[at])
            at += 1
        pipeline.run(now + timedelta(seconds=20))
    first, signal = told[0]
    assert (signal.kind, signal.operation.key) == ("error-spike", "GET /products")
    planted = START + 40 * MINUTE
    assert planted < signal.detected_at <= planted + 3 * MINUTE
    assert first - signal.detected_at <= timedelta(minutes=2)
    states = [s.state for _, s in told if s.id == signal.id]
    assert states == ["open", "recovered"]
    assert [event for event in events if event.id == signal.id] == [
        s for _, s in told if s.id == signal.id
    ]


def test_a_window_is_tested_once_and_late_samples_are_counted(pipeline: EvolutionPipeline):
    windows = []
    pipeline.on("telemetry.window", windows.append)
    for minute in range(5):
        pipeline.ingest(sample(START + minute * MINUTE))
    pipeline.run()
    pipeline.run()
    assert [event["windows"] for event in windows if event["tested"]] == [29]
    pipeline.ingest(sample(START))
    pipeline.run()
    counters = pipeline.counters
    assert (counters.ingested, counters.windows, counters.late) == (6, 29, 1)


def test_a_listener_that_fails_is_counted_and_breaks_nothing(pipeline: EvolutionPipeline):
    heard = []

    def broken(event: object) -> None:
        raise RuntimeError("no")

    async def waiting(event: object) -> None:
        await asyncio.sleep(0)
        heard.append(event)

    pipeline.on("telemetry.window", broken)
    pipeline.on("telemetry.window", waiting)
    pipeline.ingest(sample(START))
    pipeline.run()
    assert len(heard) == 1
    assert sum(pipeline.counters.hook_errors.values()) == 1


def test_listening_ends(pipeline: EvolutionPipeline):
    heard = []
    stop = pipeline.on("telemetry.window", heard.append)
    stop()
    pipeline.ingest(sample(START))
    pipeline.run()
    assert heard == []


def test_samples_beyond_the_room_are_dropped_and_counted():
    pipeline = EvolutionPipeline(most_samples=10, clock=lambda: START + timedelta(hours=1))
    for second in range(25):
        pipeline.ingest(sample(START + timedelta(seconds=second)))
    pipeline.run()
    assert pipeline.counters.dropped == 15


def test_the_rolling_window_is_shown_and_never_tested(pipeline: EvolutionPipeline):
    pipeline.ingest(sample(START + 30 * MINUTE - timedelta(seconds=10)))
    assert pipeline.rolling()["calls"].sum() == 1
    assert pipeline.counters.windows == 0


def test_it_runs_by_itself_and_stops():
    now = [START + 5 * MINUTE]
    pipeline = EvolutionPipeline(
        config=EvolutionConfig(window=MINUTE), clock=lambda: now[0], grace=timedelta(0)
    )
    pipeline.ingest(sample(START))
    pipeline.start(timedelta(milliseconds=50))
    deadline = time.monotonic() + 30
    while not pipeline.counters.windows:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pipeline.stop()
    tested = pipeline.counters.windows
    now[0] += 10 * MINUTE
    time.sleep(0.2)
    assert pipeline.counters.windows == tested


def test_what_cannot_be_is_refused(pipeline: EvolutionPipeline):
    with pytest.raises(UnknownNameError, match=r"Did you mean 'intent\.detected'"):
        pipeline.on("intent.detectd", print)  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="names no listener"):
        pipeline.on("intent.detected")
    with pytest.raises(TimeZoneRequiredError):
        pipeline.run(datetime(2025, 3, 4))  # noqa: DTZ001
    with pytest.raises(ConfigError, match="must be > 0"):
        pipeline.start(timedelta(0))
    with pytest.raises(ConfigError, match="must be >= 1"):
        EvolutionPipeline(most_samples=0)
