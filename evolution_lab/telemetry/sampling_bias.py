"""Whether failures were sampled upstream otherwise than the rest: then error rates are biased.

A collector that keeps every failing trace and one in twenty of the others makes rates of rows twenty
times too high. Weights tell, where the spans carry them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import polars as pl

UNEQUAL: Final = 1.1
"""Mean weights that differ by more than this factor are not the same sampling."""
FEWEST: Final = 20
"""Rows of either outcome below which nothing is said."""


@dataclass
class WeightBalance:
    """Adds up the weights of failed and other rows, service by service.

    Examples:
        >>> balance = WeightBalance()
        >>> balance.see(pl.DataFrame({"service": ["cart"] * 100, "success": [False, True] * 50,
        ...                           "weight": [1.0, 20.0] * 50}))
        >>> balance.note()[:72]
        "service 'cart': failed rows stand for 1 execution(s) each, others for 20"
    """

    _parts: list[pl.DataFrame] = field(default_factory=list)

    def see(self, rows: pl.DataFrame) -> None:
        """Add up some landed rows."""
        self._parts.append(
            rows.drop_nulls("success")
            .group_by("service", "success")
            .agg(pl.len().alias("rows"), pl.sum("weight"))
        )

    def note(self) -> str | None:
        """Return a warning about the service where the weights differ most, None where none do."""
        if not self._parts:
            return None
        sums = pl.concat(self._parts).group_by("service", "success").agg(pl.sum("rows", "weight"))
        worst: tuple[float, str] | None = None
        for (service,), own in sums.sort("service").partition_by("service", as_dict=True).items():
            if own.height < 2 or own["rows"].min() < FEWEST:  # type: ignore[operator]
                continue
            mean = {row["success"]: row["weight"] / row["rows"] for row in own.to_dicts()}
            factor = max(mean.values()) / min(mean.values())
            whose = f"service {service!r}" if service else "rows without a service"
            said = (
                f"{whose}: failed rows stand for {mean[False]:.3g} execution(s) each, others for "
                f"{mean[True]:.3g}: they were sampled differently before they came here, so that "
                "error rates are biased."
            )
            if factor > UNEQUAL and (worst is None or factor > worst[0]):
                worst = (factor, said)
        return worst[1] if worst else None
