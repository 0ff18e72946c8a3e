"""Rules of others, as they are documented, on the same drawn rollouts as ours.

Each is what its documentation or source says, read literally, on one-minute looks: an Argo analysis
that fails once, a Flagger canary with five failed checks, Kayenta's judge over the series so far, a z
test that is peeked at, the same with Bonferroni's correction over all looks, and GrowthBook's
sequential test of each guardrail at its own 0.05. None is tuned, and neither is ours to these streams.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from evolution_lab.experiments.simulation import Look, Rule
from evolution_lab.experiments.statistics.asymptotic import _rho_squared
from evolution_lab.experiments.statistics.rank_shift import rank_shift

Floats = NDArray[np.float64]
Stops = NDArray[np.bool_]

ERROR_BOUNDARY: Final = 0.05
SLOW_BOUNDARY: Final = 0.01
LEAST_REQUESTS: Final = 50
FLAGGER_CHECKS: Final = 5
KAYENTA_EVERY: Final = 10
KAYENTA_LEVEL: Final = 0.98
KAYENTA_TOLERANCE: Final = 0.25
LOOKS: Final = 180


def spec_default(look: Look) -> Stops:
    """More than 5 % errors or a p99 above 750 ms, over everything so far, from 50 requests on."""
    n = look.counts.n_variant.sum(axis=1)
    errors = look.counts.failed_variant.sum(axis=1) / np.maximum(n, 1)
    slow = look.counts.slow_variant.sum(axis=1) / np.maximum(n, 1)
    return np.asarray((n >= LEAST_REQUESTS) & ((errors > ERROR_BOUNDARY) | (slow > SLOW_BOUNDARY)))


def bad_interval(look: Look) -> Stops:
    """Whether the last minute alone is beyond a boundary."""
    n = look.interval.n_variant.sum(axis=1)
    errors = look.interval.failed_variant.sum(axis=1) / np.maximum(n, 1)
    slow = look.interval.slow_variant.sum(axis=1) / np.maximum(n, 1)
    return np.asarray((n > 0) & ((errors > ERROR_BOUNDARY) | (slow > SLOW_BOUNDARY)))


def flagger() -> Rule:
    """Return a rule that stops at the fifth bad minute."""
    failed: list[NDArray[np.int64]] = []

    def rule(look: Look) -> Stops:
        bad = bad_interval(look).astype(np.int64)
        if look.number == 0:
            failed.clear()
        failed[:] = [failed[0] + bad if failed else bad]
        return np.asarray(failed[0] >= FLAGGER_CHECKS)

    return rule


def peeked_z(alpha: float) -> Rule:
    """Return a rule that stops when a one-sided z test of the error rates is significant."""
    limit = float(norm.ppf(1 - alpha))

    def rule(look: Look) -> Stops:
        counts = look.counts
        difference, variance, _ = _stratified(
            counts.failed_variant, counts.failed_control, counts.n_variant, counts.n_control
        )
        return np.asarray(difference > limit * np.sqrt(np.maximum(variance, 1e-18)))

    return rule


def _stratified(x1: Floats, x0: Floats, n1: Floats, n0: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the difference of rates, its variance and n, each stage compared with itself.

    Pooled over stages, a rate that drifts while the share grows would look like an effect; that is
    not held against the rules of others.
    """
    some1, some0 = np.maximum(n1, 1), np.maximum(n0, 1)
    p1, p0 = x1 / some1, x0 / some0
    pooled = (x1 + x0) / (some1 + some0)
    weight = n1 * n0 / np.maximum(n1 + n0, 1)
    total = np.maximum(weight.sum(axis=1), 1e-12)
    each = pooled * (1 - pooled) * (1 / some1 + 1 / some0)
    difference = (weight * (p1 - p0)).sum(axis=1) / total
    variance = (weight**2 * each).sum(axis=1) / total**2
    return difference, variance, np.asarray((n1 + n0).sum(axis=1))


def growthbook(alpha: float = 0.05) -> Rule:
    """Return a rule that stops when an asymptotic confidence sequence of either guardrail is above 0.

    The one-sided sequence of GrowthBook's safe rollouts (n* = 5000), each guardrail at ``alpha``.
    """
    rho2 = _rho_squared(2 * alpha, 5000.0)

    def above(x1: Floats, x0: Floats, look: Look) -> Stops:
        difference, variance, n = _stratified(x1, x0, look.counts.n_variant, look.counts.n_control)
        spread = n * rho2 + 1
        log_term = np.log1p(np.sqrt(spread) / (2 * alpha))
        width = np.sqrt(variance * n * 2 * spread / (n**2 * rho2) * log_term)
        return np.asarray((variance > 0) & (difference > width))

    def rule(look: Look) -> Stops:
        counts = look.counts
        errors = above(counts.failed_variant, counts.failed_control, look)
        tails = above(counts.tail_variant, counts.tail_control, look)
        return np.asarray(errors | tails)

    return rule


@dataclass
class Kayenta:
    """Kayenta's judge every ten looks: Mann-Whitney over the series of error and slow shares.

    A metric is high where the lower end of the 98 % interval of the Hodges-Lehmann shift is above a
    quarter of the shift's size; any high metric stops. The baseline is the control of the same
    minutes, of the same size in requests as far as shares go.
    """

    series: list[tuple[Floats, Floats, Floats, Floats]] = field(default_factory=list)

    def __call__(self, look: Look) -> Stops:
        """Return which rollouts the judge stops at this look."""
        if look.number == 0:
            self.series.clear()
        interval = look.interval
        n1 = np.maximum(interval.n_variant.sum(axis=1), 1)
        n0 = np.maximum(interval.n_control.sum(axis=1), 1)
        self.series.append(
            (
                interval.failed_variant.sum(axis=1) / n1,
                interval.failed_control.sum(axis=1) / n0,
                interval.slow_variant.sum(axis=1) / n1,
                interval.tail_control.sum(axis=1) / n0,
            )
        )
        stops = np.zeros(len(n1), dtype=bool)
        if (look.number + 1) % KAYENTA_EVERY:
            return stops
        stacked = [np.stack(each, axis=1) for each in zip(*self.series, strict=True)]
        for pair in (stacked[:2], stacked[2:]):
            for row in range(len(stops)):
                if not stops[row]:
                    stops[row] = _high(pair[0][row], pair[1][row])
        return stops


def _high(variant: Floats, control: Floats) -> bool:
    # A judge calls for its rank test only where the series differ at all.
    if variant.mean() <= control.mean():
        return False
    shift = rank_shift(list(variant), list(control), confidence_level=KAYENTA_LEVEL)
    return bool(shift.interval[0] > KAYENTA_TOLERANCE * abs(shift.estimate))


def peers() -> dict[str, Callable[[], Rule]]:
    """Return the rules by name; each call makes one that remembers nothing."""
    return {
        "spec default, read literally": lambda: spec_default,
        "Argo Rollouts": lambda: bad_interval,
        "Flagger": flagger,
        "z test, peeked at": lambda: peeked_z(0.05),
        "z test, Bonferroni over looks": lambda: peeked_z(0.05 / LOOKS),
        "GrowthBook's sequential test": growthbook,
        "Kayenta's judge": Kayenta,
    }
