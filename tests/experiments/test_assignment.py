"""Assignment: the same everywhere, monotone over stages, independent between experiments."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from evolution_lab.contracts import HandlerContext
from evolution_lab.errors import InvalidExperimentError
from evolution_lab.experiments import Binding, Namespace, SpecExperiment, Stage
from evolution_lab.experiments.assignment import SpecExperimentRunner
from evolution_lab.experiments.hashing import bucketing, fnv1a
from evolution_lab.experiments.hashing_many import places
from evolution_lab.experiments.units import ANONYMOUS_ID, attributes_of, resolve_unit

EXPERIMENT = SpecExperiment(
    key="try",
    operation="checkout",
    control=Binding(operation="checkout", version="1"),
    variant=Binding(operation="checkout", version="2"),
)
UNITS = pl.Series("unit", [f"user-{number}" for number in range(100_000)])
HASHES = [("growthbook", 1), ("growthbook", 2), ("unleash", 2), ("flagd", 1), ("flagd", 2)]


@pytest.mark.parametrize(("algorithm", "version"), HASHES)
@given(units=st.lists(st.text(), min_size=1, max_size=40), seed=st.text(max_size=8))
@settings(max_examples=60, deadline=None)
def test_many_are_placed_as_one_is(algorithm, version, units, seed):
    one = bucketing(algorithm, seed, version)
    placed = places(units, algorithm, seed, version)
    assert placed.tolist() == [one(unit) for unit in units]
    assert ((placed >= 0) & (placed < 1)).all()


def test_growthbook_hashes_what_javascript_sees():
    units = "𝒳é".encode("utf-16-le")
    value = 0x811C9DC5
    for low, high in zip(units[::2], units[1::2], strict=True):
        value = ((value ^ (low | high << 8)) * 0x01000193) % 2**32
    assert fnv1a("𝒳é") == value


@pytest.mark.parametrize(("algorithm", "version"), HASHES)
def test_whoever_has_the_variant_keeps_it(algorithm, version):
    experiment = replace(EXPERIMENT, hash=algorithm, hash_version=version)
    before = np.zeros(len(UNITS), bool)
    for stage, share in enumerate((0.01, 0.10, 0.50, 1.0)):
        has = (
            SpecExperimentRunner(experiment, stage).assign_many(UNITS)["arm"] == "variant"
        ).to_numpy()
        assert not (before & ~has).any()
        assert abs(has.mean() - share) < 5 * (share * (1 - share) / len(UNITS)) ** 0.5 + 1e-9
        before = has


def test_places_are_uniform_for_as_many_salts_as_chance_allows():
    """Chi-square of 10,000 ids over 100 cells, p <= .01 for about 1 % of 200 salts."""
    ids = UNITS.head(10_000)
    refused = 0
    for salt in range(200):
        counts = np.bincount(
            (places(ids, "growthbook", f"salt-{salt}") * 100).astype(int), minlength=100
        )
        refused += chi2.sf(((counts - 100) ** 2 / 100).sum(), 99) <= 0.01
    assert refused <= 8  # P(more) < .0003 at 1 %.


def test_experiments_are_independent():
    arms = [
        (
            SpecExperimentRunner(replace(EXPERIMENT, key=f"e{n}"), 2).assign_many(UNITS)["arm"]
            == "variant"
        )
        for n in range(6)
    ]
    correlations = np.corrcoef(np.array([arm.to_numpy() for arm in arms], float))
    assert np.abs(correlations[np.triu_indices(6, 1)]).max() < 4 / len(UNITS) ** 0.5


def test_same_seed_is_same_assignment():
    other = replace(EXPERIMENT, key="other", seed="try")
    units = UNITS.head(1_000)
    first, second = (
        SpecExperimentRunner(e, 2).assign_many(units)["arm"] for e in (EXPERIMENT, other)
    )
    assert first.equals(second)


def test_nothing_changes_with_the_process():
    program = (
        "from evolution_lab.experiments.hashing_many import places;"
        "print(places([f'user-{n}' for n in range(500)], 'growthbook', 'try').tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == str(places(UNITS.head(500), "growthbook", "try").tolist())


GATED = replace(
    EXPERIMENT,
    namespace=Namespace(name="shop", start=0.2, end=0.8),
    forced={"user-1": "variant", "user-2": "control"},
    hold_out=0.1,
    targeting={"plan": "pro"},
)


def test_gates_hold_for_many_as_for_one():
    runner = SpecExperimentRunner(GATED, 2)
    units = ["", *UNITS.head(2_000)]
    attributes = [{"plan": "pro" if number % 2 else "free"} for number in range(len(units))]
    many = runner.assign_many(units, attributes)
    one = [runner.assign(unit, known) for unit, known in zip(units, attributes, strict=True)]
    assert many["arm"].to_list() == [a.arm for a in one]
    assert many["reason"].to_list() == [a.reason for a in one]
    assert many["counted"].to_list() == [a.counted for a in one]
    assert set(many["reason"]) == {
        "no-unit",
        "forced",
        "hold-out",
        "namespace",
        "targeting",
        "assigned",
    }
    forced = runner.assign("user-1")
    assert (forced.arm, forced.counted) == ("variant", False)


def test_namespaces_exclude_each_other():
    left = replace(EXPERIMENT, key="l", namespace=Namespace(name="shop", start=0.0, end=0.5))
    right = replace(EXPERIMENT, key="r", namespace=Namespace(name="shop", start=0.5, end=1.0))
    counted = [
        SpecExperimentRunner(e, 3).assign_many(UNITS.head(5_000))["counted"] for e in (left, right)
    ]
    assert not (counted[0] & counted[1]).any()
    assert (counted[0] | counted[1]).all()


def test_held_out_units_are_the_same_in_every_experiment():
    held = [
        SpecExperimentRunner(replace(EXPERIMENT, key=key, hold_out=0.05), 3)
        .assign_many(UNITS.head(5_000))
        .filter(pl.col("reason") == "hold-out")["unit"]
        .to_list()
        for key in ("a", "b")
    ]
    assert held[0] == held[1]
    assert 150 < len(held[0]) < 350


def test_who_has_no_unit_gets_the_control_uncounted():
    runner = SpecExperimentRunner(replace(EXPERIMENT, hash="flagd"), 3)
    for unit in (None, "", "\ud800"):
        given_ = runner.assign(unit)
        assert (given_.arm, given_.counted, given_.reason) == ("control", False, "no-unit")


def test_what_does_not_run_gives_the_control():
    runner = SpecExperimentRunner(EXPERIMENT)
    assert set(runner.assign_many(UNITS.head(100))["reason"]) == {"not-running"}
    assert runner.assign("user-1").reason == "not-running"


def test_refuses_a_stage_or_a_condition_that_is_none():
    with pytest.raises(InvalidExperimentError, match="stage == 4"):
        SpecExperimentRunner(EXPERIMENT, 4)
    for condition, said in [({"$eqq": 1}, r"\$eqq"), ({"a": {"$regex": "("}}, "pattern")]:
        with pytest.raises(InvalidExperimentError, match=said):
            SpecExperimentRunner(replace(EXPERIMENT, targeting=condition), 0)


def test_a_unit_is_the_user_else_the_organisation_else_the_visitor():
    known = {"user_id": "u", "tenant_id": "o", "metadata": {ANONYMOUS_ID: "a"}}
    kinds = []
    for gone in ("none", "user_id", "tenant_id", "metadata"):
        known.pop(gone, None)
        unit = resolve_unit(HandlerContext(**known))
        kinds.append(unit and unit.kind)
    assert kinds == ["user", "organisation", "anonymous", None]
    assert resolve_unit(HandlerContext(user_id="u", tenant_id="o"), "organisation").id == "o"
    assert resolve_unit(HandlerContext(trace_id="t"), "request").id == "t"
    assert resolve_unit(HandlerContext(), "request") != resolve_unit(HandlerContext(), "request")
    assert attributes_of(HandlerContext(user_id="u", metadata={"id": "spoofed"}))["id"] == "u"


def test_one_stage_of_all_is_everybody():
    experiment = replace(EXPERIMENT, stages=(Stage(share=1.0),))
    assert (SpecExperimentRunner(experiment, 0).assign_many(UNITS)["arm"] == "variant").all()
