"""``evolution-lab bench rollout``: what our rule promises and others' rules do, on the same streams."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from evolution_lab.bench.rollout_assignment import bench_assignment
from evolution_lab.bench.rollout_peers import LOOKS, peers
from evolution_lab.bench.targets import BenchReport, Peer, Target, share_interval
from evolution_lab.experiments.analyzer import SpecExperimentAnalyzer
from evolution_lab.experiments.counters import ArmCounts, RolloutCounts, StageCounts, merged
from evolution_lab.experiments.definition import Binding, SpecExperiment
from evolution_lab.experiments.evidence import EvidencePlan
from evolution_lab.experiments.simulation import (
    Look,
    Outcome,
    Rule,
    Schedule,
    Truth,
    evidence_rule,
    simulate,
)
from evolution_lab.experiments.simulation_of_users import Users, false_rollbacks_of_users
from evolution_lab.experiments.statistics.fixed_horizon import sample_size_of_share
from evolution_lab.experiments.statistics.shares import log_e_share_above
from evolution_lab.records import to_json

SEED: Final = 20_261_123
HARMLESS: Final = (
    Truth("2 % errors, p99 600 ms"),
    Truth("4.5 % errors, p99 700 ms", 0.045, 0.045, 700, 700),
    Truth("on both boundaries", 0.05, 0.05, 750, 750),
    Truth("2 % errors, swinging by half each hour", drift=0.5),
)
BAD: Final = (
    Truth("errors 2 to 8 %", variant_errors=0.08),
    Truth("errors 2 to 3 %", variant_errors=0.03),
    Truth("p99 600 to 1000 ms", variant_p99_ms=1000),
)
LONG: Final = Schedule(looks_a_stage=400)
"""Where stages are left by proof: as many looks as it takes, 1,200 at most."""
GUARDRAIL_ALPHA: Final = 0.0125
"""A fixed-horizon test shares the level evenly among four questions."""
Progress = Callable[[int, int], None]


def bench_rollout(*, quick: bool = False, progress: Progress | None = None) -> BenchReport:
    """Measure false rollbacks, delays, advances, splits, costs, and the rules of others beside.

    Args:
        quick: 500 rollouts a row rather than 10,000, Kayenta's judge 40 rather than 1,000.
        progress: Called with (steps done, steps in all).
    """
    n = 500 if quick else 10_000
    rules = peers()
    steps = (len(HARMLESS) + len(BAD)) * (len(rules) + 1) + 6
    done = iter(range(1, steps + 100))

    def tell() -> None:
        if progress is not None:
            progress(min(next(done), steps), steps)

    ours = _row("ours", lambda: evidence_rule(EvidencePlan()), n, tell)
    rows = [ours]
    for name, make in rules.items():
        few = name == "Kayenta's judge"
        rows.append(_row(name, make, (40 if quick else 1_000) if few else n, tell))
    targets = (
        *_false_rollbacks(ours, n, n_users_rollouts=n // 5 if quick else n, tell=tell),
        *_delays(ours),
        *_advances(n, tell),
        *_splits(n, tell),
        *_costs(),
        *bench_assignment(quick=quick),
    )
    told = tuple(
        Peer(name=row["rule"], what=what, value=row[key], note=f"{row['rollouts']} rollouts")
        for row in rows[1:]
        for what, key in (("rollout-false-rollback", "false rollback, worst"), *_DELAY_KEYS)
    )
    table = tuple({k: v for k, v in row.items() if k != "worst"} for row in rows)
    return BenchReport(targets=targets, peers=told, tables={"Rules on the same streams": table})


_DELAY_KEYS: Final = tuple((f"rollout-delay-{k + 1}", truth.name) for k, truth in enumerate(BAD))


def _row(name: str, make: Callable[[], Rule], n: int, tell: Callable[[], None]) -> dict[str, Any]:
    worst = 0
    row: dict[str, Any] = {"rule": name, "rollouts": n}
    for k, truth in enumerate(HARMLESS):
        stopped = simulate(truth, make(), n_rollouts=n, seed=SEED + k).stopped
        worst = max(worst, round(stopped * n))
        tell()
    row["false rollback, worst"] = worst / n
    row["worst"] = worst
    for k, truth in enumerate(BAD):
        outcome = simulate(truth, make(), n_rollouts=n, seed=SEED + 50 + k)
        row[truth.name] = outcome.median_units if outcome.stopped > 0.5 else math.inf
        row[f"stopped, {truth.name}"] = outcome.stopped
        tell()
    return row


def _false_rollbacks(
    ours: dict[str, Any], n: int, *, n_users_rollouts: int, tell: Callable[[], None]
) -> tuple[Target, ...]:
    plan = EvidencePlan(sticky=True)
    users = false_rollbacks_of_users(Users(), plan, n_rollouts=n_users_rollouts, seed=SEED)
    tell()
    return (
        Target(
            id="rollout-false-rollback",
            value=ours["false rollback, worst"],
            interval=share_interval(ours["worst"], n),
            target=0.05,
            bound="at most",
            what=f"Harmless rollouts rolled back, worst of {len(HARMLESS)} A/A rows, {LOOKS} looks "
            f"each, {n} rollouts a row.",
        ),
        Target(
            id="rollout-false-rollback-users",
            value=float(users.mean()),
            interval=share_interval(int(users.sum()), len(users)),
            target=0.05,
            bound="at most",
            what=f"The same over users that keep their arm, ICC 0.2, {len(users)} rollouts.",
        ),
    )


def _delays(ours: dict[str, Any]) -> tuple[Target, ...]:
    found = []
    for k, (truth, most) in enumerate(zip(BAD[:2], (0.95, 1.05), strict=True)):
        fixed = sample_size_of_share(
            truth.control_errors, truth.variant_errors, alpha=GUARDRAIL_ALPHA
        )
        found.append(
            Target(
                id=f"rollout-delay-{k + 1}",
                value=ours[truth.name] / fixed,
                target=most,
                bound="at most",
                what=f"Median variant units until rollback over the fixed-horizon n ({fixed}) at "
                f"alpha {GUARDRAIL_ALPHA} and 90 % power: {truth.name}.",
            )
        )
    slow = BAD[2]
    found.append(
        Target(
            id="rollout-delay-3",
            value=ours[slow.name],
            target=165.0,
            bound="at most",
            what=f"Median variant units until rollback: {slow.name}.",
        )
    )
    return tuple(found)


def _advances(n: int, tell: Callable[[], None]) -> tuple[Target, ...]:
    plan = EvidencePlan()
    edge_errors = Truth("errors on the line", 0.02, 0.05, 600, 600)
    edge_slow = Truth("p99 on the line", 0.02, 0.02, 750, 750)
    wrong = []
    for k, truth in enumerate((edge_errors, edge_slow)):
        outcome = simulate(
            truth, _never, n_rollouts=n, seed=SEED + 70 + k, schedule=LONG, advance_by=plan
        )
        # Of those that entered a stage, how many left it.
        entered = np.concatenate([[n], outcome.advanced[:-1]])
        wrong += [(int(left), int(of)) for left, of in zip(outcome.advanced, entered, strict=True)]
        tell()
    left, of = max(wrong, key=lambda pair: pair[0] / pair[1] if pair[1] >= n / 20 else 0.0)
    good = Truth("good")
    rule = evidence_rule(plan)
    arrived = simulate(good, rule, n_rollouts=n, seed=SEED + 80, schedule=LONG, advance_by=plan)
    tell()
    there = int((arrived.finished_at >= 0).sum())
    soon = int(((arrived.finished_at >= 0) & (arrived.finished_at < LOOKS)).sum())
    median = float(np.median(arrived.finished_at[arrived.finished_at >= 0]))
    return (
        Target(
            id="rollout-wrong-advance",
            value=left / of,
            interval=share_interval(left, of),
            target=0.05,
            bound="at most",
            what="Stages left with one guardrail exactly on its boundary, worst stage that a "
            "twentieth of the rollouts or more entered.",
        ),
        Target(
            id="rollout-good-arrives",
            value=there / n,
            interval=share_interval(there, n),
            target=0.99,
            bound="at least",
            what=f"Good canaries (2 %, 600 ms) that reach 100 %, median look {median:.0f}; within "
            f"{LOOKS} looks {soon / n:.1%}.",
        ),
    )


def _splits(n: int, tell: Callable[[], None]) -> tuple[Target, ...]:
    few = max(n // 10, 200)
    healthy = simulate(Truth("healthy"), _never, n_rollouts=n, seed=SEED + 90)
    alarms = int((healthy.split_alarm >= 0).sum())
    tell()
    found = [
        Target(
            id="rollout-split-false-alarm",
            value=alarms / n,
            interval=share_interval(alarms, n),
            target=0.01,
            bound="at most",
            what=f"Healthy rollouts in which the sample-ratio test ever alarms, {LOOKS} looks.",
        )
    ]
    for percent in (3, 10):
        truth = Truth(f"{percent} % misassigned", misassigned=percent / 100)
        outcome = simulate(truth, _never, n_rollouts=few, seed=SEED + 91 + percent)
        seen = _seen(outcome)
        lost = Truth(f"{percent} % lost", lost_units=percent / 100)
        beside = _seen(simulate(lost, _never, n_rollouts=few, seed=SEED + 92 + percent))
        found.append(
            Target(
                id=f"rollout-split-{percent}",
                value=seen / few,
                interval=share_interval(seen, few),
                target=0.99,
                bound="at least",
                what=f"Rollouts in which {percent} % of the variant's units got the control and the "
                f"test alarms; where they are lost instead, {beside / few:.1%}.",
            )
        )
        tell()
    return tuple(found)


def _seen(outcome: Outcome) -> int:
    return int((outcome.split_alarm >= 0).sum())


def _never(look: Look) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.zeros(len(look.stage), dtype=bool)


def _experiment() -> SpecExperiment:
    return SpecExperiment(
        key="bench",
        operation="checkout",
        unit="request",
        control=Binding(operation="checkout", version="1"),
        variant=Binding(operation="checkout", version="2"),
    )


def _costs() -> tuple[Target, ...]:
    experiment = _experiment()
    shares = [stage.share for stage in experiment.stages]
    big = ArmCounts(requests=10**9, failed=2 * 10**7, slow=4 * 10**6, tail=10**7)
    counts = RolloutCounts(tuple(StageCounts(s, control=big, variant=big) for s in shares))
    analyzer = SpecExperimentAnalyzer(experiment)
    guardrails = len(experiment.guardrails)
    seconds = []
    for _ in range(30):
        begun = time.process_time()
        analyzer.evidence(counts, stage=2)
        seconds.append(time.process_time() - begun)
    micros = [1e6 * each / guardrails for each in seconds]
    underflow = float(log_e_share_above(1500, 73_000, 0.05))
    return (
        Target(
            id="rollout-decision-micros",
            value=float(np.median(micros)),
            interval=(min(micros), max(micros)),
            target=200.0,
            bound="at most",
            what="CPU microseconds a guardrail to decide from merged counts (median and range of 30).",
        ),
        Target(
            id="rollout-state-bytes",
            value=len(to_json(counts)) / guardrails,
            target=2048.0,
            bound="at most",
            what="Bytes of JSON a guardrail that a decision is made from, at 10^9 outcomes an arm.",
        ),
        Target(
            id="rollout-merge",
            value=float(_merge_differences(analyzer, shares)),
            target=0.0,
            bound="at most",
            what="Decisions that differ in any bit over 20 orders of merging 1,000 shards.",
        ),
        Target(
            id="rollout-underflow",
            value=underflow if math.isfinite(underflow) else -1e9,
            target=0.0,
            bound="at most",
            what="Log e-value of harm at 1,500 failures of 73,000, boundary 5 %: far inside H0.",
        ),
    )


def _merge_differences(analyzer: SpecExperimentAnalyzer, shares: list[float]) -> int:
    rng = random.Random(SEED)  # noqa: S311 - drawn counts

    def arm() -> ArmCounts:
        n = rng.randrange(1, 2000)
        return ArmCounts(requests=n, failed=rng.randrange(n // 10 + 1), slow=rng.randrange(3))

    shards = [
        RolloutCounts(tuple(StageCounts(s, control=arm(), variant=arm()) for s in shares))
        for _ in range(1000)
    ]
    one = to_json(analyzer.analyse(merged(shards), stage=2))
    different = 0
    for _ in range(20):
        rng.shuffle(shards)
        different += to_json(analyzer.analyse(merged(shards), stage=2)) != one
    return different
