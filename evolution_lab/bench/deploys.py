"""M9: deployments blamed for what they did, and for nothing else, looked at after every window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from evolution_lab.bench.targets import BenchReport, Target, share_interval
from evolution_lab.intents.deploys import Deployment, judge_deployments

LOOKS: Final = 48
BEFORE: Final = 96
CALLS: Final = 40
"""Calls a window."""
ALPHA: Final = 0.05
WINDOW: Final = timedelta(minutes=15)
FIRST: Final = datetime(2025, 3, 4, tzinfo=UTC)
SECOND_AFTER: Final = 24
"""Windows from the first deployment to the second one."""
EFFECTS: Final = (("errors", 0.05), ("errors", 0.15), ("latency", 1.5), ("latency", 2.0))
_TENANTS: Final = ("acme", "globex", "initech")
_TENANT_ERRORS: Final = (0.005, 0.01, 0.08)
_TENANT_LATENCY: Final = (1.0, 1.2, 2.0)


def deploy_attribution(
    *, quick: bool, progress: Callable[[int, int], None] | None = None
) -> BenchReport:
    """Simulate two deployments each, half of them without any effect, half of those with a mix shift.

    Args:
        quick: 40 simulations of each kind rather than 100; a look after every fourth window, not every second.
        progress: Called with (simulations done, simulations in all).
    """
    runs, step = (40, 4) if quick else (100, 2)
    false = detected = right = wrong_mix = 0
    total = 4 * runs
    for number in range(total):
        rng = np.random.default_rng([9, number])
        harmful, shifted = number % 2 == 1, number % 4 >= 2
        effect = EFFECTS[number // 4 % len(EFFECTS)] if harmful else None
        guilty = ("1.1", "1.2")[number // 2 % 2] if harmful else None
        blamed = _simulate(rng, effect, guilty, shifted=shifted, step=step)
        if harmful:
            detected += bool(blamed)
            right += bool(blamed) and blamed[0] == guilty
        else:
            false += bool(blamed)
            wrong_mix += bool(blamed) and shifted
        if progress is not None:
            progress(number + 1, total)
    null_runs = total // 2
    return BenchReport(
        targets=(
            Target(
                id="M9-false", value=false / null_runs, interval=share_interval(false, null_runs),
                target=2 * ALPHA, bound="at most",
                what=f"Simulations of {null_runs} with two harmless deployments in which any was ever "
                f"blamed over {LOOKS} looks (alpha {ALPHA} each); {wrong_mix} with a mix shift.",
            ),
            Target(
                id="M9-right-version", value=right / detected if detected else None,
                interval=share_interval(right, detected) if detected else None,
                target=0.95, bound="at least",
                what=f"Of {detected} simulations in which one was blamed first, those that name the "
                f"guilty version; {detected} of {null_runs} were detected.",
            ),
        )
    )  # fmt: skip


def _simulate(
    rng: np.random.Generator,
    effect: tuple[str, float] | None,
    guilty: str | None,
    *,
    shifted: bool,
    step: int,
) -> list[str]:
    """Return the versions that were ever blamed, in order of blame."""
    samples = _draw(rng, effect, guilty, shifted=shifted)
    start = FIRST + WINDOW * BEFORE
    deployments = [
        Deployment(service="shop", version="1.1", at=start),
        Deployment(service="shop", version="1.2", at=start + WINDOW * SECOND_AFTER),
    ]
    blamed: list[str] = []
    for look in range(step, LOOKS + 1, step):
        until = start + WINDOW * look
        known = [d for d in deployments if d.at < until]
        for verdict in judge_deployments(
            samples.lazy(), known, window=WINDOW, as_of=until, alpha=ALPHA
        ).verdicts:
            version = verdict.deployment.version
            if verdict.verdict == "blamed" and version not in blamed:
                blamed.append(version)
        if blamed:
            break
    return blamed


def _draw(
    rng: np.random.Generator,
    effect: tuple[str, float] | None,
    guilty: str | None,
    *,
    shifted: bool,
) -> pl.DataFrame:
    windows = BEFORE + LOOKS
    counts = rng.poisson(CALLS, windows)
    window = np.repeat(np.arange(windows), counts)
    n = len(window)
    usual, later = np.array([0.5, 0.4, 0.1]), np.array([0.3, 0.2, 0.5])
    mix = np.where(shifted & (window[:, None] >= BEFORE), later, usual)
    tenant = (rng.random(n)[:, None] > mix.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    version = np.where(
        window < BEFORE, "1.0", np.where(window < BEFORE + SECOND_AFTER, "1.1", "1.2")
    )
    hit = version == guilty
    errors = np.asarray(_TENANT_ERRORS)[tenant]
    scale = np.asarray(_TENANT_LATENCY)[tenant]
    if effect is not None:
        kind, size = effect
        errors = np.where(hit & (kind == "errors"), errors + size, errors)
        scale = np.where(hit & (kind == "latency"), scale * size, scale)
    at = int(FIRST.timestamp() * 1e6) + window * (WINDOW // timedelta(microseconds=1))
    return pl.DataFrame(
        {
            "service": pl.repeat("shop", n, eager=True),
            "operation_key": np.where(rng.random(n) < 0.5, "GET /a", "POST /b"),
            "operation_version": version,
            "tenant_id": np.asarray(_TENANTS)[tenant],
            "timestamp": pl.Series(at).cast(pl.Datetime("us", "UTC")),
            "duration_ns": (scale * rng.lognormal(16.0, 0.8, n)).astype(np.int64),
            "success": rng.random(n) >= errors,
        }
    )
