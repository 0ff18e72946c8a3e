"""``evolution-lab bench suggestions``: what traffic asks for, beside what was planted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import numpy as np

from evolution_lab.bench.planted_chains import Chain, draw_chain, unlinked_chain
from evolution_lab.bench.planted_gaps import Gap, plant, rare_shape
from evolution_lab.bench.simulated_shops import HOURS, START, Shop, draw_operations, play
from evolution_lab.bench.suggestion_overlays import measure_overlays
from evolution_lab.bench.targets import BenchReport, Target, share_interval
from evolution_lab.config import EvolutionConfig
from evolution_lab.intents import IntentDetector, Surroundings
from evolution_lab.records import DetectionResult, SpecSuggestion
from evolution_lab.suggestions import SpecGenerator, TrafficReading, read_traffic
from evolution_lab.windows import aggregate, operation_sequences

SESSIONS: Final = 650
CHAIN_SHARE: Final = 0.25
JUDGED_SEEDS: Final = (10_000, 10_150)
"""First seeds of planted and of null shops; those below 10,000 are for looking while building."""
Progress = Callable[[int, int], None]


@dataclass
class Tally:
    """What was said of all shops so far."""

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    suggestions: int = 0
    true: int = 0
    said_by_kind: Counter[str] = field(default_factory=Counter)
    true_by_kind: Counter[str] = field(default_factory=Counter)
    stated: list[tuple[float, bool]] = field(default_factory=list)
    wrong: list[dict[str, Any]] = field(default_factory=list)
    null_shops: int = 0
    null_with_any: int = 0
    null_suggestions: int = 0
    chains: int = 0
    chains_exact: int = 0
    links_invented: int = 0
    links_missed: int = 0


def bench_suggestions(*, quick: bool = False, progress: Progress | None = None) -> BenchReport:
    """Hold suggestions against seeded shops with planted gaps, and shops without any.

    Then hold their overlays against the demo's document and three public ones.

    Args:
        quick: 16 shops of each kind rather than 120, and 5 edits a document rather than 60.
        progress: Called with (shops done, shops in all).
    """
    shops = 16 if quick else 120
    tell = progress or (lambda _done, _total: None)
    tally = Tally()
    for number in range(shops):
        judge_planted(JUDGED_SEEDS[0] + number, tally)
        tell(2 * number + 1, 2 * shops)
        judge_null(JUDGED_SEEDS[1] + number, tally)
        tell(2 * number + 2, 2 * shops)
    return report_of(tally, shops) + measure_overlays(at_most=5 if quick else 60)


def report_of(tally: Tally, shops: int) -> BenchReport:
    """Return a tally as targets and tables."""
    planted, found = sum(tally.planted.values()), sum(tally.found.values())
    kinds = tuple(
        {"gap": name, "planted": tally.planted[name], "found": tally.found[name]}
        for name in sorted(tally.planted)
    )
    wrong = tuple(tally.wrong[:50])
    return BenchReport(
        targets=(
            Target(
                id="suggestions-precision", value=tally.true / tally.suggestions if tally.suggestions else None,
                interval=share_interval(tally.true, tally.suggestions) if tally.suggestions else None,
                target=0.95, bound="at least",
                what=f"Suggestions that a planted gap explains ({tally.true} of {tally.suggestions}, {shops} shops).",
            ),
            Target(
                id="suggestions-recall", value=found / planted, interval=share_interval(found, planted),
                target=0.90, bound="at least",
                what=f"Planted gaps that a suggestion closes ({found} of {planted}).",
            ),
            Target(
                id="suggestions-null", value=tally.null_with_any / tally.null_shops,
                interval=share_interval(tally.null_with_any, tally.null_shops),
                target=0.05, bound="at most",
                what=f"Shops without gaps of which anything is said ({tally.null_with_any} of {tally.null_shops}).",
            ),
            Target(
                id="data-flow-exact", value=tally.chains_exact / tally.chains,
                interval=share_interval(tally.chains_exact, tally.chains), target=1.0, bound="at least",
                what=f"Planted workflows whose data flow is exactly right ({tally.chains_exact} of {tally.chains}).",
            ),
            Target(
                id="data-flow-invented", value=float(tally.links_invented), target=0.0, bound="at most",
                what="Links between values that are equal for other reasons.",
            ),
            _calibration(tally.stated),
        ),
        tables={
            "Planted gaps by kind": kinds,
            **({"Suggestions that nothing explains": wrong} if wrong else {}),
        },
    )  # fmt: skip


def _calibration(stated: list[tuple[float, bool]]) -> Target:
    """Hold the mean confidence of what traffic says against the share of it that is true."""
    right = sum(true for _, true in stated)
    gap = abs(sum(c for c, _ in stated) - right) / len(stated) if stated else None
    return Target(
        id="suggestions-confidence", value=gap, target=0.05, bound="at most",
        what=f"Mean confidence beside the share that is true ({right} of {len(stated)} findings).",
    )  # fmt: skip


def judge_planted(seed: int, tally: Tally) -> None:
    """Draw a shop with gaps, and in two of three a chain of calls; add what is said of it."""
    rng = np.random.default_rng([seed, 1])
    operations = draw_operations(rng, int(rng.integers(4, 7)))
    rare_shape(operations)
    gaps = plant(operations, rng)
    chain: Chain | None = None
    kind, sessions = seed % 3, SESSIONS
    if kind == 0:
        chain = draw_chain(rng)
        operations = [*operations, *chain.operations]
        sessions += 250  # Of the calls drawn, those of the chain's operations are not made alone.
    elif kind == 1:
        chain = unlinked_chain(rng, operations)
    shop = play(
        rng,
        operations,
        sessions=sessions,
        chain=chain.make if chain else None,
        chain_share=CHAIN_SHARE,
    )
    detection, reading, suggestions = suggested(shop)
    for gap in gaps:
        tally.planted[gap.name] += 1
        tally.found[gap.name] += any(gap.closed_by(s) for s in suggestions)
    if chain is not None:
        tally.planted["workflow"] += 1
        tally.found["workflow"] += any(_is_of(s, chain) for s in suggestions)
        if kind == 0:
            _judge_flow(chain, detection, reading, tally)
        else:
            links = [k for c in reading.composites.values() for k in c.flow.links]
            tally.links_invented += len(links)
    for suggestion in suggestions:
        true = any(g.explains(suggestion) for g in gaps)
        true = true or (chain is not None and _touches(suggestion, chain))
        _count(suggestion, seed, gaps, tally, true=true)


def judge_null(seed: int, tally: Tally) -> None:
    """Draw a shop without gaps; add whether anything is said of it."""
    rng = np.random.default_rng([seed, 2])
    operations = draw_operations(rng, int(rng.integers(4, 7)))
    rare_shape(operations)
    _, _, suggestions = suggested(play(rng, operations, sessions=SESSIONS))
    tally.null_shops += 1
    tally.null_with_any += bool(suggestions)
    tally.null_suggestions += len(suggestions)
    for suggestion in suggestions:
        _count(suggestion, seed, (), tally, true=False)


def _count(
    suggestion: SpecSuggestion, seed: int, gaps: tuple[Gap, ...], tally: Tally, *, true: bool
) -> None:
    tally.suggestions += 1
    tally.true += true
    kinds = {name.rpartition("-")[0] for name in suggestion.signal_ids}
    for kind in sorted(kinds & {"drift", "failing-input", "slow-calls"}):
        tally.said_by_kind[kind] += 1
        tally.true_by_kind[kind] += true
        if suggestion.confidence is not None:
            tally.stated.append((suggestion.confidence, true))
    if not true:
        tally.wrong.append(_told(seed, suggestion, gaps))


def suggested(shop: Shop) -> tuple[DetectionResult, TrafficReading, tuple[SpecSuggestion, ...]]:
    """Return what is said of a shop at the package's defaults: the way of ``Lab.suggest``."""
    config = EvolutionConfig()
    as_of = START + timedelta(hours=HOURS)
    windows = aggregate(
        shop.samples.lazy(), window=config.window, as_of=as_of,
        allowed_lateness=config.allowed_lateness, latency_bins=True,
    )  # fmt: skip
    detection = IntentDetector(config).detect(
        windows,
        Surroundings(
            samples=shop.samples.lazy(),
            sequences=operation_sequences(shop.samples),
            operations=shop.samples.select("op_id", "service", "operation_key", "operation_version").unique(),
            as_of=as_of,
        ),
    )  # fmt: skip
    reading = read_traffic(shop.snapshots, shop.specs, samples=shop.samples, detection=detection)
    suggestions = SpecGenerator(config).generate(
        detection, windows=windows, specs=shop.specs, traffic=reading
    )
    return detection, reading, suggestions


def _judge_flow(
    chain: Chain, detection: DetectionResult, reading: TrafficReading, tally: Tally
) -> None:
    tally.chains += 1
    wanted = [operation.key for operation in chain.operations]
    found = [w for w in detection.workflows if [s.key for s in w.steps] == wanted]
    parts = reading.composites.get(found[0].id) if found else None
    if parts is None:
        tally.links_missed += len(chain.links)
        return
    links = {(k.step, k.path, k.from_step) for k in parts.flow.links}
    tally.links_invented += len(links - chain.links)
    tally.links_missed += len(chain.links - links)
    tally.chains_exact += links == chain.links


def _is_of(suggestion: SpecSuggestion, chain: Chain) -> bool:
    steps = (suggestion.proposal.spec or {}).get("steps") or []
    return [step["key"] for step in steps] == [operation.key for operation in chain.operations]


def _touches(suggestion: SpecSuggestion, chain: Chain) -> bool:
    """Whether a workflow's suggestion is the chain, or a part of it or around it."""
    steps = [s["key"] for s in (suggestion.proposal.spec or {}).get("steps") or []]
    wanted = [operation.key for operation in chain.operations]
    joined, inside = "\n".join(steps), "\n".join(wanted)
    return bool(steps) and (inside in joined or joined in inside)


def _told(seed: int, suggestion: SpecSuggestion, gaps: tuple[Gap, ...]) -> dict[str, Any]:
    return {
        "seed": seed,
        "intent": suggestion.intent,
        "suggestion": suggestion.proposal.summary,
        "planted": ", ".join(f"{gap.name} on {gap.key}" for gap in gaps) or "nothing",
    }
