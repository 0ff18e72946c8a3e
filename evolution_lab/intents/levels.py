"""Whether a metric is back at the level it had before an episode.

Without this a change that lasts would look recovered as soon as the baseline has learnt it.
"""

from __future__ import annotations

import math

from evolution_lab.intents.view import DetectionView


def metric_level(view: DetectionView, metric: str, operation: int, t: int) -> float | None:
    """Return the plain value of a metric in one window; None where there is none.

    Args:
        view: The windows.
        metric: One of ``schemas.METRICS``.
        operation: Position in the view.
        t: Window.
    """
    if metric == "throughput":
        value = view.calls[t, operation]
    elif metric == "error-rate":
        value = view.errors[t, operation] / max(view.outcomes[t, operation], 1.0)
    elif metric == "client-error-rate":
        value = view.client_errors[t, operation] / max(view.calls[t, operation], 1.0)
    else:
        column = "p50_ns" if metric == "latency-median" else "p95_ns"
        value = view.values[column][t, operation]
    return None if math.isnan(value) else float(value)


def level_is_back(
    view: DetectionView,
    metric: str,
    operation: int,
    t: int,
    *,
    baseline: float | None,
    peak: float | None,
) -> bool:
    """Say whether a window lies on the baseline's side of the middle between baseline and peak.

    Latency is compared on a logarithmic scale. The middle of two error rates is the share that is as
    likely under the one as under the other: failures are far more telling of the higher rate than
    successes are of the lower one. Where a value is unknown the answer is yes: nothing
    keeps the episode open.
    """
    level = metric_level(view, metric, operation, t)
    if level is None or baseline is None or peak is None:
        return True
    if metric.startswith("latency"):
        level, baseline, peak = (math.log(max(v, 1.0)) for v in (level, baseline, peak))
    if metric.endswith("error-rate") and 0.0 < baseline < peak < 1.0:
        middle = _equally_likely(baseline, peak)
    else:
        middle = (baseline + peak) / 2.0
    return level <= middle if peak > baseline else level >= middle


def _equally_likely(low: float, high: float) -> float:
    """Return the share at which the binomial likelihood ratio of two rates is one.

    Examples:
        >>> round(_equally_likely(0.0037, 0.1), 3)
        0.03
    """
    successes = math.log((1.0 - low) / (1.0 - high))
    return successes / (math.log(high / low) + successes)
