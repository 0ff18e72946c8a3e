"""``watch`` for a long time: it holds no more memory and no more handles at the end than at the start.

A minute in ``make test-long``, an hour with ``EVOLUTION_LAB_SOAK=3600``. ``-s`` shows the figures.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import polars as pl
import pytest
from scipy.stats import theilslopes

from evolution_lab.telemetry.lake import Lake

SECONDS = float(os.environ.get("EVOLUTION_LAB_SOAK", "60"))
WINDOW = f"{next(n for n in (5, 10, 15, 30, 60) if n >= SECONDS / 60)}s"
SPANS_A_SECOND = 20
SETTLING = 0.4
"""Share of the time in which what is loaded once is loaded: libraries, pools, the first detection."""
GROWTH_SHARE = 0.1
MEGABYTE = 1 << 20


@dataclass
class Look:
    at: float
    megabytes: float
    handles: int


def spans(numbers: range) -> bytes:
    now = time.time_ns()
    made = [
        {
            "traceId": f"{number + 1:032x}",
            "spanId": f"{number + 1:016x}",
            "name": f"GET /things/{number % 5}",
            "kind": 2,
            "startTimeUnixNano": str(now - 1_000_000 * (number % 40 + 5)),
            "endTimeUnixNano": str(now),
            "attributes": [
                {"key": "http.request.method", "value": {"stringValue": "GET"}},
                {"key": "http.route", "value": {"stringValue": f"/things/{number % 5}"}},
                {"key": "http.response.status_code", "value": {"intValue": "200"}},
            ],
        }
        for number in numbers
    ]
    named = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    scope = [{"scope": {}, "spans": made}]
    return json.dumps({"resourceSpans": [{"resource": named, "scopeSpans": scope}]}).encode()


@contextmanager
def watching(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [
        *(sys.executable, "-m", "evolution_lab", "watch", "--otlp", "127.0.0.1:0"),
        *("--data", str(data), "--every", WINDOW, "--grace", "2s", "--interval", "1s", "--json"),
    ]
    log = data.with_suffix(".log")
    with (
        log.open("w") as said,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, text=True) as process,
    ):
        try:
            deadline = time.monotonic() + 60
            while "/v1/traces" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, "it does not listen"
                time.sleep(0.1)
            yield process, log.read_text().partition("Receiving at ")[2].split("/")[-3]
        finally:
            process.kill()


def looked_at(process: subprocess.Popen[str]) -> Look:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    handles = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
    return Look(time.monotonic(), pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE, handles)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_watch_holds_no_more_at_the_end_than_at_the_start(tmp_path: Path):
    data, looks, sent = tmp_path / "lab", [], 0
    with watching(data) as (process, address):
        until = time.monotonic() + SECONDS
        for turn in count():
            began = time.monotonic()
            if began >= until:
                break
            body = spans(range(turn * SPANS_A_SECOND, (turn + 1) * SPANS_A_SECOND))
            asked = http.client.HTTPConnection(address, timeout=60)
            asked.request("POST", "/v1/traces", body, {"content-type": "application/json"})
            answer = asked.getresponse()
            answer.read()
            asked.close()
            assert answer.status == 200
            sent += SPANS_A_SECOND
            assert process.poll() is None
            looks.append(looked_at(process))
            time.sleep(max(0.0, began + 1 - time.monotonic()))
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    assert Lake(data).samples().select(pl.len()).collect().item() == sent
    settled = [look for look in looks if look.at >= looks[0].at + SETTLING * SECONDS]
    times = [look.at for look in settled]
    held = [look.megabytes for look in settled]
    slope, _, low, high = theilslopes(held, times, alpha=0.95)
    middle, length = sorted(held)[len(held) // 2], times[-1] - times[0]
    handles = [look.handles for look in settled]
    print(
        f"\n{SECONDS:.0f} s, {sent} spans: {middle:.0f} MB, {slope * 3600:+.1f} MB an hour "
        f"({low * 3600:+.1f} to {high * 3600:+.1f}); {min(handles)} to {max(handles)} handles"
    )
    assert low * length <= GROWTH_SHARE * middle
    half = len(handles) // 2
    assert max(handles[half:]) <= max(handles[:half]) + 2
