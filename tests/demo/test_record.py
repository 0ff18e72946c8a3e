"""The commands: serving the shop, and recording it."""

import gzip
import json
import signal
import subprocess
import sys
from datetime import datetime

import httpx
import polars as pl
import pytest
import zstandard

from evolution_lab import Lab
from evolution_lab.datasets import read_faults
from evolution_lab.demo.record import main, record, window_seconds
from evolution_lab.demo.shop import openapi_document
from evolution_lab.demo.timeline import PLAN
from evolution_lab.errors import InputError

WHO = {"X-Tenant-Id": "acme", "X-User-Id": "acme.user-001@example.com"}


def test_the_shop_is_served_by_one_command_and_ends_when_told(tmp_path):
    spans = tmp_path / "spans.jsonl"
    command = [
        *(sys.executable, "-m", "evolution_lab.demo.shop", "--port", "0", "--otlp", str(spans)),
        *("--regression", "dropped-field", "--fault", "undocumented-field"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shop:
        try:
            url = shop.stdout.readline().strip()
            product = httpx.get(f"{url}/products/sku-0001", headers=WHO, trust_env=False).json()
        finally:
            shop.send_signal(signal.SIGTERM)
        assert shop.wait(15) == 0
    assert "currency" not in product
    assert "restockedOn" in product
    assert "GET /products/{sku}" in spans.read_text()


def test_an_unknown_regression_is_refused_by_the_command():
    command = [sys.executable, "-m", "evolution_lab.demo.shop", "--regression", "wrong"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "wrong-total" in refused.stderr


def test_windows_divide_a_day_and_are_about_eighty():
    for minutes in (0.5, 1, 7, 40, 180):
        length = window_seconds(minutes)
        assert 86_400 % length == 0
        assert minutes * 60 / length >= 30
    assert window_seconds(40) == 30


def test_what_cannot_be_recorded_is_refused(tmp_path, capsys):
    with pytest.raises(InputError):
        record(tmp_path, rate=0)
    assert main([str(tmp_path / "out"), "--minutes", "0"]) == 2
    assert "must be at least" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_fast_recording_is_whole_and_lands(tmp_path):
    recording = record(tmp_path / "out", minutes=0.5, rate=15.0)
    files = {path.name: path for path in recording.files}
    assert recording.load.unanswered == 0
    assert sum(path.stat().st_size for path in files.values()) < 1 << 20
    packed = files["traffic.har.zst"].read_bytes()
    har = json.loads(zstandard.ZstdDecompressor().decompressobj().decompress(packed))
    assert len(har["log"]["entries"]) == recording.load.answered > 300
    lines = gzip.decompress(files["spans.jsonl.gz"].read_bytes()).splitlines()
    assert all("resourceSpans" in json.loads(line) for line in lines)
    labels = read_faults(files["faults.json"])
    assert {fault.name for fault in labels} == set(PLAN)
    quiet = datetime.fromisoformat(json.loads(files["faults.json"].read_text())["quietUntil"])
    assert quiet == min(fault.start for fault in labels)
    assert json.loads(files["openapi.json"].read_text()) == openapi_document()
    lab = Lab(tmp_path / "lab", config=files["evolution_lab.toml"])
    assert "0 quarantined" in lab.land(files["spans.jsonl.gz"]).summary
    served = lab.samples().filter((pl.col("service") == "shop") & (pl.col("kind") == "server"))
    rows = served.collect()
    assert rows.height == recording.load.answered
    before = rows.filter(pl.col("timestamp") < quiet)
    assert set(before["operation_version"]) == {"2.4.1"}
    assert "2.5.0" in set(rows["operation_version"])
