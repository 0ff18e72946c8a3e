"""Data flow of a workflow: which inputs of its steps are answers of the steps before."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import scipy

from evolution_lab.records import Workflow
from evolution_lab.records.json_form import CAMEL_CASE
from evolution_lab.suggestions.traffic.exchanges import Exchange, is_redacted
from evolution_lab.suggestions.traffic.findings import ALPHA, first_rows
from evolution_lab.suggestions.traffic.values import ITEM, Path, leaves

Side = Literal["input", "output"]

FEWEST_RUNS: Final = 20
LEAST_SHARE: Final = 0.8
"""Share of the runs that carry the input in which it is the value of its source."""
LEAST_LIFT: Final = 5.0
"""Matches over those of runs mixed among each other: below, equal values say little."""
FEWEST_VALUES: Final = 10
"""Distinct values of an input; fewer are categories."""
MIXINGS: Final = 199
_SMALL: Final = 1000
_GAP: Final = timedelta(minutes=30)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?|\d\d:\d\d(:\d\d)?")


@dataclass(frozen=True, kw_only=True)
class FlowLink:
    """One input of a step that is a value of a step before.

    Attributes:
        step: The step that takes it, counted from 0.
        path: Where in its input.
        from_step: The step it comes from.
        side: ``output``, or ``input`` where both steps are given the same.
        from_path: Where in that step's answer or input.
        runs: Runs in which the input is there.
        matches: Runs in which it equals its source.
        expected: Matches expected when runs of one tenant are mixed.
        p_value: That chance gives as many, over all pairs of values looked at (Bonferroni).
        p_mixed: Share of 199 mixings with as many matches.
    """

    __pydantic_config__ = CAMEL_CASE

    step: int
    path: tuple[str, ...]
    from_step: int
    side: Side
    from_path: tuple[str, ...]
    runs: int
    matches: int
    expected: float
    p_value: float
    p_mixed: float


@dataclass(frozen=True, kw_only=True)
class DataFlow:
    """What flows through a workflow, and what one call instead would save.

    Attributes:
        workflow_id: The workflow.
        runs: Runs of it that were recorded whole, one a session.
        links: Inputs that come from steps before.
        inputs: Inputs that nobody supplies, as (step, path): what a composite must be given.
        calls_saved: Calls that one operation saves a client.
        saved_ns: Median time between the end of a step and the beginning of the next, summed over a
            run: what a client waits between its calls.
        saved_interval: 95 % interval of that median (order statistics).
        rows: Ids of the recorded calls of the first runs.
    """

    __pydantic_config__ = CAMEL_CASE

    workflow_id: str
    runs: int
    links: tuple[FlowLink, ...]
    inputs: tuple[tuple[int, tuple[str, ...]], ...]
    calls_saved: int
    saved_ns: int
    saved_interval: tuple[int, int]
    rows: tuple[str, ...]


def find_data_flow(workflow: Workflow, exchanges: Sequence[Exchange]) -> DataFlow | None:
    """Return what flows through a workflow; None where too few runs of it were recorded whole.

    An input is linked to an earlier value when both are equal in at least ``LEAST_SHARE`` of the runs
    that carry it, and far more often than when the runs of each tenant are mixed among each other:
    the number of matches is then nearly Poisson, with the mean over all pairs of different runs.
    Booleans, dates, small whole numbers and redacted texts are no evidence. Lists are compared whole.

    Args:
        workflow: Steps in order.
        exchanges: Recorded calls with sessions, of any operations.
    """
    runs = recorded_runs(workflow, exchanges)
    if len(runs) < FEWEST_RUNS:
        return None
    table = [[_values(e.input) for e in run] for run in runs]
    answers = [[_values(e.answer) for e in run] for run in runs]
    tenants = [run[0].tenant or "" for run in runs]
    n = len(workflow.steps)
    sources: dict[tuple[int, Side, Path], list[Any]] = {}
    for i in range(n - 1):
        for side, held in (("output", answers), ("input", table)):
            for path in _paths(row[i] for row in held):
                sources[i, side, path] = [row[i].get(path) for row in held]  # type: ignore[index]
    targets = {
        (j, path): [row[j].get(path) for row in table]
        for j in range(n)
        for path in _paths(row[j] for row in table)
    }
    family = max(1, sum(s[0] < t[0] for s in sources for t in targets))
    links = _links(targets, sources, tenants, family)
    linked = {(link.step, link.path) for link in links}
    open_inputs = tuple(sorted(t for t, v in targets.items() if t not in linked and _common(v)))
    saved, interval = _saved(runs)
    return DataFlow(
        workflow_id=workflow.id,
        runs=len(runs),
        links=links,
        inputs=open_inputs,
        calls_saved=n - 1,
        saved_ns=saved,
        saved_interval=interval,
        rows=first_rows(e.id for run in runs[:7] for e in run),
    )


def recorded_runs(workflow: Workflow, exchanges: Sequence[Exchange]) -> list[list[Exchange]]:
    """Return the first whole, successful run of each session, in order of time."""
    wanted = [(step.service, step.key) for step in workflow.steps]
    sessions: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in exchanges:
        if exchange.session is not None:
            sessions[exchange.session].append(exchange)
    runs = []
    for calls in sessions.values():
        calls.sort(key=lambda e: (e.at, e.id))
        names = [(e.operation.service, e.operation.key) for e in calls]
        for start in range(len(calls) - len(wanted) + 1):
            run = calls[start : start + len(wanted)]
            if (
                names[start : start + len(wanted)] == wanted
                and all(e.outcome == "ok" and e.whole for e in run)
                and all(b.at - a.at <= _GAP for a, b in pairwise(run))
            ):
                runs.append(run)
                break
    return sorted(runs, key=lambda run: (run[0].at, run[0].id))


def _values(value: Any) -> dict[Path, Any]:
    """Return scalars by path; what stands in lists as one tuple a path."""
    found: dict[Path, Any] = {}
    lists: dict[Path, list[Any]] = defaultdict(list)
    for path, leaf in leaves(value):
        if ITEM in path:
            lists[path].append(leaf)
        else:
            found[path] = leaf
    return {**found, **{path: tuple(held) for path, held in lists.items()}}


def _paths(rows: Any) -> list[Path]:
    return sorted({path for row in rows for path in row})


def _common(values: Sequence[Any]) -> bool:
    """Whether an input is in at least one run in twenty: what a composite has to take."""
    return sum(v is not None for v in values) >= max(1, len(values) // 20)


def _tells(value: Any) -> bool:
    """Whether a value can be evidence of flow by itself."""
    if isinstance(value, tuple):
        return any(_tells(each) for each in value)
    if value is None or isinstance(value, bool) or is_redacted(value):
        return False
    if isinstance(value, (int, float)):
        return abs(value) >= _SMALL or not float(value).is_integer()
    text = str(value)
    if _TIME.fullmatch(text) or text.lower() in {"true", "false"}:
        return False
    return not text.lstrip("-").isdecimal() or abs(int(text[:18])) >= _SMALL


def _key(value: Any) -> Any:
    """A path's parameter is text where an answer has a number: they are the same value."""
    if isinstance(value, tuple):
        return tuple(_key(each) for each in value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return str(int(value)) if float(value).is_integer() else repr(value)


def _links(
    targets: Mapping[tuple[int, Path], list[Any]],
    sources: Mapping[tuple[int, Side, Path], list[Any]],
    tenants: Sequence[str],
    family: int,
) -> tuple[FlowLink, ...]:
    keyed = {place: [_key(v) for v in values] for place, values in sources.items()}
    links: dict[tuple[int, Path], FlowLink] = {}
    for (step, path), values in sorted(targets.items()):
        if step == 0:
            continue
        told = [_key(v) if _tells(v) else None for v in values]
        if len({v for v in told if v is not None}) < FEWEST_VALUES:
            continue
        found = [
            link
            for (i, side, from_path), given in keyed.items()
            if i < step
            and (link := _link((step, path), told, (i, side, from_path), given, tenants, family))
        ]
        if found:
            links[step, path] = min(
                found,
                key=lambda k: (
                    -round(k.matches / k.runs, 2),
                    k.side != "output",
                    k.from_step,
                    k.from_path,
                ),
            )
    _add_siblings(links, targets, keyed, sources)
    return tuple(links[place] for place in sorted(links))


def _link(
    target: tuple[int, Path],
    told: Sequence[Any],
    source: tuple[int, Side, Path],
    given: Sequence[Any],
    tenants: Sequence[str],
    family: int,
) -> FlowLink | None:
    rows = [r for r, value in enumerate(told) if value is not None]
    matches = sum(told[r] == given[r] for r in rows)
    if len(rows) < FEWEST_RUNS or matches < LEAST_SHARE * len(rows):
        return None
    expected = _expected(rows, told, given, tenants)
    p = min(1.0, family * float(scipy.stats.poisson.sf(matches - 1, max(expected, 1e-9))))
    if p > ALPHA or matches < LEAST_LIFT * expected:
        return None
    return FlowLink(
        step=target[0],
        path=target[1],
        from_step=source[0],
        side=source[1],
        from_path=source[2],
        runs=len(rows),
        matches=matches,
        expected=expected,
        p_value=p,
        p_mixed=_mixed(rows, told, given, tenants, matches),
    )


def _expected(
    rows: Sequence[int], told: Sequence[Any], given: Sequence[Any], tenants: Sequence[str]
) -> float:
    """Return the mean number of matches when the runs of each tenant are mixed.

    Each run is paired with every other one of its tenant, never with itself. A tenant with one run
    cannot be mixed; its run is paired with those of all such tenants.
    """
    by_tenant = Counter(tenants[r] for r in rows)
    strata = [tenants[r] if by_tenant[tenants[r]] > 1 else "" for r in rows]
    expected = 0.0
    for stratum in sorted(set(strata)):
        own = [r for r, s in zip(rows, strata, strict=True) if s == stratum]
        if len(own) < 2:
            continue
        a, b = Counter(told[r] for r in own), Counter(given[r] for r in own)
        pairs = sum(count * b[value] for value, count in a.items())
        itself = sum(told[r] == given[r] for r in own)
        expected += (pairs - itself) / (len(own) - 1)
    return expected


def _mixed(
    rows: Sequence[int],
    told: Sequence[Any],
    given: Sequence[Any],
    tenants: Sequence[str],
    matches: int,
) -> float:
    rng = np.random.default_rng(0)
    codes: dict[Any, int] = {}
    a = np.array([codes.setdefault(told[r], len(codes)) for r in rows])
    b = np.array([codes.setdefault(given[r], len(codes)) for r in rows])
    strata = np.array([tenants[r] for r in rows])
    groups = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    as_many = 0
    for _ in range(MIXINGS):
        mixed = b.copy()
        for group in groups:
            mixed[group] = rng.permutation(b[group])
        as_many += int((a == mixed).sum()) >= matches
    return (1 + as_many) / (1 + MIXINGS)


def _add_siblings(
    links: dict[tuple[int, Path], FlowLink],
    targets: Mapping[tuple[int, Path], list[Any]],
    keyed: Mapping[tuple[int, Side, Path], list[Any]],
    sources: Mapping[tuple[int, Side, Path], list[Any]],
) -> None:
    """Link the other fields of a list whose identifying field is linked: quantities beside skus."""
    for (step, path), link in list(links.items()):
        if ITEM not in path or ITEM not in link.from_path:
            continue
        head = path[: len(path) - path[::-1].index(ITEM)]
        from_head = link.from_path[: len(link.from_path) - link.from_path[::-1].index(ITEM)]
        for place, values in targets.items():
            rest = place[1][len(head) :]
            source = (link.from_step, link.side, (*from_head, *rest))
            if place[0] != step or place[1][: len(head)] != head or place in links:
                continue
            if source not in sources:
                continue
            rows = [r for r, v in enumerate(values) if v is not None]
            same = sum(_key(values[r]) == keyed[source][r] for r in rows)
            if len(rows) >= FEWEST_RUNS and same >= 0.95 * len(rows):
                links[place] = FlowLink(
                    step=step,
                    path=place[1],
                    from_step=link.from_step,
                    side=link.side,
                    from_path=source[2],
                    runs=len(rows),
                    matches=same,
                    expected=link.expected,
                    p_value=link.p_value,
                    p_mixed=link.p_mixed,
                )


def _saved(runs: Sequence[Sequence[Exchange]]) -> tuple[int, tuple[int, int]]:
    waits = sorted(
        sum(
            max(0, round((b.at - a.at) / timedelta(microseconds=1)) * 1000 - (a.duration_ns or 0))
            for a, b in pairwise(run)
        )
        for run in runs
    )
    n = len(waits)
    low = max(int(scipy.stats.binom.ppf(0.025, n, 0.5)) - 1, 0)
    high = min(int(scipy.stats.binom.ppf(0.975, n, 0.5)) + 1, n - 1)
    return waits[(n - 1) // 2], (waits[low], waits[high])
