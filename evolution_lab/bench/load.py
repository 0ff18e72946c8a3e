"""``bench load``: what the middleware and the recorder cost the demo shop under real load."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from evolution_lab.bench.load_clients import Clients, drawn_requests, saturate
from evolution_lab.bench.load_shop import Figures, shop_process
from evolution_lab.bench.load_sides import Side
from evolution_lab.bench.load_targets import (
    latency_targets,
    memory_targets,
    throughput_target,
)
from evolution_lab.bench.targets import BenchReport, Target
from evolution_lab.golden import LakeTrafficStore
from evolution_lab.telemetry.lake import Lake

Progress = Callable[[int, int], None]

_SEED: Final = 20_261_123
_REQUESTS: Final = 2_000
_FLUSH_SECONDS: Final = 2.0
_WARM_SECONDS: Final = 3
_ENDS: Final = ("written", "duplicates", "refused", "dropped", "lost")


@dataclass(frozen=True)
class Plan:
    """How long what is done.

    Attributes:
        pairs: Pairs of blocks at saturation, one bare and one watched.
        block_seconds: Length of such a block.
        turns: Pairs of turns at half of saturation.
        turn_seconds: Length of such a turn.
    """

    pairs: int
    block_seconds: int
    turns: int
    turn_seconds: float


QUICK: Final = Plan(pairs=6, block_seconds=2, turns=16, turn_seconds=1.0)
FULL: Final = Plan(pairs=24, block_seconds=4, turns=180, turn_seconds=1.0)


def bench_load(
    *, quick: bool = False, plan: Plan | None = None, progress: Progress | None = None
) -> BenchReport:
    """Measure the demo shop bare and watched, in turns, so that what else the machine does hits both.

    The watched one lands every request's sample and records 5 % of the requests for golden tests.
    At saturation each connection asks as soon as it is answered (by wrk where it is installed); at
    half of the bare shop's saturation requests are sent when they are due, and their latency counts
    from then.

    Args:
        quick: A minute instead of ten.
        plan: How long what is done, instead of either.
        progress: Called with the blocks done and the blocks in all.
    """
    plan = plan or (QUICK if quick else FULL)
    tell = progress or (lambda _done, _total: None)
    began = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        with (
            shop_process(None, flush_seconds=_FLUSH_SECONDS) as plain,
            shop_process(data, flush_seconds=_FLUSH_SECONDS) as watched,
        ):
            bare, seen = Side("bare", plain), Side("watched", watched)
            rate = _measure(bare, seen, plan, tell)
            last = (plain.end(), watched.end())
        counted = _counted(data, last[1])
    targets = (
        *latency_targets(bare, seen, rate),
        throughput_target(bare, seen),
        _loss_target(counted),
        *memory_targets(bare, seen),
    )
    tables: dict[str, tuple[dict[str, Any], ...]] = {
        "load: the two shops": tuple(
            side.row(figures) for side, figures in zip((bare, seen), last, strict=True)
        ),
        "load: what became of the requests": tuple(
            {"what": what, "number": number} for what, number in counted.items()
        ),
        "load: the machine": (
            {
                "load average before": round(began[0], 2),
                "load average after": round(os.getloadavg()[0], 2),
                "client at saturation": "wrk" if shutil.which("wrk") else "asyncio",
                "requests/s at half": round(rate, 1),
            },
        ),
    }
    return BenchReport(targets, tables=tables)


def _measure(bare: Side, seen: Side, plan: Plan, tell: Progress) -> float:
    """Measure both shops by turns; return the rate at half of the bare one's saturation."""
    requests = drawn_requests(_REQUESTS, seed=_SEED)
    total = plan.pairs + plan.turns
    for side in (bare, seen):
        saturate(side.shop.port, requests, _WARM_SECONDS)
        side.shop.settled()
    for pair in range(plan.pairs):
        tell(pair, total)
        for side in _in_turn(pair, bare, seen):
            side.at_saturation(requests, plan.block_seconds)
    rate = float(np.median(bare.rates)) / 2
    asyncio.run(_at_half(bare, seen, requests, rate, plan, tell))
    return rate


async def _at_half(
    bare: Side, seen: Side, requests: tuple[bytes, ...], rate: float, plan: Plan, tell: Progress
) -> None:
    asked = {side.name: await Clients.connected(side.shop.port) for side in (bare, seen)}
    for turn in range(plan.turns):
        tell(plan.pairs + turn, plan.pairs + plan.turns)
        # Each turn goes on in the list of requests where the one before it stopped, on both sides.
        size = max(1, int(rate * plan.turn_seconds))
        start = turn * size % len(requests)
        mixed = requests[start:] + requests[:start]
        for side in _in_turn(turn, bare, seen):
            await side.on_time(asked[side.name], mixed, rate, plan.turn_seconds)
    tell(plan.pairs + plan.turns, plan.pairs + plan.turns)
    for clients in asked.values():
        await clients.close()


def _in_turn(number: int, bare: Side, seen: Side) -> tuple[Side, Side]:
    return (seen, bare) if number % 2 else (bare, seen)


def _counted(data: Path, last: Figures) -> dict[str, int]:
    """Return what became of every request, from the service, its counters and the disk."""
    samples, recorder = last.samples, last.recorder
    rows = Lake(data).samples().select(pl.len()).collect().item()
    stored = sum(1 for _ in LakeTrafficStore(data).snapshots())
    ends = {name: samples[name] for name in _ENDS}
    kept = {f"recorded: {name}": recorder[name] for name in _ENDS}
    return {
        "served": last.served,
        "seen": samples["seen"],
        **ends,
        "rows in the lake": rows,
        "recorded: chosen": _chosen(recorder),
        **kept,
        "snapshots in the lake": stored,
        "uncounted": uncounted(last, rows=rows, stored=stored),
    }


def uncounted(last: Figures, *, rows: int, stored: int) -> int:
    """Return how many samples and snapshots are in the lake too often, or nowhere at all.

    Args:
        last: What the service says, after it has closed its middleware and its recorder.
        rows: Samples found in the lake.
        stored: Snapshots found in the lake.
    """
    samples, recorder = last.samples, last.recorder
    return (
        abs(last.served - samples["seen"])
        + abs(samples["seen"] - sum(samples[name] for name in _ENDS))
        + abs(rows - samples["written"])
        + abs(last.served - recorder["seen"])
        + abs(_chosen(recorder) - sum(recorder[name] for name in _ENDS))
        + abs(stored - recorder["written"])
    )


def _chosen(recorder: Mapping[str, int]) -> int:
    return recorder["sampled"] + recorder["kept_errors"] + recorder["kept_rare"]


def _loss_target(counted: dict[str, int]) -> Target:
    return Target(
        id="L3-uncounted",
        value=float(counted["uncounted"]),
        target=0.0,
        bound="at most",
        what=f"Of {counted['served']:,} requests served: samples and snapshots that are neither in "
        "the lake nor counted as something else, or twice.",
    )
