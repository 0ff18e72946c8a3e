from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import polars as pl
import pytest

from evolution_lab.datasets import (
    Fault,
    PlannedFault,
    Recording,
    default_plan,
    read_faults,
    shop_recording,
)
from evolution_lab.datasets.__main__ import main
from evolution_lab.datasets.otlp_lines import otlp_lines
from evolution_lab.datasets.shop import ENDPOINTS, WORKFLOW, operation
from evolution_lab.errors import (
    CorruptFileError,
    FormatVersionError,
    InputError,
    PathNotFoundError,
)
from evolution_lab.schemas import SAMPLES, check

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recording() -> Recording:
    return shop_recording()


@pytest.fixture(scope="module")
def written(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    recording.write_otlp(folder)
    return folder


@pytest.fixture(scope="module")
def short() -> Recording:
    return shop_recording(minutes=60, calls_per_minute=60)


@pytest.fixture(scope="module")
def otlp_spans(short: Recording) -> list[dict]:
    return [
        span
        for line in otlp_lines(short.spans, short.start)
        for resource in orjson.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def values(attributes: list[dict]) -> dict[str, str | int]:
    return {a["key"]: next(iter(a["value"].values())) for a in attributes}


def rows(recording: Recording, fault: Fault, *, during: bool) -> pl.DataFrame:
    """Server spans of the fault's operation (and tenant), within the fault or in the quiet part."""
    op = fault.operation
    spans = recording.spans.filter(kind="server", key=op.key, service=op.service)
    if op.tenant_id is not None:
        spans = spans.filter(tenant_id=op.tenant_id)
    if during:
        return spans.filter(
            pl.col("start").is_between(fault.start, fault.end, closed="left"), version=op.version
        )
    return spans.filter(pl.col("start") < recording.quiet_until)


def named(recording: Recording, name: str) -> Fault:
    return next(fault for fault in recording.faults if fault.name == name)


def test_equal_seeds_give_equal_recordings_in_another_process() -> None:
    code = (
        "import sys\n"
        "from evolution_lab.datasets import shop_recording\n"
        "from evolution_lab.datasets.otlp_lines import otlp_lines\n"
        "r = shop_recording(seed=3, minutes=5, plan=())\n"
        "sys.stdout.buffer.write(b''.join(otlp_lines(r.spans, r.start)) + r.faults_json())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "1"},
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    here = shop_recording(seed=3, minutes=5, plan=())
    assert b"".join(otlp_lines(here.spans, here.start)) + here.faults_json() == elsewhere
    assert not shop_recording(seed=4, minutes=5, plan=()).spans.equals(here.spans)


def test_the_gzip_header_carries_no_time(written: Path) -> None:
    assert (written / "spans.jsonl.gz").read_bytes()[4:8] == b"\x00" * 4


def test_lines_are_what_the_collector_writes(otlp_spans: list[dict], short: Recording) -> None:
    assert len(otlp_spans) == short.spans.height
    for span in otlp_spans:
        assert len(bytes.fromhex(span["traceId"])) == 16
        assert len(bytes.fromhex(span["spanId"])) == 8
        assert len(bytes.fromhex(span["parentSpanId"])) in {0, 8}
        assert int(span["endTimeUnixNano"]) > int(span["startTimeUnixNano"]) > 1_741_000_000 * 10**9
        assert span["kind"] in {2, 3, 4, 5}
        assert span["status"].get("code") in {None, 2}
    assert len({(span["traceId"], span["spanId"]) for span in otlp_spans}) == len(otlp_spans)


def test_server_spans_name_their_route_and_never_fail_on_a_client_error(
    otlp_spans: list[dict],
) -> None:
    seen = set()
    for span in otlp_spans:
        names = values(span["attributes"])
        if span["kind"] != 2:
            continue
        seen.add(int(names["http.response.status_code"]) // 100)
        assert names["http.route"] in {endpoint.route for endpoint in ENDPOINTS.values()}
        assert "{" not in names["url.path"]
        status = int(names["http.response.status_code"])
        if "graphql.operation.name" not in names:
            assert (status >= 500) == ("code" in span["status"])
        else:
            assert status == 200
    assert seen == {2, 4, 5}


def test_every_actor_is_synthetic(recording: Recording) -> None:
    users = recording.spans["user_id"].drop_nulls()
    assert users.str.ends_with("@example.com").all()
    assert users.n_unique() > 200


def test_parents_are_in_the_data_and_enclose_their_children(recording: Recording) -> None:
    spans = recording.spans.select(
        "trace_id", "span_id", "kind", "start_us", end_us=pl.col("start_us") + pl.col("duration_us")
    )
    children = recording.spans.filter(pl.col("parent_span_id").is_not_null()).select(
        "trace_id",
        "start_us",
        child_kind="kind",
        span_id="parent_span_id",
        child_end_us=pl.col("start_us") + pl.col("duration_us"),
    )
    joined = children.join(spans, on=["trace_id", "span_id"], suffix="_parent")
    assert joined.height == children.height
    assert (joined["start_us"] >= joined["start_us_parent"]).all()
    assert (joined["child_end_us"] <= joined["end_us"]).all()
    kinds = set(joined.select("kind", "child_kind").unique().iter_rows())
    assert kinds == {("server", "client"), ("client", "server"), ("server", "producer")}


def test_no_span_begins_outside_the_recording(recording: Recording) -> None:
    start = recording.spans["start"]
    assert recording.start <= start.min() < recording.start + timedelta(seconds=5)
    assert recording.end - timedelta(seconds=5) < start.max() < recording.end


def test_the_first_third_is_quiet(recording: Recording) -> None:
    assert recording.quiet_until >= recording.start + timedelta(minutes=recording.minutes / 3)
    quiet = recording.spans.filter(pl.col("start") < recording.quiet_until, kind="server")
    by_key = quiet.group_by("key").agg(
        pl.len(), pl.col("failed").mean(), wrong=pl.col("status").is_between(400, 499).mean()
    )
    assert by_key.height == 12
    assert (by_key["failed"] < 0.02).all()
    assert (by_key["wrong"] < 0.04).all()
    assert (by_key["len"] / (recording.quiet_until - recording.start).seconds * 60 > 4).all()


def test_ordinary_traffic_is_overdispersed_but_steady(recording: Recording) -> None:
    quiet = recording.spans.filter(pl.col("start") < recording.quiet_until, kind="server")
    calls = (
        quiet.group_by(pl.col("start").dt.truncate("1m")).len().sort("start")["len"].cast(pl.Int64)
    )
    assert calls.var() > 1.2 * calls.mean()
    assert calls[:20].mean() == pytest.approx(calls[-20:].mean(), rel=0.2)


@pytest.mark.parametrize(("name", "least"), [("tenant-error-burst", 0.7), ("bad-version", 0.45)])
def test_error_faults_show_where_their_label_says(
    recording: Recording, name: str, least: float
) -> None:
    fault = named(recording, name)
    during = rows(recording, fault, during=True)
    assert during["failed"].mean() > least
    assert during.height > 40
    elsewhere = recording.spans.filter(
        pl.col("start").is_between(fault.start, fault.end, closed="left"),
        pl.col("tenant_id") != fault.operation.tenant_id
        if fault.operation.tenant_id
        else pl.col("version") != fault.operation.version,
        kind="server",
        key=fault.operation.key,
    )
    assert elsewhere["failed"].mean() < 0.02


def test_client_errors_burst_and_no_server_error_with_them(recording: Recording) -> None:
    fault = named(recording, "client-error-burst")
    during = rows(recording, fault, during=True)
    assert fault.error_class == "client"
    assert (during["status"] == 422).mean() > 0.45
    assert during["failed"].mean() < 0.03


def test_a_slow_dependency_slows_its_callers(recording: Recording) -> None:
    fault = named(recording, "slow-dependency")
    assert {op.key for op in fault.affected} == {"POST /carts/{cart_id}/items", "POST /quotes"}
    for op in (fault.operation, *fault.affected):
        label = Fault(
            name="", kind=fault.kind, operation=op, start=fault.start, end=fault.end, description=""
        )
        before = rows(recording, label, during=False)["duration_us"].median()
        assert rows(recording, label, during=True)["duration_us"].median() > 2.5 * before


def test_a_stopped_operation_is_not_called_until_the_end(recording: Recording) -> None:
    fault = named(recording, "stopped-operation")
    assert fault.end == recording.end
    assert rows(recording, fault, during=True).height == 0
    assert rows(recording, fault, during=False).height > 500


def test_the_workflow_is_far_more_frequent_than_random_order_explains(recording: Recording) -> None:
    entries = recording.spans.filter(pl.col("session_id").is_not_null()).sort("start_us")
    sessions = entries.group_by("session_id", maintain_order=True).agg("key")["key"].to_list()

    def share(chain: tuple[str, ...]) -> float:
        found = sum(
            any(tuple(keys[i : i + 3]) == chain for i in range(len(keys) - 2)) for keys in sessions
        )
        return found / len(sessions)

    assert named(recording, "repeated-workflow").steps == tuple(operation(k) for k in WORKFLOW)
    assert share(WORKFLOW) > 0.2
    assert share(("GET /products", *WORKFLOW[1:])) < 0.02


def test_a_recording_without_a_plan_has_no_fault() -> None:
    quiet = shop_recording(minutes=10, plan=())
    assert [fault.kind for fault in quiet.faults] == ["missing-operation"]
    assert quiet.quiet_until == quiet.end
    assert quiet.spans["version"].n_unique() == 5


def test_a_plan_of_ones_own_is_followed() -> None:
    plan = (
        PlannedFault(
            name="down",
            key="POST /invoices",
            start_minute=2,
            end_minute=4,
            error_rate=1.0,
            description="Invoices fail.",
        ),
    )
    recording = shop_recording(
        minutes=6, plan=plan, start=datetime(2024, 2, 29, 23, 58, tzinfo=UTC)
    )
    down = named(recording, "down")
    assert (down.start, down.end) == (
        datetime(2024, 3, 1, tzinfo=UTC),
        datetime(2024, 3, 1, 0, 2, tzinfo=UTC),
    )
    assert rows(recording, down, during=True)["failed"].all()


def test_plans_scale_with_the_length() -> None:
    for fault, half in zip(default_plan(), default_plan(90), strict=True):
        assert half.start_minute == fault.start_minute // 2
    with pytest.raises(InputError, match="minutes == 30, must be at least 60"):
        default_plan(30)


def test_samples_keep_their_contract(recording: Recording) -> None:
    samples = check(recording.samples(), SAMPLES)
    assert samples.height == recording.spans.height
    wanted = operation("GET /stock/{sku}")
    assert samples.filter(operation_key=wanted.key, kind="server")["op_id"].unique().to_list() == [
        wanted.op_id
    ]


def test_labels_survive_the_file(recording: Recording, written: Path) -> None:
    assert read_faults(written) == recording.faults
    assert read_faults(written / "faults.json") == recording.faults


def test_labels_show_as_a_table(recording: Recording) -> None:
    assert "bad-version" in str(recording)
    assert recording.to_polars().height == len(recording.faults)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"format_version": 2, "faults": []}', FormatVersionError),
        ('{"format_version": 1}', CorruptFileError),
        ('{"format_version": 1, "faults": [{"name": "x"}]}', CorruptFileError),
        ('{"format_version": 1, "faults": 3}', CorruptFileError),
        ("[]", CorruptFileError),
        ("{", CorruptFileError),
    ],
)
def test_files_that_hold_no_labels_are_refused(
    tmp_path: Path, text: str, error: type[Exception]
) -> None:
    (tmp_path / "faults.json").write_text(text, encoding="utf-8")
    with pytest.raises(error):
        read_faults(tmp_path)


def test_a_missing_file_of_labels_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError, match=r"faults\.json"):
        read_faults(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"minutes": 0}, "minutes == 0"),
        ({"calls_per_minute": 0}, "calls_per_minute == 0"),
        ({"start": datetime(2025, 1, 1)}, "time zone"),  # noqa: DTZ001
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        shop_recording(plan=(), **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end_minute": 1}, "ends after it begins"),
        ({"error_rate": 1.5}, r"error_rate == 1\.5"),
        ({"latency_factor": 0.0}, "latency_factor == 0"),
        ({"error_rate": 0.0}, "changes nothing"),
    ],
)
def test_impossible_faults_are_refused(change: dict, message: str) -> None:
    fault = {"name": "f", "key": "GET /products", "start_minute": 1, "end_minute": 2}
    with pytest.raises(InputError, match=message):
        PlannedFault(**({**fault, "description": "", "error_rate": 0.5} | change))


def test_a_plan_that_names_what_the_shop_has_not_is_refused() -> None:
    fault = PlannedFault(
        name="f",
        key="GET /nothing",
        tenant="nobody",
        start_minute=1,
        end_minute=2,
        error_rate=0.5,
        description="",
    )
    with pytest.raises(InputError, match="GET /nothing, nobody"):
        shop_recording(minutes=5, plan=(fault,))


def test_the_command_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "new"), "--minutes", "60", "--seed", "7"]) == 0
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["faults.json", "spans.jsonl.gz"]
    output = capsys.readouterr()
    assert output.out == ""
    assert "tenant-error-burst" in output.err
