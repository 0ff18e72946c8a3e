from __future__ import annotations

from dataclasses import replace

import polars as pl

from evolution_lab.config import EvolutionConfig
from evolution_lab.records import DetectionResult, OperationRef
from evolution_lab.suggestions import SpecAnalyzer


def analyze(*signals, windows=None, config=None):
    analyzer = SpecAnalyzer(config) if config else SpecAnalyzer()
    return analyzer.analyze(windows, DetectionResult(signals=tuple(signals)))


def test_each_signal_is_an_anomaly_whatever_else_was_found(signal):
    """The seed system looked no further after an error-rate anomaly."""
    found = analyze(
        signal(),
        signal(id="2", kind="latency-regression"),
        signal(id="3", kind="throughput-drop"),
    )
    assert [a.metric for a in found.anomalies] == ["error-rate", "latency", "throughput"]
    assert [h.category for h in found.hints] == ["error-handling", "performance", "policy"]


def test_without_signals_there_are_no_anomalies_however_bad_the_windows(orders, window_rows):
    windows = window_rows(orders, {"errors": 99, "p99_ns": 9e12})
    found = analyze(windows=windows)
    assert found.anomalies == ()
    assert found.hints == ()
    assert found.usage[0].error_rate == 0.99


def test_an_anomaly_carries_what_it_was_tested_against(signal):
    (anomaly,) = analyze(signal()).anomalies
    assert (anomaly.threshold, anomaly.observed_value, anomaly.unit) == (0.004, 0.12, "fraction")
    assert "from 0.4 % to 12 %" in anomaly.description
    assert "n = 1,240, p = 1e-09" in anomaly.description


def test_hints_of_one_category_are_one_with_each_action_once(signal):
    code = {"errorCode": {"value": "422"}}
    signals = [
        signal(id=str(n), error_class="client", severity="low", attribution=code) for n in range(3)
    ]
    (hint,) = analyze(*signals).hints
    assert hint.category == "schema"
    assert hint.summary.count("Document or relax") == 1
    assert len(set(hint.recommended_actions)) == len(hint.recommended_actions) == 3


def test_excluded_operations_are_left_out(signal, stock, orders, window_rows):
    windows = pl.concat([window_rows(orders, {}), window_rows(stock, {})])
    found = analyze(
        signal(),
        signal(id="2", operation=stock),
        windows=windows,
        config=EvolutionConfig(exclude=("POST *",)),
    )
    assert [a.operation for a in found.anomalies] == [stock]
    assert [u.operation for u in found.usage] == [stock]


def test_analysis_shows_one_row_an_operation_and_escapes_its_name(signal, window_rows):
    op = OperationRef("<img src=x onerror=alert(1)>", service="shop")
    tenant = replace(op, tenant_id="acme")
    found = analyze(signal(operation=tenant), windows=window_rows(op, {}))
    (row,) = found.to_dicts()
    assert (row["anomalies"], row["hints"]) == (1, 1)
    assert "<img" not in found._repr_html_()
    assert "&lt;img" in found._repr_html_()


def test_a_finding_without_a_version_counts_for_each_and_with_one_for_that(
    signal, orders, window_rows
):
    old, new = replace(orders, version="1.0"), replace(orders, version="2.0")
    found = analyze(
        signal(),
        signal(id="2", operation=new),
        windows=pl.concat([window_rows(old, {}), window_rows(new, {})]),
    )
    assert [row["anomalies"] for row in found.to_dicts()] == [1, 2]
