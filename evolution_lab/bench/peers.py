"""Other rules and tools on the same root operation of the same recording, judged alike.

Rules look back only. Change-point tools see the whole series, as they are made to; that is in their
favour. A tool that is not installed says so (extra ``bench``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from evolution_lab.bench.events import score_events
from evolution_lab.bench.targets import Peer

Floats = npt.NDArray[np.float64]
Rule = Callable[[Floats], Sequence[int]]

TRAILING: Final = 20
MERGED: Final = 5
"""False alarms this many windows apart, or fewer, count once."""


def peers_on(windows: pl.DataFrame, root: str, injected: Sequence[datetime]) -> tuple[Peer, ...]:
    """Judge peers on the 95th percentile of a root operation's latency.

    Args:
        windows: A ``WINDOWS`` frame.
        root: The operation's key.
        injected: When faults were injected, UTC.
    """
    series = windows.filter(pl.col("operation_key") == root).sort("window_start")
    values = series["p95_ns"].fill_null(strategy="forward").fill_null(0.0).to_numpy()
    ends = series["window_end"].to_list()
    found = []
    for name, rule in RULES.items():
        try:
            alarms = sorted(set(rule(values)))
        except ImportError as error:
            found.append(
                Peer(name=name, what="M3-f1", value=None, note=f"not installed: {error.name}")
            )
            continue
        hits = score_events([ends[i] for i in alarms], injected).hits
        # Alarms are merged after they are matched: a false one must not hide the true one after it.
        strangers = [i for i in alarms if not score_events([ends[i]], injected).hits]
        false = len(_merged(strangers))
        found.append(
            Peer(
                name=name, what="M3-f1", value=2 * hits / (hits + false + len(injected)),
                note=f"root p95: {hits} of {len(injected)} faults, {false} false",
            )
        )  # fmt: skip
    return tuple(found)


def _merged(alarms: Sequence[int]) -> list[int]:
    kept: list[int] = []
    last = -MERGED - 1
    for at in sorted(set(alarms)):
        if at - last > MERGED:
            kept.append(at)
        last = at
    return kept


def _three_sigma(values: Floats) -> Sequence[int]:
    return _trailing(values, lambda past: (past.mean(), 3.0 * past.std(ddof=1)))


def _median_deviation(values: Floats) -> Sequence[int]:
    def limits(past: Floats) -> tuple[float, float]:
        centre = float(np.median(past))
        return centre, 3.5 * 1.4826 * float(np.median(np.abs(past - centre)))

    return _trailing(values, limits)


def _trailing(values: Floats, limits: Callable[[Floats], tuple[float, float]]) -> list[int]:
    found = []
    for i in range(TRAILING, len(values)):
        centre, reach = limits(values[i - TRAILING : i])
        if values[i] - centre > reach:
            found.append(i)
    return found


def _esd(values: Floats, *, most: float = 0.1, alpha: float = 0.05) -> Sequence[int]:
    """Return the outliers of S-H-ESD without a season: generalised ESD on median and MAD.

    Hochenbaum, Vallis & Kejariwal (2017), "Automatic anomaly detection in the cloud via statistical
    learning", after Rosner (1983); upper side only, the recording is shorter than any season.
    """
    from scipy.stats import t as student

    left = list(range(len(values)))
    removed: list[int] = []
    outliers = 0
    n = len(values)
    for k in range(1, int(most * n) + 1):
        rest = values[left]
        centre = float(np.median(rest))
        scale = 1.4826 * float(np.median(np.abs(rest - centre)))
        if scale == 0:
            break
        z = (rest - centre) / scale
        worst = int(z.argmax())
        p = 1 - alpha / (n - k + 1)
        quantile = float(student.ppf(p, n - k - 1))
        critical = (n - k) * quantile / np.sqrt((n - k - 1 + quantile**2) * (n - k + 1))
        removed.append(left.pop(worst))
        if z[worst] > critical:
            outliers = k
    return removed[:outliers]


def _pelt(values: Floats) -> Sequence[int]:
    import ruptures

    scaled = (values - values.mean()) / (values.std() or 1.0)
    penalty = 2 * np.log(len(values))
    found: Any = ruptures.Pelt(model="l2", min_size=2).fit(scaled).predict(pen=penalty)
    return [at for at in found[:-1] if values[at] > values[max(at - 1, 0)]]


def _otava(values: Floats) -> Sequence[int]:
    from otava.analysis import compute_change_points

    points: Any = compute_change_points(values.tolist())
    points = points[0] if isinstance(points, tuple) else points
    return [point.index for point in points if point.stats.mean_2 > point.stats.mean_1]


RULES: Final[Mapping[str, Rule]] = {
    "3 sigma": _three_sigma,
    "3.5 MAD": _median_deviation,
    "S-H-ESD": _esd,
    "PELT": _pelt,
    "Otava": _otava,
}
