"""``bench golden``, recording: what a call pays for being watched, and how much memory a million take."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from evolution_lab.bench.targets import BenchReport, Target
from evolution_lab.golden import InMemoryTrafficStore, LakeTrafficStore, TrafficRecorder
from evolution_lab.golden.http_snapshots import HeaderList
from evolution_lab.golden.recorder_queue import FrameQueue
from evolution_lab.golden.sampling import first_share, share_of
from evolution_lab.records import OperationRef, TrafficSnapshot

Progress = Callable[[int, int], None]

UNSAMPLED_MICROSECONDS: Final = 2.0
SAMPLED_MICROSECONDS: Final = 20.0
GROWTH_MEGABYTES: Final = 256.0
_ROUNDS: Final = 15
_SEED: Final = 5
_BASE: Final = 50_000
_OPERATIONS: Final = 40


def bench_recording(*, quick: bool = False, progress: Progress | None = None) -> BenchReport:
    """Measure the request path in CPU time of the calling thread, and a store's peak memory.

    Args:
        quick: Store 150,000 snapshots instead of 1,000,000.
        progress: Called with the steps done and the steps in all.
    """
    tell = progress or (lambda _done, _total: None)
    tell(0, 3)
    unsampled = _unsampled(2_000 if quick else 10_000)
    tell(1, 3)
    sampled = _sampled(500 if quick else 2_000)
    tell(2, 3)
    total = 150_000 if quick else 1_000_000
    memory = _memory(total)
    tell(3, 3)
    targets = (
        Target(
            id="G10-unsampled-us",
            value=_median(unsampled),
            interval=_middle(unsampled),
            target=UNSAMPLED_MICROSECONDS,
            bound="at most",
            what="Microseconds of a record() that is not sampled: median of rounds, "
            "interval from the second lowest to the second highest.",
        ),
        Target(
            id="G10-sampled-us",
            value=_median(sampled),
            interval=_middle(sampled),
            target=SAMPLED_MICROSECONDS,
            bound="at most",
            what="Microseconds of a record() of 1 KB in and out that is sampled, in the request path.",
        ),
        Target(
            id="G10-memory-mb",
            value=memory["growth"],
            target=GROWTH_MEGABYTES,
            bound="at most",
            what=f"Megabytes by which peak memory grows from {_BASE:,} to {total:,} snapshots "
            "written, and one operation read back.",
        ),
    )
    return BenchReport(targets, tables={"recording: a store in the lake": (memory,)})


def payload() -> dict[str, Any]:
    """Return an object of about 1 KB as JSON."""
    return {
        "items": [
            {"id": f"it_{n}", "name": f"thing number {n}", "price": n * 1.5, "ok": True}
            for n in range(15)
        ]
    }


def _recorder() -> TrafficRecorder:
    return TrafficRecorder(store=InMemoryTrafficStore(), headers=HeaderList())


def _traces(number: int, *, sampled: bool) -> list[str]:
    first, chance = first_share(0.04), random.Random(_SEED)  # noqa: S311
    found: list[str] = []
    while len(found) < number:
        trace = f"{chance.getrandbits(128):032x}"
        if (share_of(trace) >= first) is sampled:
            found.append(trace)
    return found


def _unsampled(calls: int) -> list[float]:
    recorder, body = _recorder(), payload()
    traces = _traces(calls, sampled=False)
    recorder.record("cart.add", body, output=body, trace_id=traces[0])
    rounds = [_round(recorder, body, traces) for _ in range(_ROUNDS)]
    recorder.close()
    return rounds


def _sampled(calls: int) -> list[float]:
    """Measure with a queue that nobody empties meanwhile: its thread would be measured too."""
    body, traces = payload(), _traces(calls, sampled=True)
    rounds = []
    for _ in range(_ROUNDS):
        recorder = _recorder()
        recorder._queue = FrameQueue(lambda _: time.sleep(0.5))
        recorder.record("cart.add", body, output=body, trace_id=traces[0])
        time.sleep(0.05)
        rounds.append(_round(recorder, body, traces))
    return rounds


def _round(recorder: TrafficRecorder, body: Any, traces: list[str]) -> float:
    record = recorder.record
    began = time.thread_time_ns()
    for trace in traces:
        record("cart.add", body, output=body, trace_id=trace)
    return (time.thread_time_ns() - began) / len(traces) / 1_000


def _memory(total: int) -> dict[str, Any]:
    """Store snapshots in a process of its own, whose peak memory is nobody else's."""
    code = (
        "import json, sys; from evolution_lab.bench.golden_recording import fill; "
        "print(json.dumps(fill(sys.argv[1], int(sys.argv[2]))))"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-c", code, folder, str(total)],
            capture_output=True,
            text=True,
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def fill(folder: str, total: int) -> dict[str, Any]:
    """Store snapshots in a lake and read one operation back; return peak memory and times.

    Args:
        folder: A lab directory.
        total: How many.
    """
    import resource

    unit = 1_048_576 if sys.platform == "darwin" else 1_024

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit

    store = LakeTrafficStore(Path(folder), distinct=False)
    began = time.process_time()
    store.add(_snapshots(0, _BASE))
    sum(1 for _ in store.snapshots("operation.7"))
    first = peak()
    store.add(_snapshots(_BASE, total))
    written = time.process_time() - began
    began = time.process_time()
    read = sum(1 for _ in store.snapshots("operation.7"))
    return {
        "snapshots": total,
        "base_mb": round(first, 1),
        "peak_mb": round(peak(), 1),
        "growth": round(peak() - first, 1),
        "written_per_cpu_second": round(total / written),
        "read_back": read,
        "read_cpu_seconds": round(time.process_time() - began, 2),
    }


def _snapshots(since: int, until: int) -> Iterator[TrafficSnapshot]:
    start, body = datetime(2026, 3, 1, tzinfo=UTC), payload()
    for number in range(since, until):
        yield TrafficSnapshot(
            id=f"{number:016x}",
            operation=OperationRef(f"operation.{number % _OPERATIONS}", "shop", "1.0.0"),
            input={"n": number},
            output={**body, "id": f"it_{number}"},
            success=True,
            timestamp=start + timedelta(milliseconds=600 * number),
            sample_rate=0.04,
        )


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _middle(values: list[float]) -> tuple[float, float]:
    ranked = sorted(values)
    return ranked[1], ranked[-2]
