"""Confidence: calibrated on planted changes, moved by what people say, never by a handful of labels."""

from __future__ import annotations

import numpy as np
import pytest

from evolution_lab.errors import InputError, UnknownNameError
from evolution_lab.intents.calibration import fit_map, judge_map, planted_cases, reliability
from evolution_lab.intents.confidence import ConfidenceMap, bundled_map, with_labels
from evolution_lab.intents.labels import (
    calibrate_on_labels,
    map_in_force,
    read_labels,
    store_label,
)
from evolution_lab.intents.snapshots import store_snapshots
from evolution_lab.records import IntentSignal, OperationRef, from_json, to_json


def signal(number: int, p_value: float) -> IntentSignal:
    from datetime import UTC, datetime

    at = datetime(2025, 3, 4, tzinfo=UTC)
    return IntentSignal(
        id=f"{number:020x}", kind="error-spike", severity="high", operation=OperationRef("GET /a"),
        window_start=at, window_end=at, detected_at=at, state="open", observed=0.5, baseline=0.01,
        effect=0.49, unit="fraction", p_value=p_value, sample_size=100, detector="error-spike",
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


def test_planted_cases_are_seeded_and_a_fit_holds_on_other_labs():
    fitted_on, judged_on = planted_cases([1, 2, 3, 4, 5, 6]), planted_cases([51, 52, 53])
    again = planted_cases([1, 2])
    n = len(again.truths)
    assert again.metrics == fitted_on.metrics[:n]
    assert np.array_equal(again.p_values, fitted_on.p_values[:n])
    found = judge_map(fit_map(fitted_on, provenance={}), judged_on)
    assert found.brier_skill > 0.3
    assert found.expected_calibration_error < 0.12


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
