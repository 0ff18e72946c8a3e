"""The bundled sample: a real recording, whose files and page have to agree with each other."""

from __future__ import annotations

import gzip
import io
from collections import Counter
from datetime import datetime
from pathlib import Path

import orjson
import pytest
import zstandard

from evolution_lab.config import load_config
from evolution_lab.datasets import bundled, read_faults, sample_path
from evolution_lab.errors import PathNotFoundError


@pytest.fixture(scope="module")
def labels() -> dict:
    return orjson.loads((sample_path() / "faults.json").read_bytes())


@pytest.fixture(scope="module")
def exchanges() -> list[dict]:
    packed = (sample_path() / "traffic.har.zst").open("rb")
    with packed, zstandard.ZstdDecompressor().stream_reader(packed) as plain:
        return orjson.loads(io.BufferedReader(plain).read())["log"]["entries"]


def servers() -> list[dict]:
    """Server spans of the shop itself."""
    return [
        span
        for line in gzip.decompress((sample_path() / "spans.jsonl.gz").read_bytes()).splitlines()
        for resource in orjson.loads(line)["resourceSpans"]
        if any(
            a["key"] == "service.name" and a["value"]["stringValue"] == "shop"
            for a in resource["resource"]["attributes"]
        )
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
        if span["kind"] == 2
    ]


def test_the_settings_of_the_sample_ask_for_half_minutes() -> None:
    config = load_config(path=sample_path() / "evolution_lab.toml", environment={})
    assert config.window.total_seconds() == 30


def test_the_sample_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in sample_path().iterdir()) < 8_000_000


def test_a_quiet_third_comes_first_and_every_fault_lies_behind_it(labels: dict) -> None:
    start, quiet, end = (
        datetime.fromisoformat(labels[name]) for name in ("start", "quietUntil", "end")
    )
    assert (quiet - start) / (end - start) >= 1 / 3
    faults = read_faults(sample_path())
    assert len(faults) == 9
    assert all(quiet <= fault.start < fault.end <= end for fault in faults)


def test_the_page_of_the_sample_tells_the_labels_and_counts_as_they_are(
    exchanges: list[dict],
) -> None:
    text = (sample_path() / "README.md").read_text(encoding="utf-8")
    assert f"{len(exchanges):,} exchanges" in text
    for fault in read_faults(sample_path()):
        row = f"| `{fault.name}` | {fault.start:%H:%M:%S} | {fault.end:%H:%M:%S} |"
        assert row in text


def test_spans_and_exchanges_are_of_the_same_requests(exchanges: list[dict]) -> None:
    seen = {span["traceId"] for span in servers()}
    told = {
        header["value"].split("-")[1]
        for entry in exchanges
        for header in entry["response"]["headers"]
        if header["name"] == "traceresponse"
    }
    assert len(told) == len(exchanges)
    assert told == seen


def test_clients_send_no_trace_context(exchanges: list[dict]) -> None:
    names = Counter(h["name"] for e in exchanges for h in e["request"]["headers"])
    assert "traceparent" not in names


def test_everybody_in_the_recording_is_synthetic(exchanges: list[dict]) -> None:
    users = {
        h["value"] for e in exchanges for h in e["request"]["headers"] if h["name"] == "x-user-id"
    }
    assert users
    assert all(user.endswith("@example.com") for user in users)


def test_the_gaps_of_the_spec_are_in_the_traffic(exchanges: list[dict]) -> None:
    document = (sample_path() / "openapi.json").read_text(encoding="utf-8")
    assert "restockedOn" not in document
    assert "sku_discontinued" not in document
    texts = [entry["response"]["content"].get("text", "") for entry in exchanges]
    assert any("restockedOn" in text for text in texts)
    assert any("sku_discontinued" in text for text in texts)


def test_a_wheel_carries_the_files_and_wins_over_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "evolution_lab"
    monkeypatch.setattr(bundled, "_PACKAGE", package)
    with pytest.raises(PathNotFoundError, match="notebooks"):
        bundled.notebooks_path()
    (tmp_path / "notebooks").mkdir()
    assert bundled.notebooks_path() == tmp_path / "notebooks"
    (package / "_bundled" / "notebooks").mkdir(parents=True)
    assert bundled.notebooks_path() == package / "_bundled" / "notebooks"
