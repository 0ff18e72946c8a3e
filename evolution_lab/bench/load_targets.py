"""What the two shops of ``bench load`` are held against: latency, throughput and memory."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, theilslopes

from evolution_lab.bench.load_sides import Side
from evolution_lab.bench.targets import Target

ADDED_MEDIAN_MICROSECONDS: Final = 50.0
ADDED_P99_MILLISECONDS: Final = 1.0
THROUGHPUT_SHARE: Final = 0.95
MOST_NOISE_MILLISECONDS: Final = 25.0
"""The most that the bare shop's 99th percentile may be for latencies to be told apart."""
GROWTH_SHARE: Final = 0.05
"""Growth of resident memory in an hour that still counts as flat, as a share of what is held."""
_SEED: Final = 11
_RESAMPLES: Final = 400
_ENOUGH_FOR_SLOPES: Final = 300.0


def latency_targets(bare: Side, seen: Side, rate: float) -> tuple[Target, Target]:
    """Compare quantiles of all latencies; the intervals come from drawing turns anew, in pairs."""
    rng = np.random.default_rng(_SEED)
    turns = len(bare.latencies)

    def added(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        both = [np.concatenate([s.latencies[at] for at in chosen]) for s in (bare, seen)]
        plain, watched = (np.quantile(each, (0.5, 0.99)) for each in both)
        return np.asarray(watched - plain, dtype=np.float64)

    value = [float(each) for each in added(np.arange(turns))]
    drawn = np.array([added(rng.integers(turns, size=turns)) for _ in range(_RESAMPLES)])
    low, high = (
        [float(each) for each in edge] for edge in np.quantile(drawn, (0.025, 0.975), axis=0)
    )
    noise = float(np.quantile(np.concatenate(bare.latencies), 0.99)) / 1e6
    busy = noise > MOST_NOISE_MILLISECONDS
    how = (
        f"{rate:.0f} requests a second on a timetable, half of the bare shop's saturation, "
        "5 % recorded; interval from drawing turns anew in pairs."
    )
    if busy:  # Nobody can tell a millisecond from the neighbours' work: neither reached nor missed.
        how += f" Not judged: the bare shop's own p99 is {noise:.0f} ms, the machine is too busy."
    return (
        Target(
            id="L1-added-p50-us",
            value=None if busy else value[0] / 1e3,
            interval=(low[0] / 1e3, high[0] / 1e3),
            target=ADDED_MEDIAN_MICROSECONDS,
            bound="at most",
            what=f"Microseconds that watching adds to the median latency: {how}",
        ),
        Target(
            id="L1-added-p99-ms",
            value=None if busy else value[1] / 1e6,
            interval=(low[1] / 1e6, high[1] / 1e6),
            target=ADDED_P99_MILLISECONDS,
            bound="at most",
            what=f"Milliseconds that watching adds to the 99th percentile: {how}",
        ),
    )


def throughput_target(bare: Side, seen: Side) -> Target:
    """Compare answers a second, block by block."""
    shares = np.sort(np.asarray(seen.rates) / np.asarray(bare.rates))
    return Target(
        id="L2-throughput-share",
        value=float(np.median(shares)),
        interval=_median_interval(shares),
        target=THROUGHPUT_SHARE,
        bound="at least",
        what="Requests a second of the watched shop at saturation, as a share of the bare one's: "
        f"median of {len(shares)} pairs of blocks, interval by order statistics.",
    )


def _median_interval(ordered: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the 95 % interval of a median from order statistics; None for too few values."""
    n = len(ordered)
    below = int(binom.ppf(0.025, n, 0.5)) - 1
    if below < 0:
        return None
    return float(ordered[below]), float(ordered[n - 1 - below])


def memory_targets(bare: Side, seen: Side) -> tuple[Target, ...]:
    """Hold slopes of resident memory against flat, where it was watched for long enough."""
    since = seen.memory[0][0]
    length = seen.memory[-1][0] - since
    if length < _ENOUGH_FOR_SLOPES:
        return ()
    targets = []
    # The shop itself stores orders and carts: what it grows by without us is taken off.
    own = _slope([(at, each.service_mb) for at, each in bare.memory], since + length / 4)
    for name, values, off in (
        ("service", [(at, each.service_mb) for at, each in seen.memory], own),
        ("writers", [(at, each.writers_mb) for at, each in seen.memory], None),
    ):
        slope = _slope(values, since + length / 4)
        if slope is None:
            continue
        rest = 0.0 if off is None else off[0]
        held = float(np.median([size for _, size in values if size]))
        targets.append(
            Target(
                id=f"L4-{name}-mb-an-hour",
                value=slope[0] - rest,
                interval=(slope[1] - rest, slope[2] - rest),
                target=GROWTH_SHARE * held,
                bound="at most",
                what=f"Megabytes an hour by which the {name}'s resident memory grows"
                + (", less the bare shop's growth" if off is not None else "")
                + f": Theil-Sen slope over the last three quarters of {length:.0f} s; flat is 5 % "
                f"of the {held:.0f} MB it holds.",
            )
        )
    return tuple(targets)


def _slope(
    values: list[tuple[float, float | None]], since: float
) -> tuple[float, float, float] | None:
    kept = [(at / 3600, size) for at, size in values if size and at >= since]
    if len(kept) < 3:  # Two points always lie on a line.
        return None
    found = theilslopes([size for _, size in kept], [at for at, _ in kept], alpha=0.95)
    return float(found[0]), float(found[2]), float(found[3])
