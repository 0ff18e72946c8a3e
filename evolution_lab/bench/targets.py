"""What a benchmark says: measured values beside their targets, peers, and the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from scipy.stats import beta, chi2

from evolution_lab.display import ResultMixin, escape_markdown
from evolution_lab.records.json_form import CAMEL_CASE, to_python

Bound = Literal["at most", "at least"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """One measured value, and what it should be.

    Attributes:
        id: Short name, such as ``M3-f1``.
        value: What was measured; None where it could not be.
        interval: 95 % interval of the value, None where it has none.
        target: The number to reach.
        bound: Whether ``target`` is the most or the least.
        what: One sentence: what was measured, on what.

    Examples:
        >>> Target(id="x", value=0.04, target=0.05, bound="at most", what="A rate.").passed
        True
    """

    id: str
    value: float | None
    interval: tuple[float, float] | None = None
    target: float
    bound: Bound
    what: str

    @property
    def passed(self) -> bool:
        """Whether the value reaches its target."""
        if self.value is None:
            return False
        return self.value <= self.target if self.bound == "at most" else self.value >= self.target


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One figure of another tool or rule, measured in the same run.

    Attributes:
        name: The rule or tool.
        what: What was measured, the ``id`` of a target where it is the same quantity.
        value: The figure; None where the peer could not run.
        note: Anything a reader needs: settings, why it could not run.
    """

    __pydantic_config__ = CAMEL_CASE

    name: str
    what: str
    value: float | None
    note: str = ""


@dataclass(frozen=True)
class BenchReport(ResultMixin):
    """What one benchmark measured.

    Attributes:
        targets: Measured values with their targets.
        peers: The same of others, from the same run.
        tables: Tables behind the targets, by title; rows of plain values.
    """

    _title: ClassVar[str] = "Measured"

    targets: tuple[Target, ...] = ()
    peers: tuple[Peer, ...] = ()
    tables: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every target was reached."""
        return all(target.passed for target in self.targets)

    def __add__(self, other: BenchReport) -> BenchReport:
        return BenchReport(
            self.targets + other.targets, self.peers + other.peers, {**self.tables, **other.tables}
        )

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a target."""
        return [
            {
                "id": target.id,
                "measured": target.value,
                "95 %": "–"
                if target.interval is None
                else f"{target.interval[0]:.3g} to {target.interval[1]:.3g}",
                "target": f"{target.bound} {target.target:g}",
                "reached": "yes" if target.passed else "no",
                "what": target.what,
            }
            for target in self.targets
        ]

    def to_document(self) -> dict[str, Any]:
        """Return the JSON document that ``evolution-lab bench … --json`` prints."""
        return {
            "targets": [
                {
                    "id": target.id,
                    "value": target.value,
                    "interval": target.interval,
                    "target": target.target,
                    "bound": target.bound,
                    "pass": target.passed,
                    "what": target.what,
                }
                for target in self.targets
            ],
            "peers": [to_python(peer) for peer in self.peers],
            "tables": {title: [dict(row) for row in rows] for title, rows in self.tables.items()},
            "machine": machine(),
        }


def bench_page(report: BenchReport, *, title: str, command: str) -> str:
    """Return a report as a page of Markdown, with the command that gives it again.

    Args:
        report: What was measured.
        title: The page's heading.
        command: What was typed.
    """
    facts = machine()
    where = f"{facts['cores']} cores ({facts['system']}, Python {facts['python']})"
    parts = [
        f"# {title}",
        f"Measured by `{command}` on {where}.",
        "## Targets",
        _table(report.to_dicts()),
    ]
    if report.peers:
        peers = [{"peer": p.name, "of": p.what, "value": p.value, "": p.note} for p in report.peers]
        parts += ["## Peers, same run", _table(peers)]
    for name, rows in report.tables.items():
        parts += [f"## {name}", _table(rows)]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "Nothing."
    head = list(rows[0])
    lines = [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(_cell(row[name]) for name in head) + " |" for row in rows),
    ]
    return "\n".join(lines)


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)
    return escape_markdown(text)


def machine() -> dict[str, Any]:
    """Return what a figure depends on: cores, system, Python."""
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def rate_interval(count: int, exposure: float) -> tuple[float, float]:
    """Return Garwood's (1936) exact 95 % interval of a Poisson rate.

    Examples:
        >>> low, high = rate_interval(0, 100)
        >>> low, round(high, 4)
        (0.0, 0.0369)
    """
    low = float(chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
    return low / exposure, float(chi2.ppf(0.975, 2 * count + 2)) / 2 / exposure


def share_interval(count: int, n: int) -> tuple[float, float]:
    """Return Clopper and Pearson's (1934) exact 95 % interval of a share.

    Examples:
        >>> low, high = share_interval(10, 10)
        >>> round(low, 3), high
        (0.692, 1.0)
    """
    low = float(beta.ppf(0.025, count, n - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, n - count)) if count < n else 1.0
    return low, high
