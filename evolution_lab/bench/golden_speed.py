"""How many recorded calls a second become golden tests, from snapshots to the text of the suites."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

from evolution_lab.bench.golden_services import new_service, service_module
from evolution_lab.bench.services import DEVELOPED_ON, RealWorld
from evolution_lab.bench.services.traffic import recording
from evolution_lab.bench.targets import BenchReport, Target
from evolution_lab.golden.emitting import emit
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.side_files import EmitSettings, side_text
from evolution_lab.records import TrafficSnapshot

_ROUNDS: Final = 3
_LEAST_BYTES: Final = 600


def generation(*, quick: bool = False) -> BenchReport:
    """Measure snapshots a CPU second on one core, suites for pytest, side files included.

    Args:
        quick: 1,500 calls instead of 6,000.
    """
    snapshots = _recorded(1500 if quick else 6000)
    size = sum(map(_size, snapshots)) / len(snapshots)
    settings = EmitSettings(framework="pytest", runner_import="http", base_url="http://127.0.0.1:1")
    rates = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        written = 0
        for suite in GoldenTestGenerator().generate_all(snapshots).values():
            emitted = emit(suite, Path("test_suite.py"), settings)
            written += len(emitted.code) + len(emitted.data or "") + len(side_text(emitted.side))
        rates.append(len(snapshots) / (time.process_time() - began))
    return BenchReport(
        targets=(
            Target(
                id="golden.speed.generate",
                value=sorted(rates)[_ROUNDS // 2],
                interval=(min(rates), max(rates)),
                target=2000,
                bound="at least",
                what=f"Snapshots a CPU second, {len(snapshots):,} calls of {size:.0f} bytes to suites "
                f"of pytest with their side files ({_ROUNDS} rounds, their range).",
            ),
        )
    )


def _recorded(calls: int) -> list[TrafficSnapshot]:
    """Return calls with bodies of some size; small ones would flatter the figure."""
    found: list[TrafficSnapshot] = []
    seed = 0
    while len(found) < calls:
        for name in DEVELOPED_ON:
            service = new_service(service_module(name), RealWorld(seed))
            recorded = recording(name, service.call, sessions=200, seed=seed)
            found += [each for each in recorded if _size(each) >= _LEAST_BYTES]
        seed += 1
    return found[:calls]


def _size(snapshot: TrafficSnapshot) -> int:
    return len(json.dumps([snapshot.input, snapshot.output]))
