"""The shop's spans in a file, and what landing makes of them."""

import gzip
import json

import polars as pl
import pytest

from evolution_lab import Lab
from evolution_lab.demo.shop import OtlpFileExporter
from evolution_lab.demo.timeline import Faults


@pytest.fixture(scope="module")
def recorded(serve, send_sessions, tmp_path_factory):
    """The file of spans, and the exchanges that left them."""
    path = tmp_path_factory.mktemp("otlp") / "spans.jsonl"
    faults = Faults()
    with serve(faults=faults, exporter=OtlpFileExporter(path)) as (app, client):
        answers = send_sessions(client, seed=2)
        faults.plant("bad-version")
        answers += send_sessions(client, seed=3, minutes=2.0)
        app.shop.faults.lift("bad-version")
    app.tracing.shutdown()
    return path, answers


@pytest.fixture(scope="module")
def spans(recorded):
    """All spans with the attributes of their resource."""
    found = []
    for line in recorded[0].read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            named = attributes(resource["resource"])
            for scope in resource["scopeSpans"]:
                found += [(named, span, attributes(span)) for span in scope["spans"]]
    return found


def attributes(part):
    return {a["key"]: next(iter(a["value"].values())) for a in part["attributes"]}


def test_every_answer_names_the_server_span_it_came_from(recorded, spans):
    servers = {(s["traceId"], s["spanId"]): a for _, s, a in spans if s["kind"] == 2}
    for _, answer in recorded[1]:
        _, trace, span, _ = answer.headers["traceresponse"].split("-")
        found = servers[trace, span]
        assert int(found["http.response.status_code"]) == answer.status_code
        assert found["tenant.id"] == answer.request.headers["x-tenant-id"]
        assert found["user.id"] == answer.request.headers["x-user-id"]
        assert found["session.id"] == answer.request.headers["x-session-id"]


def test_clients_begin_traces_and_services_continue_them(spans):
    by_id = {span["spanId"]: (resource, span) for resource, span, _ in spans}
    for resource, span, _ in spans:
        service, parent = resource["service.name"], span["parentSpanId"]
        if span["kind"] == 2 and service == "shop":
            assert parent == ""
        elif span["kind"] == 2:
            caller, call = by_id[parent]
            assert (service, caller["service.name"], call["kind"]) == ("payments", "shop", 3)
            assert call["traceId"] == span["traceId"]
        elif span["kind"] == 5:
            (link,) = span["links"]
            assert parent == ""
            assert by_id[link["spanId"]][1]["kind"] == 4
            assert link["traceId"] != span["traceId"]
        else:
            assert by_id[parent][1]["traceId"] == span["traceId"]


def test_failures_are_marked_and_refusals_are_not(spans):
    servers = [(s, a) for _, s, a in spans if s["kind"] == 2]
    failed = [(s, a) for s, a in servers if int(a["http.response.status_code"]) >= 500]
    refused = [(s, a) for s, a in servers if 400 <= int(a["http.response.status_code"]) < 500]
    assert failed
    assert refused
    assert {(s["status"]["code"], a["error.type"]) for s, a in failed} == {(2, "CurrencyMissing")}
    assert all("code" not in s["status"] and "error.type" not in a for s, a in refused)


def test_the_file_says_nothing_of_the_machine(recorded):
    text = recorded[0].read_text()
    for word in ("Traceback", "stacktrace", ".py", "host.name", "process.", "127.0.0.1"):
        assert word not in text


def test_landing_finds_the_operations_by_route_service_and_version(recorded, tmp_path):
    lab = Lab(tmp_path)
    packed = tmp_path / "spans.jsonl.gz"
    packed.write_bytes(gzip.compress(recorded[0].read_bytes()))
    landed = lab.land(packed)
    assert "0 quarantined" in landed.summary
    rows = lab.samples().filter(pl.col("kind").is_in(["server", "consumer"])).collect()
    served = rows.filter(pl.col("service") == "shop")
    assert served.height == len(recorded[1])
    assert {key for key, _ in recorded[1]} == set(served["operation_key"])
    assert set(served["operation_version"]) == {"2.4.1", "2.5.0"}
    assert set(served["tenant_id"]) == {"acme", "globex", "initech", "umbrella"}
    assert not served["actor_id"].str.contains("@").any()
    others = set(rows.filter(pl.col("service") != "shop").select("service", "operation_key").rows())
    assert others == {
        ("payments", "POST /authorizations"),
        ("fulfilment", "process orders.placed"),
    }
