"""How long executions of both arms took: quantiles with confidence sequences, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import polars as pl

from evolution_lab.display import ResultMixin
from evolution_lab.experiments.definition import Arm
from evolution_lab.experiments.statistics.quantiles import quantile_interval
from evolution_lab.experiments.tallies import ARMS
from evolution_lab.records.json_form import CAMEL_CASE

QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True)
class ArmQuantile:
    """One quantile of one arm.

    Attributes:
        arm: ``control`` or ``variant``.
        n_obs: Executions.
        quantile: Between 0 and 1.
        estimate_ms: Milliseconds, type 7.
        low_ms: Lower end of the 95 % confidence sequence; None where there are too few.
        high_ms: Upper end, likewise.
    """

    __pydantic_config__ = CAMEL_CASE

    arm: Arm
    n_obs: int
    quantile: float
    estimate_ms: float
    low_ms: float | None
    high_ms: float | None


@dataclass(frozen=True, repr=False)
class ArmQuantiles(ResultMixin):
    """Quantiles of both arms; they decide nothing, ``latency_p99`` guards by counts.

    Attributes:
        rows: By arm, then quantile.
    """

    rows: tuple[ArmQuantile, ...]
    _title: ClassVar[str] = "durations"

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a quantile."""
        return [
            {
                "arm": row.arm,
                "executions": row.n_obs,
                "quantile": row.quantile,
                "ms": row.estimate_ms,
                "from": row.low_ms,
                "to": row.high_ms,
            }
            for row in self.rows
        ]


def arm_quantiles(
    executions: pl.DataFrame, *, quantiles: Sequence[float] = QUANTILES, alpha: float = 0.05
) -> ArmQuantiles:
    """Return quantiles of the durations of both arms, valid at all looks together.

    Executions count as independent, which those of one user are not quite.

    Args:
        executions: As ``telemetry_outcomes.executions`` returns them.
        quantiles: Which ones.
        alpha: Probability that any of an arm's sequences ever misses.

    Examples:
        >>> frame = pl.DataFrame({"arm": [0] * 1000, "duration_ns": [n * 10**6 for n in range(1000)]})
        >>> arm_quantiles(frame, quantiles=[0.5]).rows[0].estimate_ms
        499.5
    """
    rows = []
    for number, arm in enumerate(ARMS):
        values = executions.filter(pl.col("arm") == number)["duration_ns"].to_numpy() / 1e6
        for quantile in quantiles if len(values) else ():
            low, high = quantile_interval(values, quantile, alpha=alpha)
            rows.append(
                ArmQuantile(
                    arm=arm,
                    n_obs=len(values),
                    quantile=quantile,
                    estimate_ms=float(np.quantile(values, quantile)),
                    low_ms=low if np.isfinite(low) else None,
                    high_ms=high if np.isfinite(high) else None,
                )
            )
    return ArmQuantiles(tuple(rows))
