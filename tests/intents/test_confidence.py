"""Confidence: calibrated on planted changes, moved by what people say, never by a handful of labels."""

from __future__ import annotations

import numpy as np
import pytest

from evolution_lab.datasets import null_windows
from evolution_lab.errors import InputError, UnknownNameError
from evolution_lab.intents import ErrorSpikeDetector, IntentDetector
from evolution_lab.intents.calibration import Cases, fit_map, judge_map, planted_cases, reliability
from evolution_lab.intents.confidence import (
    FITTED_DETECTORS,
    ConfidenceMap,
    bundled_map,
    with_labels,
)
from evolution_lab.intents.labels import (
    calibrate_on_labels,
    map_in_force,
    read_labels,
    store_label,
)
from evolution_lab.intents.latency_regression import LatencyRegressionDetector
from evolution_lab.intents.snapshots import store_snapshots
from evolution_lab.intents.throughput_drop import ThroughputDropDetector
from evolution_lab.records import IntentSignal, OperationRef, from_json, to_json

WINDOWS = null_windows(calls=20, windows=4, operations=1)


def signal(number: int, p_value: float, detector: str = "error-spike") -> IntentSignal:
    from datetime import UTC, datetime

    at = datetime(2025, 3, 4, tzinfo=UTC)
    return IntentSignal(
        id=f"{number:020x}", kind="error-spike", severity="high", operation=OperationRef("GET /a"),
        window_start=at, window_end=at, detected_at=at, state="open", observed=0.5, baseline=0.01,
        effect=0.49, unit="fraction", p_value=p_value, sample_size=100, detector=detector,
    )  # fmt: skip


def test_the_bundled_map_says_where_it_comes_from_and_survives_json():
    bundled = bundled_map()
    assert bundled.provenance["cases"] > 1_000
    assert from_json(ConfidenceMap, to_json(bundled)) == bundled


def test_stronger_evidence_never_means_less_confidence():
    bundled = bundled_map()
    for metric in ("error-rate", "latency-tail", "throughput"):
        stated = [bundled.confidence(metric, 10.0**-k, 50) for k in range(2, 40)]
        assert stated == sorted(stated)
        assert 0 < stated[0] < stated[-1] < 1
    assert bundled.confidence("error-rate", None, 50) is None


def test_no_map_knows_what_p_values_of_other_detectors_mean():
    bundled = bundled_map()
    assert bundled.confidence("error-rate", 1e-9, 50, detector="error-spike") is not None
    assert bundled.confidence("error-rate", 1e-9, 50, detector="of another package") is None
    own = (ErrorSpikeDetector(), LatencyRegressionDetector(), ThroughputDropDetector())
    assert {detector.name for detector in own} == FITTED_DETECTORS


def test_what_was_said_tells_by_which_map():
    moved = with_labels(bundled_map(), np.zeros(40), np.arange(40) % 2 == 0)
    for used in (bundled_map(), moved):
        said = IntentDetector(confidence=used).detect(WINDOWS)
        assert said.settings["confidence"] == used.fitted_on
    assert "moved by 40 labels" in moved.fitted_on


def test_planted_cases_are_seeded_and_a_fit_holds_on_other_labs():
    fitted_on, judged_on = planted_cases([1, 2, 3, 4, 5, 6]), planted_cases([51, 52, 53])
    again = planted_cases([1, 2])
    n = len(again.truths)
    assert again.metrics == fitted_on.metrics[:n]
    assert np.array_equal(again.p_values, fitted_on.p_values[:n])
    found = judge_map(fit_map(fitted_on, provenance={}), judged_on)
    assert found.brier_skill > 0.3
    assert found.expected_calibration_error < 0.12
    assert found.error_interval[0] < found.error_interval[1]
    low, high = found.skill_interval
    assert low < found.brier_skill < high


def test_one_lab_gives_no_interval():
    cases = Cases(("error-rate",) * 4, np.full(4, 1e-4), np.full(4, 50.0), np.arange(4) < 2,
                  np.zeros(4, dtype=np.int64))  # fmt: skip
    assert judge_map(bundled_map(), cases).error_interval is None


def test_reliability_sees_overconfidence():
    truths = np.array([True, False] * 50)
    found = reliability(np.full(100, 0.9), truths)
    assert found.expected_calibration_error == pytest.approx(0.4)
    assert found.brier_skill < 0


def test_a_handful_of_labels_moves_confidence_a_little_and_many_decide():
    bundled = bundled_map()
    before = bundled.confidence("error-rate", 1e-5, 100)
    logit = bundled.logit("error-rate", 1e-5, 100)

    def after(n: int) -> float:
        moved = with_labels(bundled, np.full(n, logit), np.zeros(n, dtype=bool))
        return moved.confidence("error-rate", 1e-5, 100)

    assert before > after(3) > after(30) > after(300)
    assert before - after(3) < 0.35
    assert after(300) < 0.1


def test_labels_are_appended_and_the_newest_counts(tmp_path):
    store_snapshots(tmp_path, [signal(1, 1e-9), signal(2, 1e-6)])
    store_label(tmp_path, f"{1:020x}", truth=True, why=None, labelled_by="ada")
    store_label(tmp_path, f"{1:020x}", truth=False, why="load test", labelled_by="ada")
    (found,) = read_labels(tmp_path)
    assert (found.truth, found.why) == (False, "load test")
    with pytest.raises(UnknownNameError):
        store_label(tmp_path, "zz", truth=True, why=None, labelled_by="ada")
    with pytest.raises(UnknownNameError):
        store_label(tmp_path, "0000", truth=True, why=None, labelled_by="ada")


def test_calibration_refuses_too_few_labels_and_says_how_many_are_missing(tmp_path):
    store_snapshots(tmp_path, [signal(n, 1e-6) for n in range(40)])
    assert map_in_force(tmp_path) == bundled_map()
    for n in range(10):
        store_label(tmp_path, f"{n:020x}", truth=False, why=None, labelled_by="ada")
    with pytest.raises(InputError, match="10 more"):
        calibrate_on_labels(tmp_path)
    for n in range(10, 40):
        store_label(tmp_path, f"{n:020x}", truth=n >= 36, why=None, labelled_by="ada")
    fitted = calibrate_on_labels(tmp_path)
    assert fitted.provenance["labels"] == 40
    assert map_in_force(tmp_path) == fitted
    said = fitted.confidence("error-rate", 1e-6, 100)
    assert said < bundled_map().confidence("error-rate", 1e-6, 100)


def test_labels_of_signals_without_confidence_do_not_count(tmp_path):
    said = [signal(n, 1e-6, "of another package" if n % 2 else "error-spike") for n in range(30)]
    store_snapshots(tmp_path, said)
    for n in range(30):
        store_label(tmp_path, f"{n:020x}", truth=n % 4 == 0, why=None, labelled_by="ada")
    with pytest.raises(InputError, match=r"15 signals .* \(8 true\).* 5 more"):
        calibrate_on_labels(tmp_path)
