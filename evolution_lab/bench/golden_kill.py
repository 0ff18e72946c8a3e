"""What share of wrong answers a suite notices, by kind of wrongness."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from evolution_lab.bench.golden_corpora import CORPORA, corpus, volatile_labels
from evolution_lab.bench.targets import BenchReport, Target, share_interval
from evolution_lab.golden.comparison import compare
from evolution_lab.golden.expected_trees import pointer
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.matchers import literal
from evolution_lab.golden.mutants import response_mutants
from evolution_lab.golden.suite import canonical_json
from evolution_lab.golden.suite_power import added


def kill(dataset: Path, *, quick: bool = False) -> BenchReport:
    """Return the shares of mutants noticed on public recordings.

    On all corpora, places that are let go count as such by the suite's own word; on the labelled one
    by its maintainers', so that a steady value wrongly let go shows as a mutant that is missed.

    Args:
        dataset: The folder that holds the corpora.
        quick: Two places of each answer for each operator, instead of six.
    """
    sites = 2 if quick else 6
    powers = []
    for name in CORPORA:
        suites = GoldenTestGenerator(power_sites=sites).generate_all(corpus(dataset, name))
        powers += [suite.power for suite in suites.values() if suite.power is not None]
    power = added(powers)
    rows = []
    for name, target, (noticed, tried) in (
        ("value", 0.98, power.values),
        ("structural", 0.99, power.structural),
    ):
        rows.append(
            Target(
                id=f"golden.kill.{name}",
                value=noticed / tried,
                interval=share_interval(noticed, tried),
                target=target,
                bound="at least",
                what=f"Share of {tried} {name} mutants noticed, four corpora; what is let go is "
                "what the suite lets go.",
            )
        )
    return BenchReport(targets=(*rows, *_labelled(dataset, sites)))


def _labelled(dataset: Path, sites: int) -> list[Target]:
    labels = volatile_labels(dataset)
    snapshots = corpus(dataset, "github_octokit")
    outputs = {snapshot.id: snapshot.output for snapshot in snapshots}
    suites = GoldenTestGenerator(scenarios=False).generate_all(snapshots)
    by_input = {
        (case.steps[0].operation, canonical_json(case.steps[0].input)): case
        for suite in suites.values()
        for case in suite.cases
    }
    noticed: Counter[bool] = Counter()
    tried: Counter[bool] = Counter()
    for snapshot in snapshots:
        case = by_input.get((snapshot.operation.key, _one_text(snapshot.input)))
        if snapshot.id not in labels or case is None:
            continue
        volatile = {
            pointer(("body", *path)) for path, label in labels[snapshot.id].items() if label
        }
        for mutant in response_mutants(
            outputs[snapshot.id], volatile, sites=10 * sites, seed=snapshot.id
        ):
            structural = mutant.operator != "value"
            tried[structural] += 1
            noticed[structural] += bool(compare(mutant.output, case.steps[0].output))
    return [
        Target(
            id=f"golden.kill.labelled.{'structural' if structural else 'value'}",
            value=noticed[structural] / tried[structural],
            interval=share_interval(noticed[structural], tried[structural]),
            target=0.99 if structural else 0.98,
            bound="at least",
            what=f"Share of {tried[structural]} {'structural' if structural else 'value'} mutants "
            "noticed where a place is steady by label; suite from one recording.",
        )
        for structural in (False, True)
    ]


def _one_text(value: object) -> str:
    return canonical_json(literal(value))
