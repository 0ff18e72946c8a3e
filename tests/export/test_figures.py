"""Figures say what the windows say, and plotly gets no markup from strangers."""

from __future__ import annotations

import json
from dataclasses import replace
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.export import overview_figure, signal_figure
from evolution_lab.export.figures import MOST_OPERATIONS, figure_text
from evolution_lab.records import DetectionResult, OperationRef


def _texts(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _document(figure):
    document = json.loads(figure.to_json())
    document["layout"].pop("template")
    return document


@given(st.text(max_size=200))
@settings(max_examples=60)
def test_figure_text_holds_no_markup_and_stays_readable(text):
    shown = figure_text(text)
    assert "<" not in shown
    assert ">" not in shown
    assert len(unescape(shown)) <= 56 or "&" in text
    assert unescape(shown).isprintable()


def test_every_signal_has_its_lines_baseline_episode_and_detection(scene):
    for signal in scene.detection.signals:
        document = _document(signal_figure(signal, scene.windows))
        names = [trace["name"] for trace in document["data"]]
        assert any(name.startswith("baseline ") for name in names)
        assert ("calls" in names) == (signal.unit != "calls")
        episode, detection = document["layout"]["shapes"]
        assert episode["x0"] == f"{signal.window_start:%Y-%m-%dT%H:%M:%S}"
        assert detection["x0"] == f"{signal.detected_at:%Y-%m-%dT%H:%M:%S}"


def test_the_interval_is_drawn_where_evidence_has_one(scene):
    with_range = scene.detection.signals[1]
    figure = _document(signal_figure(with_range, scene.windows))
    band = next(t for t in figure["data"] if t["name"] == "95 % of ordinary windows")
    assert band["y"] == pytest.approx([0.8, 0.8, 3.4, 3.4])
    without = replace(with_range, evidence=())
    names = [t["name"] for t in _document(signal_figure(without, scene.windows))["data"]]
    assert "95 % of ordinary windows" not in names


def test_no_figure_holds_markup_from_traffic(scene):
    figures = [signal_figure(s, scene.windows) for s in scene.detection.signals]
    figures.append(overview_figure(scene.detection, scene.windows))
    for figure in figures:
        for text in _texts(_document(figure)):
            assert "<img" not in text
            assert "</script" not in text


def test_versions_in_legends_are_escaped(scene):
    signal = next(s for s in scene.detection.signals if s.kind == "latency-regression")
    import polars as pl

    other = scene.windows.with_columns(operation_version=pl.lit("<a href=//x>v</a>"))
    figure = signal_figure(signal, pl.concat([scene.windows, other]))
    names = [trace["name"] for trace in _document(figure)["data"]]
    assert "95th percentile, &lt;a href=//x&gt;v&lt;/a&gt;" in names


def test_the_overview_has_a_row_an_operation_and_a_symbol_a_signal(scene):
    document = _document(overview_figure(scene.detection, scene.windows))
    assert len(document["layout"]["yaxis"]["ticktext"]) == 6
    symbols = [t for t in document["data"] if t["type"] == "scatter"]
    assert sum(len(t["x"]) for t in symbols) == len(scene.detection.signals)


def test_the_overview_keeps_the_gravest_operations(scene):
    low = replace(scene.detection.signals[4], severity="low")
    many = tuple(
        replace(low, id=f"{n:04d}", operation=OperationRef(f"GET /{n:03d}")) for n in range(60)
    )
    high = scene.detection.signals[-1]
    document = _document(overview_figure(DetectionResult(signals=(*many, high)), scene.windows))
    labels = document["layout"]["yaxis"]["ticktext"]
    assert len(labels) == MOST_OPERATIONS
    assert "shop · POST /reports/export" in labels


def test_empty_results_say_so(scene):
    nothing = overview_figure(DetectionResult(), scene.windows)
    assert "nothing changed" in nothing.layout.annotations[0].text
    lost = replace(scene.detection.signals[0], operation=OperationRef("GET /nowhere"))
    assert "no windows" in signal_figure(lost, scene.windows).layout.annotations[0].text
