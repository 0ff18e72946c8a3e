"""Deployments: told by people or implied by versions, and which of them made things worse.

A deployment is blamed only by a test that is valid at every look. What is counted are failed calls
and calls slower than nine tenths of those before; strata are operation and tenant, so that a change
of the traffic's mix moves nothing. In each stratum the share before the deployment has the posterior
``Beta(x + 1/2, n - x + 1/2)``; the evidence is the ratio of the marginal likelihoods of what came
after, with the odds raised by a factor (1.5, 2, 4 or 8, one for all strata) and unchanged. Such a
ratio is a test martingale under no change, so that by Ville's (1939) inequality it passes ``1/alpha``
with probability at most ``alpha`` over all looks together (Ramdas et al. 2023, "Game-theoretic
statistics and safe anytime-valid inference"). Several counts of one deployment are averaged: the mean
of e-values is an e-value.

Where the traffic as a whole got worse but its strata did not, the mix explains it: the verdict is
``cannot-separate``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import betaincinv, gammaln, xlog1py, xlogy

from evolution_lab.display import ResultMixin, format_quantity
from evolution_lab.errors import InputError, TimeZoneRequiredError
from evolution_lab.telemetry.state import STATE_FILE, open_state

Floats = npt.NDArray[np.float64]
Verdict = Literal["blamed", "not-blamed", "cannot-separate", "too-little"]

ODDS: Final = (1.5, 2.0, 4.0, 8.0)
BEFORE_WINDOWS: Final = 96
FEWEST_CALLS: Final = 20
"""Calls before and after without which nothing is said."""
MOST_BEFORE: Final = 2_000.0
"""Calls that the time before counts for at most: no service is steadier than that."""
SLOW_SHARE: Final = 0.9
POINTS: Final = 48
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS deployments (
    service VARCHAR,
    version VARCHAR NOT NULL,
    deployed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (service, version, deployed_at)
)
"""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One version of one service that began to serve.

    Attributes:
        service: The service; None where telemetry names none.
        version: The version.
        at: When, UTC.
        told: Whether somebody told of it; else its first call implies it.
    """

    service: str | None
    version: str
    at: datetime
    told: bool = True


@dataclass(frozen=True, kw_only=True)
class DeployVerdict:
    """What can be said of one deployment.

    Attributes:
        deployment: The deployment.
        verdict: ``blamed``, ``not-blamed``, ``cannot-separate`` (the mix of traffic explains what got
            worse) or ``too-little``.
        e_value: Evidence over strata against no change.
        crude_e_value: The same of the traffic as a whole.
        metric: ``error-rate`` or ``latency``, the one with more evidence.
        before: Share of failed or slow calls before, of the traffic that came after.
        after: Share after.
        calls: Calls of the version.
    """

    deployment: Deployment
    verdict: Verdict
    e_value: float
    crude_e_value: float
    metric: str | None
    before: float | None
    after: float | None
    calls: int

    @property
    def sentence(self) -> str | None:
        """What a reader is told; None where nothing got worse."""
        if self.before is None or self.after is None or self.verdict not in _SENTENCES:
            return None
        name = f"{self.deployment.service or 'A service'} {self.deployment.version}"
        what = "failed calls" if self.metric == "error-rate" else "slow calls"
        return (
            f"{name} went live at {self.deployment.at:%Y-%m-%d %H:%M} UTC: {what} rose from "
            f"{format_quantity(self.before, 'fraction')} to "
            f"{format_quantity(self.after, 'fraction')}; {_SENTENCES[self.verdict]}."
        )


_SENTENCES: Final[Mapping[str, str]] = {
    "blamed": "beyond chance at every look, within each operation and tenant",
    "cannot-separate": "the mix of traffic changed as well, and explains it: they cannot be told apart",
}


@dataclass(frozen=True)
class DeployVerdicts(ResultMixin):
    """Verdicts on all deployments, in order of time."""

    _title: ClassVar[str] = "Deployments"

    verdicts: tuple[DeployVerdict, ...] = ()

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a deployment."""
        return [
            {
                "at": v.deployment.at,
                "service": v.deployment.service,
                "version": v.deployment.version,
                "told": v.deployment.told,
                "verdict": v.verdict,
                "metric": v.metric,
                "before": v.before,
                "after": v.after,
                "eValue": v.e_value,
                "calls": v.calls,
            }
            for v in self.verdicts
        ]


def store_deployment(
    data_dir: Path, *, service: str | None, version: str, at: datetime
) -> Deployment:
    """Append a deployment; telling it twice tells it once.

    Raises:
        TimeZoneRequiredError: ``at`` carries no zone.
        InputError: The version is empty.
    """
    if at.tzinfo is None:
        raise TimeZoneRequiredError(f"at == {at}, must carry a time zone.")
    if not version.strip():
        raise InputError("version == '', must not be empty: a deployment names what it deploys.")
    with open_state(data_dir) as state:
        state.execute(_TABLE)
        state.execute(
            "INSERT INTO deployments VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [service or "", version, at.astimezone(UTC)],
        )
    return Deployment(service=service, version=version, at=at.astimezone(UTC))


def read_deployments(data_dir: Path) -> tuple[Deployment, ...]:
    """Return the deployments that people told of, by time."""
    if not (data_dir / STATE_FILE).exists():
        return ()
    with open_state(data_dir) as state:
        state.execute(_TABLE)
        rows = state.execute(
            "SELECT service, version, epoch_us(deployed_at) FROM deployments "
            "ORDER BY deployed_at, service, version"
        ).fetchall()
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return tuple(
        Deployment(service=service or None, version=version, at=epoch + timedelta(microseconds=at))
        for service, version, at in rows
    )


def implied_deployments(samples: pl.LazyFrame) -> tuple[Deployment, ...]:
    """Return the versions that began to serve after another one of their service had.

    Args:
        samples: A ``SAMPLES`` frame.
    """
    first = (
        samples.drop_nulls("operation_version")
        .group_by("service", "operation_version")
        .agg(at=pl.col("timestamp").min())
        .sort("at", "service", "operation_version")
        .collect()
    )
    seen: set[str | None] = set()
    found = []
    for service, version, at in first.iter_rows():
        if service in seen:
            found.append(Deployment(service=service, version=version, at=at, told=False))
        seen.add(service)
    return tuple(found)


def judge_deployments(
    samples: pl.LazyFrame,
    deployments: Iterable[Deployment],
    *,
    window: timedelta,
    as_of: datetime | None = None,
    alpha: float = 0.05,
) -> DeployVerdicts:
    """Say of each deployment whether it made things worse.

    Args:
        samples: A ``SAMPLES`` frame of operations.
        deployments: The deployments.
        window: Length of a window; the time before is at most 96 of them.
        as_of: Look at calls before this only, UTC.
        alpha: Probability that a deployment without effect is ever blamed, however often one looks.
    """
    frame = samples if as_of is None else samples.filter(pl.col("timestamp") < as_of)
    ordered = sorted(deployments, key=lambda d: (d.at, d.service or "", d.version))
    return DeployVerdicts(tuple(_judge(frame, d, window, alpha) for d in ordered))


def _judge(
    samples: pl.LazyFrame, deployment: Deployment, window: timedelta, alpha: float
) -> DeployVerdict:
    calls = (
        samples.filter(
            pl.col("service").eq_missing(pl.lit(deployment.service)),
            pl.col("timestamp") >= deployment.at - window * BEFORE_WINDOWS,
        )
        .select(
            "operation_key",
            "tenant_id",
            "duration_ns",
            failed=~pl.col("success"),
            new=(pl.col("timestamp") >= deployment.at)
            & (pl.col("operation_version") == deployment.version).fill_null(value=False),
            old=(pl.col("timestamp") < deployment.at)
            & (pl.col("operation_version") != deployment.version).fill_null(value=True),
        )
        .filter(pl.col("new") | pl.col("old"))
        .collect()
    )
    slow = (
        calls.filter("old")
        .group_by("operation_key")
        .agg(limit=pl.col("duration_ns").quantile(SLOW_SHARE))
    )
    calls = calls.join(slow, on="operation_key", how="left").with_columns(
        slow=pl.col("duration_ns") > pl.col("limit")
    )
    n_new, n_old = int(calls["new"].sum()), int(calls["old"].sum())
    if min(n_new, n_old) < FEWEST_CALLS:
        return _said(deployment, "too-little", n_new)
    best: dict[str, tuple[float, float, float, float]] = {}
    for metric, column in (("error-rate", "failed"), ("latency", "slow")):
        strata = _strata(calls, column, ["operation_key", "tenant_id"])
        crude = _strata(calls, column, ["operation_key"])
        usual = strata["x_old"] / np.maximum(strata["n_old"], 1.0)
        weights = strata["n_new"]
        total = max(float(weights.sum()), 1.0)
        best[metric] = (
            e_value(strata),
            e_value(crude),
            float((usual * weights).sum()) / total,
            float(strata["x_new"].sum()) / total,
        )
    stratified = float(np.mean([values[0] for values in best.values()]))
    whole = float(np.mean([values[1] for values in best.values()]))
    by_whole = stratified < 1.0 / alpha <= whole
    metric = max(best, key=lambda name: best[name][1 if by_whole else 0])
    verdict: Verdict = (
        "blamed" if stratified >= 1.0 / alpha else "cannot-separate" if by_whole else "not-blamed"
    )
    return DeployVerdict(
        deployment=deployment,
        verdict=verdict,
        e_value=stratified,
        crude_e_value=whole,
        metric=metric,
        before=best[metric][2],
        after=best[metric][3],
        calls=n_new,
    )


def _said(deployment: Deployment, verdict: Verdict, calls: int) -> DeployVerdict:
    return DeployVerdict(
        deployment=deployment,
        verdict=verdict,
        e_value=1.0,
        crude_e_value=1.0,
        metric=None,
        before=None,
        after=None,
        calls=calls,
    )


def _strata(calls: pl.DataFrame, column: str, by: Sequence[str]) -> dict[str, Floats]:
    """Return calls and hits before and after, by stratum; strata without a before tell nothing."""
    table = (
        calls.drop_nulls(column)
        .group_by(by)
        .agg(
            n_old=pl.col("old").sum(),
            x_old=(pl.col("old") & pl.col(column)).sum(),
            n_new=pl.col("new").sum(),
            x_new=(pl.col("new") & pl.col(column)).sum(),
        )
        .filter(pl.col("n_old") > 0, pl.col("n_new") > 0)
        .sort(by)
    )
    return {
        name: table[name].cast(pl.Float64).to_numpy()
        for name in ("n_old", "x_old", "n_new", "x_new")
    }


def e_value(strata: dict[str, Floats]) -> float:
    """Return the evidence that the odds of a hit rose, over strata.

    Args:
        strata: Arrays ``n_old``, ``x_old``, ``n_new``, ``x_new``, one entry a stratum.

    Examples:
        >>> def one(*counts):
        ...     names = ("n_old", "x_old", "n_new", "x_new")
        ...     return {n: np.array([float(c)]) for n, c in zip(names, counts, strict=True)}
        >>> e_value(one(1000, 10, 200, 2)) < 1 < 20 < e_value(one(1000, 10, 200, 20))
        True
    """
    if not len(strata["n_old"]):
        return 1.0
    kept = np.minimum(1.0, MOST_BEFORE / strata["n_old"])
    a = strata["x_old"] * kept + 0.5
    b = (strata["n_old"] - strata["x_old"]) * kept + 0.5
    levels = (np.arange(POINTS) + 0.5) / POINTS
    share = np.clip(betaincinv(a[:, None], b[:, None], levels[None, :]), 1e-12, 1 - 1e-12)
    n, x = strata["n_new"][:, None], strata["x_new"][:, None]
    null = _log_mean(_log_binomial(x, n, share))
    totals = []
    for odds in ODDS:
        raised = share * odds / (1.0 - share + share * odds)
        totals.append(float((_log_mean(_log_binomial(x, n, raised)) - null).sum()))
    largest = max(totals)
    log_e = largest + float(np.log(np.mean(np.exp(np.array(totals) - largest))))
    return float(np.exp(min(log_e, 600.0)))


def _log_binomial(x: Floats, n: Floats, p: Floats) -> Floats:
    result: Floats = (
        gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1) + xlogy(x, p) + xlog1py(n - x, -p)
    )
    return result


def _log_mean(values: Floats) -> Floats:
    largest = values.max(axis=1, keepdims=True)
    mean: Floats = largest[:, 0] + np.log(np.exp(values - largest).mean(axis=1))
    return mean
