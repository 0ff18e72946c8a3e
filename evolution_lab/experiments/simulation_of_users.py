"""Rollouts over users that keep their arm and differ in how often they fail, drawn by the thousand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolution_lab.experiments.evidence import (
    CountArrays,
    EvidencePlan,
    combined_harm,
    log_harm,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Users:
    """Who comes, how often, and how alike a user's own requests are.

    Attributes:
        n_users: Users in all; each keeps the arm and comes back in every stage.
        requests_a_look: Requests of one user between two looks, on average.
        errors: Mean share of requests that fail.
        tail: Mean share of requests slower than the reference.
        icc: Intraclass correlation: 0 where users do not differ, 0.2 where some fail much more.
        looks_a_stage: Looks in each stage.
        shares: Share of the variant, stage by stage.
    """

    n_users: int = 2000
    requests_a_look: float = 0.1
    errors: float = 0.02
    tail: float = 0.01
    icc: float = 0.2
    looks_a_stage: int = 60
    shares: tuple[float, ...] = (0.01, 0.1, 0.5)


def false_rollbacks_of_users(
    users: Users,
    plan: EvidencePlan,
    *,
    n_rollouts: int,
    seed: int,
    chunk: int = 50,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.bool_]:
    """Return which of many harmless rollouts are rolled back, a user being the unit.

    A user fails in a stage from the first failed request on: times to a user's first request, failure
    and slow request of a stage are exponential. The boundaries, which are judged by sums over users,
    are left out; both kinds of evidence over the control are what the controller asks.

    Args:
        users: Who comes.
        plan: What is guarded; ``sticky`` is set.
        n_rollouts: How many.
        seed: Of all that is drawn.
        chunk: Rollouts at once.
        progress: Called with (rollouts done, rollouts in all).

    Examples:
        >>> few = Users(n_users=200, looks_a_stage=10)
        >>> int(false_rollbacks_of_users(few, EvidencePlan(sticky=True), n_rollouts=20, seed=1).sum())
        0
    """
    rng = np.random.default_rng(seed)
    found = []
    for done in range(0, n_rollouts, chunk):
        found.append(_chunk(users, plan, min(chunk, n_rollouts - done), rng))
        if progress is not None:
            progress(min(done + chunk, n_rollouts), n_rollouts)
    return np.concatenate(found)


def _chunk(
    users: Users, plan: EvidencePlan, n_rollouts: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    shape = (n_rollouts, users.n_users)
    concentration = 1 / users.icc - 1 if users.icc else math.inf
    place = rng.random(shape)
    rates = [
        np.full(shape, mean)
        if math.isinf(concentration)
        else rng.beta(mean * concentration, (1 - mean) * concentration, shape)
        for mean in (users.errors, users.tail)
    ]
    stages, looks = len(users.shares), users.looks_a_stage
    shares = np.array(users.shares)
    totals = np.zeros((6, n_rollouts, stages))
    stopped = np.zeros(n_rollouts, dtype=bool)
    threshold = math.log(1 / plan.alpha)
    for stage, share in enumerate(users.shares):
        counted = _stage(users, place < share, rates, rng)
        for look in range(looks):
            totals[:, :, stage] = counted[:, :, look]
            harm = log_harm(plan, _arrays(shares, totals))
            stopped |= combined_harm(plan, harm) >= threshold
    return stopped


def _stage(
    users: Users,
    in_variant: NDArray[np.bool_],
    rates: list[Floats],
    rng: np.random.Generator,
) -> Floats:
    """Return units, failed and slow ones of both arms by look: (6, rollouts, looks)."""
    pace, looks = users.requests_a_look, users.looks_a_stage
    with np.errstate(divide="ignore"):
        times = [rng.exponential(1.0, in_variant.shape) / (pace * rate) for rate in rates]
    first = np.minimum(rng.exponential(1.0 / pace, in_variant.shape), np.minimum(*times))
    rows = np.arange(len(in_variant))[:, None] * looks
    counted = []
    for when in (first, *times):
        cell = (rows + np.minimum(when, looks).astype(np.int64)).clip(max=rows + looks - 1)
        for arm in (in_variant, ~in_variant):
            here = arm & (when < looks)
            each = np.bincount(cell[here], minlength=len(in_variant) * looks)
            counted.append(each.reshape(len(in_variant), looks).cumsum(axis=1))
    return np.array(counted, dtype=np.float64)


def _arrays(shares: Floats, totals: Floats) -> CountArrays:
    # So many requests that no boundary is near: those are judged by other sums.
    plenty = np.full_like(totals[0], 1e9)
    nothing = np.zeros_like(totals[0])
    return CountArrays(
        shares,
        n_variant=totals[0],
        n_control=totals[1],
        failed_variant=totals[2],
        failed_control=totals[3],
        tail_variant=totals[4],
        tail_control=totals[5],
        slow_variant=nothing,
        fallbacks=nothing,
        requests=plenty,
    )
