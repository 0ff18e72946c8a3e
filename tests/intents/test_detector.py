"""Detection whole: planted faults, quiet traffic, thin traffic, odd frames."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.config import EvolutionConfig
from evolution_lab.datasets import Fault, null_samples
from evolution_lab.errors import FrameContractError
from evolution_lab.intents import ErrorSpikeDetector, IntentDetector, Surroundings
from evolution_lab.records import DetectionResult, from_json, to_json, to_python
from evolution_lab.schemas import LATENCY_BINS, WINDOWS, empty, polars_schema
from evolution_lab.windows import aggregate

MINUTE = timedelta(minutes=1)
TIMED = ("error-spike", "latency-regression", "throughput-drop")


@pytest.fixture(scope="module")
def found(shop) -> DetectionResult:
    return IntentDetector(shop.config).detect(shop.windows, shop.surroundings)


def matching(found: DetectionResult, fault: Fault):
    return [
        signal
        for signal in found.signals
        if signal.kind == fault.kind
        and (signal.operation.service, signal.operation.key)
        == (fault.operation.service, fault.operation.key)
        and fault.start < signal.detected_at <= fault.end
    ]


def test_every_planted_fault_is_one_signal_on_its_operation(shop, found: DetectionResult):
    for fault in shop.recording.faults:
        if fault.kind in TIMED:
            assert len(matching(found, fault)) == 1, fault.name


def test_nothing_is_said_while_nothing_is_wrong(shop, found: DetectionResult):
    assert [s for s in found.signals if s.detected_at <= shop.recording.quiet_until] == []


def test_every_signal_is_explained_by_a_fault_or_its_callers(shop, found: DetectionResult):
    for signal in found.signals:
        here = (signal.operation.service, signal.operation.key)
        explained = [
            fault
            for fault in shop.recording.faults
            if fault.start < signal.detected_at <= fault.end
            and here in {(o.service, o.key) for o in (fault.operation, *fault.affected)}
        ]
        assert explained, str(signal.operation)


def test_a_quiet_shop_says_nothing(quiet_shop):
    result = IntentDetector(quiet_shop.config).detect(quiet_shop.windows, quiet_shop.surroundings)
    assert result.signals == ()


def test_tenant_version_and_code_are_named(shop, found: DetectionResult):
    by_name = {f.name: matching(found, f)[0] for f in shop.recording.faults if f.kind in TIMED}
    assert by_name["tenant-error-burst"].operation.tenant_id == "globex"
    assert by_name["tenant-error-burst"].error_class == "server"
    assert by_name["bad-version"].operation.version == "3.1.0"
    client = by_name["client-error-burst"]
    assert client.error_class == "client"
    assert client.attribution["errorCode"]["value"] == "422"
    assert by_name["slow-dependency"].operation.tenant_id is None


def test_a_slow_dependency_is_one_incident_with_its_origin_first(shop, found: DetectionResult):
    fault = next(f for f in shop.recording.faults if f.name == "slow-dependency")
    (incident,) = [i for i in found.incidents if fault.start < i.detected_at <= fault.end]
    assert incident.origin.key == fault.operation.key
    assert len(incident.signal_ids) > 1
    assert {s.incident_id for s in found.signals if s.id in incident.signal_ids} == {incident.id}


def test_the_repeated_workflow_is_the_only_one(shop, found: DetectionResult):
    fault = next(f for f in shop.recording.faults if f.kind == "missing-operation")
    (workflow,) = found.workflows
    assert [step.key for step in workflow.steps] == [step.key for step in fault.steps]
    assert workflow.basis == "session"
    assert workflow.lift > 5
    assert set(workflow.tenants) <= {"acme", "globex", "initech", "umbrella"} or workflow.tenants


def test_a_stopped_operation_stays_open(shop, found: DetectionResult):
    fault = next(f for f in shop.recording.faults if f.name == "stopped-operation")
    (signal,) = matching(found, fault)
    assert signal.state == "open"
    assert signal.observed == 0.0


def test_intervals_hold_the_effect_and_numbers_say_how_many(found: DetectionResult):
    for signal in found.signals:
        assert signal.sample_size >= 0
        assert signal.p_value is not None
        assert 0 < signal.p_value < 1e-3
        low, high = signal.effect_interval
        assert low <= signal.effect <= high
        assert signal.evidence


def test_ids_do_not_change_with_the_order_of_rows_or_chunks(shop, found: DetectionResult):
    shuffled = aggregate(
        pl.concat([shop.samples[20_000:], shop.samples[:20_000]]).sample(
            fraction=1.0, shuffle=True, seed=3
        ),
        window=MINUTE,
        latency_bins=True,
    )
    mixed = shuffled.sample(fraction=1.0, shuffle=True, seed=4)
    again = IntentDetector(shop.config).detect(mixed, shop.surroundings)
    assert to_json(again) == to_json(found)


def test_what_was_said_early_stays_as_it_was(shop, found: DetectionResult):
    middle = datetime(2025, 3, 4, 10, 45, tzinfo=UTC)
    early = IntentDetector(shop.config).detect(
        shop.windows.filter(pl.col("window_end") <= middle),
        Surroundings(
            samples=shop.samples.lazy().filter(pl.col("timestamp") < middle),
            edges=shop.surroundings.edges,
            depths=shop.surroundings.depths,
            operations=shop.surroundings.operations,
            as_of=middle,
        ),
    )
    later = {s.id: s.detected_at for s in found.signals if s.detected_at <= middle}
    assert {s.id: s.detected_at for s in early.signals} == later


def test_the_result_survives_json(found: DetectionResult):
    assert from_json(DetectionResult, to_json(found)) == found
    document = to_python(found)
    assert {
        "signals",
        "incidents",
        "workflows",
        "insufficient",
        "operationWindows",
        "settings",
    } <= (set(document))
    assert {
        "id",
        "kind",
        "severity",
        "operation",
        "windowStart",
        "windowEnd",
        "detectedAt",
        "state",
        "observed",
        "baseline",
        "effect",
        "pValue",
        "confidence",
        "sampleSize",
        "incidentId",
        "errorClass",
        "attribution",
        "evidence",
    } <= set(document["signals"][0])
    assert document["signals"][0]["detectedAt"].endswith("Z")


def test_outcomes_that_are_not_recorded_are_said_to_be_so(shop):
    unknown = shop.windows.with_columns(
        errors=pl.lit(None, pl.Int64),
        outcomes=pl.lit(None, pl.Int64),
        error_rate=pl.lit(None, pl.Float64),
        client_errors=pl.lit(None, pl.Int64),
    )
    result = IntentDetector(shop.config).detect(unknown)
    assert not [s for s in result.signals if s.kind == "error-spike"]
    reasons = {v.reason for v in result.insufficient["error-rate"]}
    assert reasons == {"not recorded: no call says whether it succeeded."}


def test_thin_traffic_gets_a_verdict_with_the_effect_it_could_have_shown():
    samples = null_samples(calls=3, windows=60, operations=2, window=MINUTE, seed=1)
    windows = aggregate(samples, window=MINUTE, latency_bins=True)
    result = IntentDetector(EvolutionConfig(window=MINUTE)).detect(windows)
    verdicts = result.insufficient["error-rate"]
    assert len(verdicts) == 2
    for verdict in verdicts:
        assert verdict.minimum_detectable_effect is None or verdict.minimum_detectable_effect > 0.5


def test_a_short_recording_says_which_window_would_do():
    samples = null_samples(calls=60, windows=150, operations=1, window=MINUTE, seed=1)
    windows = aggregate(samples, window=timedelta(minutes=15), latency_bins=True)
    (note,) = IntentDetector().detect(windows).notes
    assert "10 windows of 15m" in note
    assert "--every 2m" in note


def test_a_detector_of_ones_own_is_a_function_with_a_name(shop):
    class Nothing:
        name = "nothing"

        def __call__(self, view):
            return ErrorSpikeDetector()(view).clear()

    assert IntentDetector(shop.config, [Nothing()]).detect(shop.windows).signals == ()
    with pytest.raises(FrameContractError, match="two detectors are called 'nothing'"):
        IntentDetector(shop.config, [Nothing(), Nothing()]).detect(shop.windows)


def test_ready_percentiles_are_detected_on_too(shop):
    bare = shop.windows.drop("latency_bins")
    result = IntentDetector(shop.config).detect(bare)
    assert {"catalog", "shipping"} <= {s.operation.service for s in result.signals}
    assert not [s for s in result.signals if s.detected_at <= shop.recording.quiet_until]


def test_window_frames_that_break_their_contract_are_refused(shop):
    with pytest.raises(FrameContractError, match="calls"):
        IntentDetector().detect(shop.windows.with_columns(calls=pl.col("calls") - 1_000))


@st.composite
def window_frames(draw: st.DrawFn) -> pl.DataFrame:
    """Frames at the edges: gaps, nulls, constant latency, all errors, one call, steps in time."""
    operations = draw(st.integers(1, 3))
    count = draw(st.integers(1, 60))
    rows = []
    for i in range(operations):
        offset = draw(st.integers(0, 3))
        kind = draw(st.sampled_from(["normal", "one call", "all errors", "unknown", "silent"]))
        for t in range(offset, count):
            if draw(st.integers(0, 19)) == 0:
                continue
            calls = {"one call": 1, "silent": 0}.get(kind, draw(st.sampled_from([0, 5, 1_000])))
            errors = {"all errors": calls, "unknown": None}.get(kind, 0)
            start = datetime(2025, 3, 4, tzinfo=UTC) + MINUTE * t
            rows.append(
                {
                    "service": None,
                    "operation_key": f"op{i}",
                    "operation_version": None,
                    "op_id": i,
                    "window_start": start,
                    "window_end": start + MINUTE,
                    "calls": calls,
                    "calls_adjusted": float(calls),
                    "outcomes": None if errors is None else calls,
                    "errors": errors,
                    "client_errors": errors,
                    "error_rate": None if not calls or errors is None else errors / calls,
                    "mean_ns": 5e6 if calls else None,
                    "p50_ns": 5e6 if calls else None,
                    "p95_ns": 5e6 if calls else None,
                    "p99_ns": 5e6 if calls else None,
                    "max_ns": 5_000_000 if calls else None,
                    "top_errors": None,
                    "latency_bins": [{"bin": 700, "count": calls}] if calls else None,
                    "closed": True,
                    "final": True,
                    "revision": 0,
                }
            )
    schema = {}
    for name, dtype in polars_schema(WINDOWS).items():
        if name == "closed":
            schema["latency_bins"] = LATENCY_BINS
        schema[name] = dtype
    return pl.DataFrame(rows, schema=schema)


@settings(max_examples=30)
@given(window_frames())
def test_odd_frames_never_crash_and_never_give_nan(frame: pl.DataFrame):
    result = IntentDetector(EvolutionConfig(window=MINUTE)).detect(frame)
    assert b"NaN" not in to_json(result)
    for signal in result.signals:
        assert signal.p_value == signal.p_value


def test_no_windows_say_what_to_do():
    (note,) = IntentDetector().detect(empty(WINDOWS)).notes
    assert "evolution-lab land" in note


def test_evidence_is_equal_bytes_for_any_order(shop):
    def bytes_of(windows: pl.DataFrame) -> bytes:
        from evolution_lab.intents import detection_view

        buffer = io.BytesIO()
        evidence = IntentDetector(shop.config).evidence(detection_view(windows))
        evidence.sort("op_id", "metric", "window_start").write_ipc(buffer)
        return buffer.getvalue()

    shuffled = shop.windows.sample(fraction=1.0, shuffle=True, seed=9)
    assert bytes_of(shuffled) == bytes_of(shop.windows)
