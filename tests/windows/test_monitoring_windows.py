"""Windows from Prometheus, CloudWatch and OTLP metrics: resets, fractions, buckets, odd input."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from evolution_lab.errors import InputError, UnknownFormatError
from evolution_lab.intents import IntentDetector
from evolution_lab.windows import read_windows
from evolution_lab.windows.cloudwatch import cloudwatch_windows
from evolution_lab.windows.otlp_metrics import metrics_of_protobuf, otlp_metric_windows
from evolution_lab.windows.prometheus import prometheus_windows

GUIDE = Path(__file__).parents[2] / "evolution_lab" / "windows" / "guides" / "metrics.md"
STEP = 300


def answer(*series: tuple[dict[str, str], list[float]]) -> dict:
    return {
        "status": "success",
        "data": {
            "resultType": "matrix",
            "result": [
                {
                    "metric": labels,
                    "values": [[STEP * (i + 1), str(v)] for i, v in enumerate(values)],
                }
                for labels, values in series
            ],
        },
    }


def written(tmp_path: Path, document: object, name: str = "windows.json") -> Path:
    (tmp_path / name).write_text(json.dumps(document), encoding="utf-8")
    return tmp_path / name


def test_increases_may_be_fractions_and_states_become_errors(tmp_path: Path):
    labels = {"route": "/carts", "method": "get", "job": "shop"}
    document = answer(
        ({**labels, "code": "200"}, [100.4, 99.7]),
        ({**labels, "code": "404"}, [2.1, 0.0]),
        ({**labels, "code": "502"}, [0.0, 3.2]),
    )
    frame = read_windows(written(tmp_path, document))
    assert frame.select("service", "operation_key", "calls", "errors", "client_errors").rows() == [
        ("shop", "GET /carts", 102, 0, 2),
        ("shop", "GET /carts", 103, 3, 0),
    ]
    assert frame["window_start"][0] == datetime(1970, 1, 1, tzinfo=UTC)
    assert frame["window_end"][0] - frame["window_start"][0] == timedelta(seconds=STEP)


def test_raw_counters_are_taken_apart_and_a_restart_is_no_negative_number():
    labels = {"__name__": "http_requests_total", "route": "/a", "code": "200"}
    frame = prometheus_windows(answer((labels, [10, 30, 5, 9])))
    assert frame["calls"].to_list() == [20, 5, 4]


def test_buckets_are_counts_beyond_their_ends():
    series = [
        ({"route": "/a", "le": le}, [count, count])
        for le, count in (("0.1", 60.0), ("0.5", 90.0), ("+Inf", 100.0))
    ]
    frame = prometheus_windows({"latency": answer(*series)})
    assert frame["calls"].to_list() == [100, 100]
    counts = [entry["count"] for entry in frame["latency_bins"][0]]
    assert counts == [60, 30, 10]
    assert frame["p50_ns"][0] == pytest.approx(0.1e9 * 50 / 60)
    assert 0.5e9 < frame["p95_ns"][0] <= 1e9


def test_a_slowdown_is_found_in_buckets_alone():
    rng = np.random.default_rng(5)
    ends = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, float("inf"))
    series: dict[float, list[float]] = {end: [] for end in ends}
    for i in range(60):
        durations = rng.lognormal(np.log(0.08) + (np.log(4) if i >= 50 else 0.0), 0.5, 80)
        for end in ends:
            series[end].append(float((durations <= end).sum()))
    document = answer(
        *(
            ({"route": "/a", "le": "+Inf" if end == float("inf") else str(end)}, values)
            for end, values in series.items()
        )
    )
    found = IntentDetector().detect(prometheus_windows(document)).signals
    assert {signal.kind for signal in found} == {"latency-regression"}
    onset = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=STEP * 50)
    assert onset < found[0].detected_at <= onset + timedelta(seconds=3 * STEP)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"status": "error", "error": "parse error", "data": {}}, "parse error"),
        ({"status": "success", "data": {"resultType": "vector", "result": []}}, "query_range"),
        (answer(({"code": "200"}, [1, 2])), "no point"),
        (answer(({"route": "/a"}, ["many", 2])), "'many'"),
    ],
)
def test_answers_that_say_nothing_say_why(document: dict, words: str):
    with pytest.raises(InputError, match=words):
        prometheus_windows(document)


def test_cloudwatch_has_counts_and_percentiles(tmp_path: Path):
    times = ["2025-03-04T09:05:00Z", "2025-03-04T09:00:00Z"]
    results = [
        {"Id": "calls_1", "Label": "GET /a", "Timestamps": times, "Values": [180, 200]},
        {"Id": "errors1", "Label": "GET /a", "Timestamps": times, "Values": [90, 2]},
        {"Id": "p99", "Label": "GET /a", "Timestamps": times, "Values": [0.75, 0.25]},
    ]
    path = written(tmp_path, {"MetricDataResults": results})
    frame = read_windows(path, ["p99=p99:s"])
    assert frame.select("calls", "errors", "p99_ns").rows() == [
        (200, 2, 250_000_000.0),
        (180, 90, 750_000_000.0),
    ]
    with pytest.raises(InputError, match="'latency'"):
        cloudwatch_windows({"MetricDataResults": [{**results[0], "Id": "latency"}]})
    with pytest.raises(InputError, match="2 times and 1 values"):
        cloudwatch_windows({"MetricDataResults": [{**results[0], "Values": [1]}]})


def histogram(end: int, counts: list[int], *, start: int = 0, status: str = "200") -> dict:
    return {
        "startTimeUnixNano": str(start),
        "timeUnixNano": str(end * 10**9),
        "count": str(sum(counts)),
        "bucketCounts": [str(c) for c in counts],
        "explicitBounds": [0.1, 0.5],
        "attributes": [
            {"key": "http.route", "value": {"stringValue": "/a"}},
            {"key": "http.request.method", "value": {"stringValue": "GET"}},
            {"key": "http.response.status_code", "value": {"intValue": status}},
        ],
    }


def metrics(points: list[dict], temporality: object, kind: str = "histogram") -> dict:
    body = {"aggregationTemporality": temporality, "dataPoints": points}
    metric = {"name": "http.server.request.duration", "unit": "s", kind: body}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]}


def test_cumulative_histograms_are_taken_apart_and_restarts_begin_anew():
    points = [
        histogram(60, [5, 1, 0]),
        histogram(120, [9, 2, 0]),
        histogram(180, [3, 0, 1], start=130),
    ]
    frame = otlp_metric_windows(metrics(points, 2))
    assert frame["calls"].to_list() == [5, 4]
    assert frame["service"].to_list() == ["shop", "shop"]
    assert otlp_metric_windows(metrics(points[:1], 1))["calls"].to_list() == [6]


def test_states_of_histograms_are_errors():
    points = [histogram(60, [5, 1, 0]), histogram(60, [0, 0, 2], status="500")]
    frame = otlp_metric_windows(metrics(points, 1))
    assert frame.select("calls", "errors", "error_rate").rows() == [(8, 2, 0.25)]


def test_exponential_histograms_have_buckets_too():
    point = histogram(60, [0, 0, 0]) | {
        "scale": 0,
        "zeroCount": "1",
        "positive": {"offset": -4, "bucketCounts": ["2", "0", "7"]},
    }
    frame = otlp_metric_windows(
        metrics([point], "AGGREGATION_TEMPORALITY_DELTA", "exponentialHistogram")
    )
    assert frame["calls"].to_list() == [10]
    assert 0.2e9 < frame["p95_ns"][0] <= 0.5e9


def test_protobuf_says_the_same_as_json(tmp_path: Path):
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

    document = metrics([histogram(60, [5, 1, 0])], 1)
    data = ParseDict(document, MetricsData()).SerializeToString()
    (tmp_path / "metrics.pb").write_bytes(data)
    assert read_windows(tmp_path / "metrics.pb").equals(otlp_metric_windows(document))
    with pytest.raises(InputError, match="no OTLP metrics"):
        metrics_of_protobuf(b"\xff\xff\xff")


def test_a_malformed_histogram_and_other_json_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="2 counts for 2 bounds"):
        otlp_metric_windows(metrics([histogram(60, [5, 1])], 1))
    with pytest.raises(UnknownFormatError, match="Prometheus"):
        read_windows(written(tmp_path, {"rows": 3}))
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="no JSON"):
        read_windows(tmp_path / "bad.json")


def test_the_guides_queries_give_labels_that_are_understood():
    queries = re.findall(r"```promql\n(.+?)\n```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(queries) == 2
    for query in queries:
        names = re.search(r"sum by \(([^)]+)\)", query)[1].split(", ")
        labels = {
            name: {"method": "GET", "route": "/a", "code": "200", "le": "0.1", "job": "shop"}[name]
            for name in names
        }
        frame = prometheus_windows(answer((labels, [1.0, 2.0])))
        assert frame["operation_key"].unique().to_list() == ["GET /a"]
        assert frame["service"].unique().to_list() == ["shop"]
    assert isinstance(frame, pl.DataFrame)
