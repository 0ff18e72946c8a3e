"""How much a suite would notice: what its side file and the summary of a batch show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from evolution_lab.display import ResultMixin
from evolution_lab.records.json_form import CAMEL_CASE

Operator = Literal[
    "value", "null", "type", "drop", "extra", "truncate", "volatile-null", "volatile-type", "code"
]
STRUCTURAL: Final[frozenset[Operator]] = frozenset(
    {"null", "type", "drop", "extra", "truncate", "volatile-null", "volatile-type"}
)
"""Operators that change what an answer is made of; the other changes a value for one alike."""


@dataclass(frozen=True, kw_only=True)
class OperatorPower:
    """How many mutants of one operator were noticed.

    Attributes:
        operator: What was done to the answers.
        noticed: How many of them a case went red for.
        tried: How many there were.
    """

    __pydantic_config__ = CAMEL_CASE

    operator: Operator
    noticed: int
    tried: int

    @property
    def share(self) -> float | None:
        """Share noticed; None where none was tried."""
        return self.noticed / self.tried if self.tried else None


@dataclass(frozen=True, kw_only=True)
class SuitePower(ResultMixin):
    """What share of behaviour changes a suite would notice, by operator.

    Attributes:
        operators: One entry for each operator that was tried, in alphabetical order.
    """

    __pydantic_config__ = CAMEL_CASE
    _title: ClassVar[str] = "Behaviour changes noticed"

    operators: tuple[OperatorPower, ...]

    @property
    def values(self) -> tuple[int, int]:
        """Noticed and tried changes of values at places that are checked in full."""
        return self._sum("value")

    @property
    def structural(self) -> tuple[int, int]:
        """Noticed and tried changes of structure, and of places that are let go."""
        return self._sum(*STRUCTURAL)

    @property
    def code(self) -> tuple[int, int]:
        """Noticed and tried changes of the code that the runner calls; Python runners only."""
        return self._sum("code")

    def _sum(self, *operators: Operator) -> tuple[int, int]:
        chosen = [o for o in self.operators if o.operator in operators]
        return sum(o.noticed for o in chosen), sum(o.tried for o in chosen)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row an operator, with a 95 % interval (Clopper and Pearson 1934)."""
        return [
            {
                "operator": o.operator,
                "noticed": o.noticed,
                "tried": o.tried,
                "share": o.share,
                "interval": interval(o.noticed, o.tried),
            }
            for o in self.operators
        ]


def interval(noticed: int, tried: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a share (Clopper and Pearson 1934); None where none was tried."""
    if not tried:
        return None
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(noticed, tried, alpha=0.05, method="beta")
    return float(low), float(high)


def added(powers: Iterable[SuitePower]) -> SuitePower:
    """Return the power of several suites taken together."""
    noticed: Counter[Operator] = Counter()
    tried: Counter[Operator] = Counter()
    for power in powers:
        for each in power.operators:
            noticed[each.operator] += each.noticed
            tried[each.operator] += each.tried
    return SuitePower(
        operators=tuple(
            OperatorPower(operator=name, noticed=noticed[name], tried=tried[name])
            for name in sorted(tried)
        )
    )
