"""The shop under OpenTelemetry and under the package's own middleware at once."""

import polars as pl

from evolution_lab import Lab
from evolution_lab.demo.shop import OtlpFileExporter, Watch
from evolution_lab.demo.timeline import Faults

COLUMNS = ("operation_key", "operation_version", "status_code", "tenant_id", "actor_id", "success")


def served(lab):
    """The rows of the shop's own operations, by their span."""
    rows = lab.samples().filter((pl.col("service") == "shop") & (pl.col("kind") == "server"))
    return rows.select("trace_id", "span_id", *COLUMNS).sort("trace_id", "span_id").collect()


def test_a_request_seen_twice_is_counted_once_and_reads_the_same(
    serve, send_sessions, tmp_path, monkeypatch
):
    monkeypatch.setenv("EVOLUTION_LAB_KEY", "0" * 64)
    spans, both, alone = tmp_path / "spans.jsonl", tmp_path / "both", tmp_path / "alone"
    faults = Faults()
    faults.plant("bad-version")
    watch = Watch(both)
    with serve(faults=faults, exporter=OtlpFileExporter(spans), watch=watch) as (app, client):
        answers = send_sessions(client, rate=5.0)
    counted = watch.close()
    app.tracing.shutdown()
    assert sorted(counted) == ["2.4.1", "2.5.0"]
    assert sum(one.seen for one in counted.values()) == len(answers)
    assert sum(one.written for one in counted.values()) == len(answers)
    lab = Lab(both)
    watched = served(lab)
    assert watched.height == len(answers)
    lab.land(spans)
    assert served(lab).height == len(answers)
    traced = Lab(alone)
    traced.land(spans)
    assert served(traced).equals(watched)


def test_watching_changes_no_answer(serve, send_sessions, stable):
    def broken(sample):
        raise RuntimeError(f"no room for {sample.operation}")

    runs = []
    for watch in (None, Watch(on_sample=broken)):
        with serve(watch=watch) as (_app, client):
            runs.append([(key, *stable(answer)) for key, answer in send_sessions(client)])
    assert runs[0] == runs[1]
    assert sum(watch.counters["2.4.1"].hook_errors.values()) == len(runs[1])
