"""Figures of exploration say what the frames say, and a click gives the windows behind it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from evolution_lab.datasets import NULL_START, null_samples, plant
from evolution_lab.errors import InputError, UnknownNameError
from evolution_lab.export.exploration import (
    Explorer,
    error_codes,
    latency_quantiles,
    surprise,
    surprise_figure,
    workflow_figure,
)
from evolution_lab.export.exploration.latency import MOST_POINTS, durations_of, latency_figure
from evolution_lab.export.exploration.latency import Span as Stretch
from evolution_lab.export.exploration.surprise import MOST_COLUMNS, column_length
from evolution_lab.intents import IntentDetector
from evolution_lab.intents.deploys import Deployment, DeployVerdict
from evolution_lab.records import OperationRef, Workflow
from evolution_lab.windows import aggregate

WINDOW = timedelta(minutes=15)
FAULT = NULL_START + timedelta(hours=14)
END = NULL_START + timedelta(hours=18)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def samples() -> pl.DataFrame:
    quiet = null_samples(calls=120, windows=80, operations=3, seed=5)
    ids = quiet.filter(pl.col("operation_key") == "GET /null/1")["op_id"].unique().to_list()
    slow = plant(quiet, start=FAULT, end=END, op_ids=ids, latency_factor=3.0, error_points=0.2)
    renamed = pl.col("operation_key").replace("GET /null/2", HOSTILE)
    return slow.with_columns(renamed)


@pytest.fixture(scope="module")
def explorer(samples: pl.DataFrame) -> Explorer:
    windows = aggregate(samples.lazy(), window=WINDOW, latency_bins=True)
    detector = IntentDetector()
    detection = detector.detect(windows)
    assert detection.signals
    blamed = DeployVerdict(
        deployment=Deployment(service="null", version="<img 2>", at=FAULT), verdict="blamed",
        e_value=1e6, crude_e_value=1e6, metric="latency", before=0.1, after=0.9, calls=99,
    )  # fmt: skip
    return Explorer(
        detection=detection,
        evidence=detector.evidence_of(windows),
        windows=windows,
        samples=samples.lazy(),
        deployments=(blamed,),
    )


def document(figure) -> dict:
    found = json.loads(figure.to_json())
    found["layout"].pop("template")
    return found


def test_surprise_is_the_strongest_evidence_of_a_window(explorer: Explorer):
    found = explorer.surprise()
    keys = ["service", "operation_key", "window_start"]
    assert not found.select(keys).is_duplicated().any()
    greatest = found.sort("surprise").tail(1).row(0, named=True)
    assert greatest["operation_key"] == "GET /null/1"
    assert FAULT - WINDOW <= greatest["window_start"] <= END
    own = explorer.evidence.filter(
        pl.col("operation_key") == greatest["operation_key"],
        pl.col("window_start") == greatest["window_start"],
    )
    assert greatest["surprise"] == pytest.approx(-np.log10(max(own["p_value"].min(), 1e-300)))


def test_where_nothing_changes_surprise_is_rarely_great(explorer: Explorer):
    quiet = explorer.surprise().filter(pl.col("operation_key") == "GET /null/0")
    assert (
        quiet["surprise"] >= 3
    ).mean() < 0.03  # five metrics at one in a thousand, doubled twice


def test_the_map_has_a_row_an_operation_and_its_cells_lead_to_windows(explorer: Explorer):
    figure = explorer.heat_map()
    cells = figure.data[0]
    assert len(cells.z) == 3
    row = list(figure.layout.yaxis.ticktext).index("null · GET /null/1")
    heights = [value or 0 for value in cells.z[row]]
    column = int(np.argmax(heights))
    behind = explorer.cell(row, cells.x[column])
    assert behind["operation_key"].unique().to_list() == ["GET /null/1"]
    assert behind.height == 1
    assert f"{behind['window_start'][0]:%Y-%m-%dT%H:%M:%S}" == cells.x[column]
    with pytest.raises(InputError, match="row == 3"):
        explorer.cell(3, cells.x[0])


def test_many_windows_are_drawn_several_to_a_column(explorer: Explorer):
    one = explorer.surprise().head(1)
    times = pl.Series([NULL_START + n * WINDOW for n in range(2000)])
    many = (
        one.drop("window_start", "window_end")
        .join(pl.DataFrame({"window_start": times}), how="cross")
        .with_columns(
            pl.col("window_start").cast(pl.Datetime("us", "UTC")),
            surprise=pl.int_range(2000) / 1000.0,
        )
    )
    many = many.with_columns(window_end=pl.col("window_start") + WINDOW)
    figure = surprise_figure(many)
    assert len(figure.data[0].x) <= MOST_COLUMNS
    assert column_length(many) == 5 * WINDOW
    assert max(v for v in figure.data[0].z[0] if v is not None) == 2.0


def test_deployments_stand_on_the_time_line(explorer: Explorer):
    figure = explorer.timeline()
    (line,) = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert line.x0 == f"{FAULT:%Y-%m-%dT%H:%M:%S}"
    marks = next(trace for trace in figure.data if trace.name == "deployments")
    assert marks.text[0].endswith(": blamed")


def test_no_figure_holds_markup_from_traffic(explorer: Explorer):
    figures = [explorer.heat_map(), explorer.timeline(), explorer.workflows(), explorer.errors()]
    figures.append(workflow_figure([chain(OperationRef(HOSTILE), OperationRef("b"))]))
    for figure in figures:
        assert "<img" not in json.dumps(document(figure))


def test_quantiles_before_and_after_are_exact(explorer: Explorer, samples: pl.DataFrame):
    own = samples.filter(pl.col("operation_key") == "GET /null/1")
    found = explorer.quantiles("GET /null/1", at=FAULT)
    for side, rows in (
        ("before_ns", own.filter(pl.col("timestamp") < FAULT)),
        ("after_ns", own.filter(pl.col("timestamp") >= FAULT)),
    ):
        values = np.quantile(rows["duration_ns"].to_numpy(), [0.1, 0.5, 0.9, 0.95, 0.99])
        assert found[side].to_list() == pytest.approx(values.tolist())
    with pytest.raises(InputError, match="at="):
        explorer.quantiles("GET /null/1")
    with pytest.raises(UnknownNameError, match="Did you mean"):
        explorer.quantiles("GET /nul/1", at=FAULT)


def test_distributions_are_drawn_by_measured_values(explorer: Explorer):
    signal = explorer.detection.signals[0]
    figure = explorer.latency(signal)
    functions = [t for t in figure.data if t.yaxis in {None, "y"}]
    assert [t.name.split(":")[0] for t in functions] == ["before", "after"]
    for trace in functions:
        assert len(trace.x) <= MOST_POINTS
        assert trace.y[-1] == 1.0
        assert list(trace.x) == sorted(trace.x)
    histograms = [t for t in figure.data if t.yaxis == "y2"]
    assert all(sum(t.y) == pytest.approx(1.0, abs=1e-3) for t in histograms)


def test_nothing_to_compare_says_so():
    nothing = pl.Series([], dtype=pl.Int64)
    assert "no calls" in latency_figure(nothing, nothing).layout.annotations[0].text
    assert latency_quantiles(nothing, pl.Series([5]))["after_ns"].to_list() == [5.0] * 5
    same = pl.Series([7, 7, 7])
    assert latency_figure(same, same).data


def test_error_codes_are_counted(explorer: Explorer, samples: pl.DataFrame):
    codes = error_codes(samples.lazy(), every=WINDOW)
    failed = samples.filter(~pl.col("success") | pl.col("status_code").is_between(400, 599))
    assert codes["calls"].sum() == failed.height
    drawn = explorer.errors("GET /null/1")
    own = failed.filter(pl.col("operation_key") == "GET /null/1")
    assert sum(sum(trace.y) for trace in drawn.data) == own.height
    assert "No failed call" in Explorer(
        detection=explorer.detection, evidence=explorer.evidence, windows=explorer.windows,
        samples=samples.lazy().filter(pl.col("success")),
    ).errors().layout.annotations[0].text  # fmt: skip


def chain(*steps: OperationRef, support: int = 40) -> Workflow:
    return Workflow(
        id="1", basis="trace", steps=steps, support=support, sequences=100, expected=4.0,
        lift=support / 4, p_value=1e-4,
    )  # fmt: skip


def test_workflows_are_drawn_with_their_significance():
    a, b, c = OperationRef("a"), OperationRef("b"), OperationRef("c")
    figure = workflow_figure([chain(a, b, c), chain(a, c, support=20)])
    arrows, points = figure.layout.annotations, figure.data[1]
    assert len(points.x) == 3
    assert len(arrows) == 3
    assert max(arrow.arrowwidth for arrow in arrows) == 5
    assert "10.0 times chance" in figure.data[0].customdata[0]
    assert "p 0.0001 over all chains" in figure.data[0].customdata[0]
    assert "No workflow" in workflow_figure([]).layout.annotations[0].text


def test_a_click_chooses_windows_and_draws_their_operation(explorer: Explorer):
    views = explorer.linked()
    assert views.selected.is_empty()
    heat = views.map.data[0]
    row = list(views.map.layout.yaxis.ticktext).index("null · GET /null/1")
    found = views.choose(row, heat.x[57])
    assert views.selected.equals(found)
    assert found["operation_key"].to_list() == ["GET /null/1"]
    assert len(views.windows.data[0].x) == 80
    assert "GET /null/1" in views.said.value
    hostile = next(i for i, t in enumerate(views.map.layout.yaxis.ticktext) if "img" in t)
    views.choose(hostile, heat.x[3])
    assert "<img" not in views.said.value


def test_themes_are_light_and_dark(explorer: Explorer):
    dark = replace(explorer, theme="dark").heat_map().layout.template.layout.paper_bgcolor
    light = replace(explorer, theme="light").heat_map().layout.template.layout.paper_bgcolor
    either = explorer.heat_map().layout.template.layout.paper_bgcolor
    assert len({dark, light, either}) == 3
    assert either == "rgba(0,0,0,0)"
    with pytest.raises(InputError, match="auto, light or dark"):
        replace(explorer, theme="drak").heat_map()


def test_surprise_of_nothing_says_so(explorer: Explorer):
    assert (
        "No window"
        in surprise_figure(surprise(explorer.evidence.clear())).layout.annotations[0].text
    )


def test_durations_are_of_the_tenant_and_version_that_are_asked_for(samples: pl.DataFrame):
    whole = Stretch(since=NULL_START, until=END)
    marked = samples.with_columns(
        operation_version=pl.when(pl.int_range(pl.len()) % 2 == 0)
        .then(pl.lit("2"))
        .otherwise(pl.lit("1"))
    ).lazy()
    every = OperationRef("GET /null/0", service="null")
    two = OperationRef("GET /null/0", service="null", version="2")
    assert 0 < len(durations_of(marked, two, whole)) < len(durations_of(marked, every, whole))
