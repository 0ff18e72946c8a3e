"""The one place that spends a budget: from evidence to episodes and incidents.

Two budgets hold at once, both as rates on traffic where nothing changed:

- ``false_alarms_per_operation_week``: entries of ``signals`` per operation, over all metrics;
- ``false_incidents_per_week``: for the whole lab, however many operations it has.

At every window the candidate evidence (``p <= MEMBER_LEVEL``) of connected operations is combined by
the Cauchy combination test, each group weighed by its share of *all* tests of that window: a single
operation has to stand up against the whole lab, while twenty neighbours that are each moderately
surprised carry each other. A group whose combined p-value passes the gate makes its members signals.
An open episode is extended by weaker evidence and closed when its level is back; it is never said
twice. No step looks ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from evolution_lab.config import EvolutionConfig
from evolution_lab.intents.connections import Connections
from evolution_lab.intents.evidence import KINDS
from evolution_lab.intents.levels import level_is_back
from evolution_lab.intents.tails import cauchy_tail, cauchy_terms
from evolution_lab.intents.view import DetectionView
from evolution_lab.records import IntentKind
from evolution_lab.records.intent import ErrorClass
from evolution_lab.schemas import EVIDENCE, METRICS, check

MEMBER_LEVEL: Final = 1e-3
"""Evidence at most this probable can make its operation a member of an incident."""
EXTEND_LEVEL: Final = 1e-2
"""Evidence at most this probable keeps an open episode open."""
QUIET_WINDOWS: Final = 2
"""Judged windows in a row without such evidence, and with the level back, that close an episode."""
LONGEST_ONSET: Final = 12
"""Windows after an incident's first signal in which others still join it: the longest horizon.

A change that lasts for hours does not swallow what goes wrong after it.
"""
ONSET_WINDOWS: Final = 1
"""Windows after an incident's first signal in which whatever begins belongs to it."""
IDLE_WINDOWS: Final = 12
"""Windows in a row that could not be judged after which an episode is closed."""


@dataclass(frozen=True)
class Row:
    """One row of evidence, by position in the view."""

    t: int
    operation: int
    metric: str
    detector: str
    p_value: float
    n_obs: int
    horizon: int
    observed: float | None
    baseline: float | None
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    dispersion: float | None


@dataclass
class Episode:
    """One change of one operation and metric family, from the window it was said on.

    Attributes:
        rows: The evidence that opened and kept it, in time order; one row a window, metric and speed.
        closed: Whether it has recovered.
    """

    operation: int
    kind: IntentKind
    error_class: ErrorClass | None
    opened: int
    last: int
    gate_p_value: float
    incident: int
    rows: list[Row] = field(default_factory=list)
    quiet: int = 0
    idle: int = 0
    closed: bool = False

    @property
    def last_strong(self) -> int:
        """The last window with evidence that could have made it a member."""
        return max(row.t for row in self.rows if row.p_value <= MEMBER_LEVEL)

    @property
    def strongest(self) -> Row:
        """The most surprising row; the first of them where several are."""
        return min(self.rows, key=lambda row: (row.p_value, row.t))


def gate_level(config: EvolutionConfig, *, operations: int, windows_per_week: float) -> float:
    """Return the combined p-value at which a group of operations becomes an incident.

    With ``m`` operations the lab may raise ``min(false_incidents_per_week, m * b / k)`` false
    incidents a week, ``b`` being the budget per operation and ``k`` the number of signals a false
    incident has on average: one, and those that join by chance.

    Examples:
        >>> round(gate_level(EvolutionConfig(), operations=200, windows_per_week=10080) * 10080, 2)
        1.0
        >>> round(gate_level(EvolutionConfig(), operations=1, windows_per_week=672) * 672, 4)
        0.0498
    """
    signals = 1.0 + operations * len(METRICS) * MEMBER_LEVEL
    per_week = min(
        config.false_incidents_per_week,
        max(operations, 1) * config.false_alarms_per_operation_week / signals,
    )
    return per_week / windows_per_week


def decide(
    evidence: pl.DataFrame,
    view: DetectionView,
    *,
    connections: Connections,
    config: EvolutionConfig,
) -> list[Episode]:
    """Spend the budgets on evidence, window by window.

    Args:
        evidence: What the detectors returned, concatenated.
        view: The windows they saw.
        connections: Which operations belong together.
        config: The budgets.

    Returns:
        Episodes in the order in which they were opened.

    Raises:
        FrameContractError: The evidence breaks its contract.
    """
    check(evidence, EVIDENCE)
    gate = gate_level(
        config, operations=len(view.operations), windows_per_week=view.windows_per_week
    )
    tests, rows_by_window, tested = _by_window(evidence, view)
    episodes: list[Episode] = []
    for t in range(len(view.starts)):
        rows = rows_by_window.get(t, [])
        open_now = [episode for episode in episodes if not episode.closed]
        for episode in open_now:
            _follow(episode, t, rows, view, tested=tested)
        members = [row for row in rows if row.p_value <= MEMBER_LEVEL and _is_news(row, episodes)]
        taken = {e.operation for e in episodes if not e.closed}
        for group in connections.components({row.operation for row in members}, taken=taken):
            inside = [row for row in members if row.operation in set(group)]
            terms = cauchy_terms(np.array([row.p_value for row in inside]))
            combined = cauchy_tail(float(terms.sum()) / tests[t])
            if combined <= gate:
                _open(episodes, inside, t, combined, connections)
    return episodes


def _is_news(row: Row, episodes: Sequence[Episode]) -> bool:
    """Say whether a row covers only windows after its operation's closed episodes of that kind."""
    reaches_back_to = row.t - row.horizon + 1
    return not any(
        e.closed
        and e.operation == row.operation
        and e.kind == KINDS[row.metric]
        and e.error_class == _error_class(row.metric)
        and e.last >= reaches_back_to
        for e in episodes
    )


def _open(
    episodes: list[Episode],
    rows: Sequence[Row],
    t: int,
    combined: float,
    connections: Connections,
) -> None:
    """Open an episode for each operation and kind of a group that has none open.

    What begins in one window or the next is one incident: two causes that begin together are far
    rarer than one that shows in places which nothing connects, and one that begins late in a window
    shows in some of them a window later. After that it joins an incident only along calls.
    """
    operations = {row.operation for row in rows}
    began: dict[int, int] = {}
    for e in episodes:
        began.setdefault(e.incident, e.opened)
    near = [
        e
        for e in episodes
        if not e.closed
        and (
            e.opened == t
            or began[e.incident] >= t - ONSET_WINDOWS
            or (
                e.last_strong >= t - QUIET_WINDOWS
                and began[e.incident] >= t - LONGEST_ONSET
                and any(connections.calling(operation, [e.operation]) for operation in operations)
            )
        )
    ]
    incident = min((e.incident for e in near), default=len({e.incident for e in episodes}))
    taken = {(e.operation, e.kind, e.error_class) for e in episodes if not e.closed}
    fresh: dict[tuple[int, IntentKind, ErrorClass | None], list[Row]] = {}
    for row in rows:
        key = (row.operation, KINDS[row.metric], _error_class(row.metric))
        if key not in taken:
            fresh.setdefault(key, []).append(row)
    for (operation, kind, error_class), own in sorted(
        fresh.items(), key=lambda item: (item[0][0], item[0][1], item[0][2] or "")
    ):
        episodes.append(
            Episode(
                operation=operation,
                kind=kind,
                error_class=error_class,
                opened=t,
                last=t,
                gate_p_value=combined,
                incident=incident,
                rows=list(own),
            )
        )


def _follow(
    episode: Episode,
    t: int,
    rows: Sequence[Row],
    view: DetectionView,
    *,
    tested: set[tuple[int, int, str]],
) -> None:
    """Extend an open episode by the window's evidence, or count it quiet."""
    metrics = [
        metric
        for metric, kind in KINDS.items()
        if kind == episode.kind and _error_class(metric) == episode.error_class
    ]
    strongest = episode.strongest
    back = level_is_back(
        view,
        strongest.metric,
        episode.operation,
        t,
        baseline=strongest.baseline,
        peak=strongest.observed,
    )
    own = [
        row
        for row in rows
        if row.operation == episode.operation
        and row.metric in metrics
        and (row.horizon == 1 or not back)  # Longer horizons still see what is over already.
    ]
    if own:
        episode.rows.extend(own)
        episode.last, episode.quiet, episode.idle = t, 0, 0
    elif not any((t, episode.operation, metric) in tested for metric in metrics):
        episode.idle += 1
    elif back:
        episode.quiet += 1
    else:
        episode.last, episode.quiet = t, 0
    episode.closed = episode.quiet >= QUIET_WINDOWS or episode.idle >= IDLE_WINDOWS


_ERROR_CLASSES: Final[Mapping[str, ErrorClass]] = {
    "error-rate": "server",
    "client-error-rate": "client",
}


def _error_class(metric: str) -> ErrorClass | None:
    return _ERROR_CLASSES.get(metric)


def _by_window(
    evidence: pl.DataFrame, view: DetectionView
) -> tuple[dict[int, int], dict[int, list[Row]], set[tuple[int, int, str]]]:
    """Return tests per window, interesting rows per window, and what was judged at all."""
    place = {operation.op_id: i for i, operation in enumerate(view.operations)}
    at = {start: t for t, start in enumerate(view.starts)}
    ordered = evidence.sort("window_start", "op_id", "metric", "detector")
    tests = {at[start]: n for start, n in ordered.group_by("window_start").len().iter_rows()}
    rows: dict[int, list[Row]] = {}
    for r in ordered.filter(pl.col("p_value") <= EXTEND_LEVEL).iter_rows(named=True):
        t = at[r["window_start"]]
        rows.setdefault(t, []).append(
            Row(
                t=t,
                operation=place[r["op_id"]],
                **{
                    name: r[name]
                    for name in Row.__dataclass_fields__
                    if name not in {"t", "operation"}
                },
            )
        )
    ever = ordered.filter(pl.col("p_value") <= MEMBER_LEVEL)["op_id"].unique()
    judged = ordered.filter(pl.col("op_id").is_in(ever.implode()))
    tested = {
        (at[start], place[op_id], metric)
        for start, op_id, metric in judged.select("window_start", "op_id", "metric").iter_rows()
    }
    return tests, rows, tested
