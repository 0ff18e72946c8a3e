"""Accepts changed behaviour by group: the suite expects it from then on, and the reason is kept."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from evolution_lab.errors import InputError, UnknownNameError
from evolution_lab.golden.comparison import at_pointer
from evolution_lab.golden.emitting import emit
from evolution_lab.golden.matchers import Tree, escape_key, literal
from evolution_lab.golden.side_files import Accepted, read_side_file
from evolution_lab.golden.suite import GoldenCase
from evolution_lab.golden.verdicts import CaseResult, group_differences

_ACCEPTABLE = frozenset({"value", "type", "missing", "extra", "shape", "length", "element", "link"})


def accept(
    output: Path,
    results: Iterable[CaseResult],
    *,
    only: str,
    why: str,
    by: str,
    on: date | None = None,
) -> Accepted:
    """Write a suite anew so that it expects one group of differences.

    Args:
        output: The written suite.
        results: Of a run of it.
        only: Name of the group, or its path.
        why: The reason, kept in the side file.
        by: Who accepts.
        on: Day; today unless given.

    Raises:
        InputError: No reason is given, or the group is one of errors or timeouts, which is no
            behaviour to keep.
        UnknownNameError: There is no such group.
    """
    if not why.strip():
        raise InputError("why == '', must say why the change is right.")
    results = list(results)
    groups = [g for g in group_differences(results) if only in {g.group, g.path}]
    if not groups:
        raise UnknownNameError("group", only, [g.group for g in group_differences(results)])
    refused = [g.group for g in groups if g.cause not in _ACCEPTABLE]
    if refused:
        raise InputError(f"{refused[0]!r} is no change of values: record it and generate anew.")
    side = read_side_file(output)
    wanted = {(group.path, group.cause) for group in groups}
    by_case = {result.case: result for result in results}
    changed: list[str] = []
    cases = []
    for case in side.suite.cases:
        result = by_case.get(case.title)
        updated = _updated(case, result, wanted) if result is not None else case
        if updated is not case:
            changed.append(case.title)
        cases.append(updated)
    accepted = Accepted(
        group=groups[0].group if len(groups) == 1 else only,
        why=why,
        by=by,
        on=(on or datetime.now(UTC).date()).isoformat(),
        cases=tuple(changed),
    )
    suite = replace(side.suite, cases=tuple(cases))
    log = (*side.accepted, accepted)
    emitted = emit(
        suite, output, side.settings, verified=side.verified, basis=side.basis, accepted=log
    )
    emitted.write(output)
    return accepted


def _updated(case: GoldenCase, result: CaseResult, wanted: set[tuple[str, str]]) -> GoldenCase:
    steps = list(case.steps)
    for difference in result.differences:
        group = group_differences([replace(result, differences=(difference,))])[0]
        if (group.path, group.cause) not in wanted:
            continue
        index = int(difference["step"])
        came = result.outputs[index]
        tree = _accepted(steps[index].output, came, difference)
        steps[index] = replace(steps[index], output=tree)
    return case if tuple(steps) == case.steps else replace(case, steps=tuple(steps))


def _accepted(tree: Tree, came: Any, difference: Mapping[str, str]) -> Tree:
    """Return the tree with what came in the place of what was expected."""
    pointer = difference["path"]
    if not pointer:
        return literal(came)
    tree = copy.deepcopy(tree)
    *parents, last = [t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")[1:]]
    at = tree
    for token in parents:
        at = at[int(token)] if isinstance(at, list) else at[escape_key(token)]
    if isinstance(at, list):
        at[int(last)] = literal(at_pointer(came, pointer))
    elif difference["kind"] == "missing":
        at.pop(escape_key(last), None)
    else:
        at[escape_key(last)] = literal(at_pointer(came, pointer))
    return tree
