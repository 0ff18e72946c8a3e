"""``watch``, ``mute`` and ``maintenance`` on the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from evolution_lab.cli import main
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.spool import Spool

REQUEST = {
    "resourceSpans": [
        {
            "scopeSpans": [
                {
                    "spans": [
                        {
                            "traceId": "1" * 32,
                            "spanId": "1" * 16,
                            "name": "GET /x",
                            "kind": 2,
                            "startTimeUnixNano": "1777881600000000000",
                            "endTimeUnixNano": "1777881600001000000",
                        }
                    ]
                }
            ]
        }
    ]
}


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_watch_lands_what_it_took_when_it_is_asked_to_end(tmp_path: Path, number: signal.Signals):
    command = [sys.executable, "-m", "evolution_lab", "watch", "--otlp", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--data", str(tmp_path), "--json", "--interval", "1h"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        address = said.removeprefix("Receiving at ").partition(";")[0]
        request = urllib.request.Request(
            address,
            data=json.dumps(REQUEST).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        process.send_signal(number)
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")
    documents = [json.loads(line) for line in out.splitlines()]
    assert {"type": "landed", "rows": 1, "quarantined": 0, "duplicates": 0} in documents
    assert Lake(tmp_path).samples().collect().height == 1
    assert list(tmp_path.glob("spool/otlp-*")) == []


def test_one_look_says_what_a_killed_receiver_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    Spool(tmp_path).append("jsonl", json.dumps(REQUEST).encode())
    argv = ["watch", "--otlp", "127.0.0.1:0", "--once", "--json", "--data", str(tmp_path)]
    assert main(argv) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["rows"] for each in documents if each["type"] == "landed"] == [1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--otlp", "0.0.0.0:4318"], "otlp-anywhere"),
        (["--otlp", "4318"], "HOST:PORT"),
        (["--grace", "soon"], "duration"),
        (["nowhere.jsonl", "--once"], "nowhere.jsonl"),
    ],
)
def test_watch_says_what_it_cannot_do(
    given: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["watch", "--data", str(tmp_path), *given]) == 2
    assert said in capsys.readouterr().err


def test_a_mute_is_set_listed_and_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data = ["--data", str(tmp_path)]
    assert (
        main(["mute", "pay*", "--until", "2h", "--why", "a\x1b[31m fault", "--by", "ada", *data])
        == 0
    )
    assert "\x1b" not in capsys.readouterr().out
    assert main(["mute", "--json", *data]) == 0
    (kept,) = json.loads(capsys.readouterr().out)
    assert (kept["operations"], kept["by"]) == ("pay*", "ada")
    assert main(["unmute", "pay", *data]) == 2
    assert "Did you mean 'pay*'" in capsys.readouterr().err
    assert main(["unmute", "pay*", *data]) == 0
    assert main(["mute", *data]) == 0
    assert "Nothing is muted" in capsys.readouterr().out
    assert main(["mute", "pay", "--why", "x", *data]) == 2
    assert main(["mute", "pay", "--until", "1h", *data]) == 2


def test_maintenance_is_added_listed_and_called_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    data = ["--data", str(tmp_path)]
    assert main(["maintenance", "add", "2999-01-01", "2h", "--why", "disks", *data, "--json"]) == 0
    (added,) = json.loads(capsys.readouterr().out)
    assert added["endsAt"] == "2999-01-01T02:00:00Z"
    assert main(["maintenance", "list", *data]) == 0
    assert added["id"] in capsys.readouterr().out
    assert main(["maintenance", "remove", added["id"], *data]) == 0
    assert main(["maintenance", "add", "2020-01-01", "2h", "--why", "late", *data]) == 2
