"""Numbers in words, and the query that gives them again."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import pytest

from evolution_lab.export import facts
from evolution_lab.export.series import signal_series

DRAWN = {
    "error-rate": "100 * errors / outcomes",
    "client-error-rate": "100 * client_errors / calls",
    "latency-tail": "p95_ns / 1e6",
    "latency-median": "p50_ns / 1e6",
    "throughput": "calls",
}


def test_effects_are_told_in_the_scale_of_their_unit(scene):
    _, client, slow, _, _, stopped = scene.detection.signals
    assert facts.effect_text(client) == "+29 points (95 % interval +24 to +34)"
    assert facts.effect_text(slow) == "× 6.44 (95 % interval 5.7 to 7.2)"
    assert facts.effect_text(stopped) == "-100 % (95 % interval -100 to -98)"
    assert facts.effect_text(replace(slow, effect_interval=None)) == "× 6.44"
    assert facts.effect_text(replace(slow, effect=None)) == "–"


def test_an_e_value_stands_where_there_is_no_p_value(scene):
    signal = replace(scene.detection.signals[0], p_value=None, e_value=812.0)
    assert ("e", "812") in facts.signal_facts(signal)


def test_attribution_is_told_whatever_its_form():
    told = facts.attribution_facts({"tenantId": {"value": "a", "carried": 0.97}, "odd": "text"})
    assert told == (("tenant", "a (97 % of the excess)"), ("odd", "text"))
    assert facts.attribution_facts(None) == ()


def test_the_query_gives_the_drawn_windows_again(scene):
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("windows", scene.windows.to_arrow())
        for signal in scene.detection.signals:
            series = signal_series(signal, scene.windows)
            query = facts.windows_query(signal, series)
            rows = connection.sql(query).pl()
            assert tuple(rows["calls"].to_list()) == series.calls
            assert rows["window_start"][0] == series.start
            drawn = connection.sql(f"SELECT {DRAWN[series.metric]} AS y FROM ({query})").pl()["y"]
            assert drawn.to_list() == pytest.approx(series.lines[0].values, rel=1e-5)


def test_a_name_from_traffic_is_never_part_of_a_query(scene):
    hostile = scene.detection.signals[0]
    query = facts.windows_query(hostile, signal_series(hostile, scene.windows))
    assert "img" not in query
