"""What share of behaviour changes a suite would notice, found by trying."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from evolution_lab.golden.comparison import compare, resolve
from evolution_lab.golden.expected_trees import pointer
from evolution_lab.golden.links import leaves_of
from evolution_lab.golden.mutants import response_mutants
from evolution_lab.golden.suite import GoldenCase
from evolution_lab.golden.suite_power import Operator, OperatorPower, SuitePower


def response_power(
    cases: Sequence[tuple[GoldenCase, Sequence[Any]]], *, sites: int = 6
) -> SuitePower:
    """Try each case on wrong answers of its last step.

    Args:
        cases: Cases with what their steps gave when they were recorded. Steps that expect an error
            are left out: they have no answer to change.
        sites: Most places tried for each operator and case.

    Examples:
        >>> from evolution_lab.golden.suite import GoldenStep
        >>> from evolution_lab.golden.matchers import of_type
        >>> step = GoldenStep(operation="op", input={}, output={"n": of_type("integer"), "k": "a"})
        >>> case = GoldenCase(id="0", name="", outcome="ok", steps=(step,))
        >>> power = response_power([(case, [{"n": 1, "k": "a"}])])
        >>> power.values, power.structural
        ((1, 2), (6, 6))
    """
    noticed: Counter[Operator] = Counter()
    tried: Counter[Operator] = Counter()
    for case, outputs in cases:
        last = case.steps[-1]
        if last.error is not None:
            continue
        names = _names_before(case, outputs)
        sent = resolve(last.input, names)
        output = outputs[-1]
        for mutant in response_mutants(output, relaxed_paths(case), sites=sites, seed=case.id):
            tried[mutant.operator] += 1
            found = compare(mutant.output, last.output, names=dict(names), sent=sent)
            noticed[mutant.operator] += bool(found)
    return SuitePower(
        operators=tuple(
            OperatorPower(operator=name, noticed=noticed[name], tried=tried[name])
            for name in sorted(tried)
        )
    )


def _names_before(case: GoldenCase, outputs: Sequence[Any]) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for step, output in zip(case.steps[:-1], outputs, strict=False):
        if step.error is None:
            compare(output, step.output, names=names)
    return names


def relaxed_paths(case: GoldenCase) -> set[str]:
    """Return the places of the last step's answer that are let go, as JSON Pointers."""
    last = len(case.steps) - 1
    return {r.path for r in case.relaxations if r.step == last and r.matcher != "unordered"}


def stable_leaves(case: GoldenCase, output: Any) -> int:
    """Return how many scalars of an answer are checked in full."""
    relaxed = relaxed_paths(case)
    return sum(pointer(leaf.path) not in relaxed for leaf in leaves_of(output))
