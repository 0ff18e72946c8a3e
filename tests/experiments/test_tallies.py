"""What units did adds up to what one process would have counted, whoever served which request."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.errors import CorruptFileError
from evolution_lab.experiments import Binding, RolloutCounts, SpecExperiment, Stage
from evolution_lab.experiments.counters import ArmCounts, counts_of_units
from evolution_lab.experiments.tallies import NO_UNIT, added, counts_of, tallies, unit_number

STAGES = (Stage(share=0.1), Stage(share=1.0))
ARM = {"operation": "checkout"}
STICKY = SpecExperiment(
    key="try",
    operation="checkout",
    control=Binding(version="1", **ARM),
    variant=Binding(version="2", **ARM),
    stages=STAGES,
)
REQUESTS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(1, 5), *[st.booleans()] * 4),
    max_size=40,
)


def one_pass(requests) -> RolloutCounts:
    """Count requests in the plainest way: one dict of units a stage and arm."""
    found = RolloutCounts.empty(stage.share for stage in STAGES)
    stages = []
    for number, stage in enumerate(found.stages):
        arms = []
        for arm in (0, 1):
            mine = [r for r in requests if r[:2] == (number, arm)]
            units = {}
            for _, _, unit, *marks in mine:
                old = units.get(unit, (0, 0, 0, 0))
                units[unit] = tuple(
                    a + b for a, b in zip(old, (1, *map(int, marks[:3])), strict=True)
                )
            fallbacks = sum(r[6] for r in mine)
            arms.append(ArmCounts(**counts_of_units(units.values()), fallbacks=fallbacks))
        stages.append(type(stage)(stage.share, *arms))
    return RolloutCounts(tuple(stages))


def as_rows(requests):
    return tallies((stage, arm, unit, 1, *map(int, marks)) for stage, arm, unit, *marks in requests)


@given(REQUESTS, st.integers(1, 5), st.randoms())
def test_parts_of_any_processes_merge_to_one_pass(
    requests, n_processes: int, order: random.Random
) -> None:
    processes = [[] for _ in range(n_processes)]
    for request in requests:
        order.choice(processes).append(request)  # One unit is served by several of them.
    parts = [added([as_rows(mine)]) for mine in processes]
    order.shuffle(parts)
    merged = added([added(parts[:2]), *parts[2:]])
    assert merged.tobytes() == added([as_rows(requests)]).tobytes()
    assert counts_of(STICKY, merged) == one_pass(requests)


def test_requests_that_are_units_are_plain_sums() -> None:
    each = [(0, 1, k, 1, *marks) for k, marks in enumerate([(1, 1, 1, 0), (0, 0, 1, 1)])]
    whole = [(0, 1, NO_UNIT, 2, 1, 1, 2, 1)]
    fleeting = SpecExperiment(
        key="try",
        operation="checkout",
        control=STICKY.control,
        variant=STICKY.variant,
        stages=STAGES,
        unit="request",
    )
    assert counts_of(fleeting, added([tallies(whole)])) == counts_of(STICKY, added([tallies(each)]))


def test_a_unit_that_calls_without_end_is_counted_exactly() -> None:
    rows = tallies([(0, 0, 1, 2**40, 2**39, 0, 0, 0), (0, 0, 2, 2**40, 1, 0, 0, 0)])
    control = counts_of(STICKY, rows).stages[0].control
    assert control.request_squares == 2 * 2**80
    assert control.failed_products == 2**79 + 2**40


def test_numbers_of_units_need_the_key() -> None:
    assert unit_number("u-7", b"a" * 32) != unit_number("u-7", b"b" * 32)
    assert all(0 < unit_number(f"u-{k}", b"a" * 32) < 2**63 for k in range(1000))
    assert unit_number("\ud800", b"a" * 32)


def test_rows_of_no_such_stage_are_refused() -> None:
    with pytest.raises(CorruptFileError, match="stage 3 of 2"):
        counts_of(STICKY, tallies([(2, 0, 1, 1, 0, 0, 0, 0)]))
