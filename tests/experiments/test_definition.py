"""What a definition of an experiment accepts, refuses and keeps."""

from dataclasses import replace
from datetime import timedelta

import pytest

from evolution_lab.errors import ExperimentStateError, InvalidExperimentError, PathNotFoundError
from evolution_lab.experiments import (
    TRANSITIONS,
    Binding,
    Guardrail,
    Namespace,
    SpecExperiment,
    Stage,
    check_transition,
    experiment_from,
    load_experiment,
)
from evolution_lab.records.json_form import from_json, to_json


def an_experiment(**changes: object) -> SpecExperiment:
    values = {
        "key": "try",
        "operation": "checkout",
        "control": Binding(operation="checkout", version="1"),
        "variant": Binding(operation="checkout", version="2"),
    }
    return SpecExperiment(**{**values, **changes})


def test_comes_back_from_its_json():
    experiment = an_experiment(
        namespace=Namespace(name="shop", start=0.0, end=0.5),
        targeting={"country": {"$in": ["NL"]}},
        forced={"tester": "variant"},
        hold_out=0.05,
    )
    assert from_json(SpecExperiment, to_json(experiment)) == experiment


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": "../etc"}, "key == '../etc'"),
        ({"key": "a\n"}, "key"),
        ({"version": 0}, "version == 0"),
        ({"operation": "refund"}, "control is of 'checkout'"),
        ({"variant": Binding(operation="checkout", version="1")}, "must differ"),
        ({"stages": (Stage(share=0.5), Stage(share=0.1))}, "must rise strictly"),
        ({"stages": ()}, "must rise strictly"),
        ({"guardrails": ()}, "at least one"),
        ({"guardrails": (Guardrail(metric="error_rate", boundary=0.1),) * 2}, "one each metric"),
        ({"alpha": 0.5}, "alpha == 0.5"),
        ({"hold_out": 1.0}, "hold_out == 1.0"),
        ({"hash": "unleash", "stages": (Stage(share=0.005),)}, "whole percents"),
        ({"interval": timedelta(0)}, "interval"),
        ({"interval": timedelta(minutes=5), "stale_after": timedelta(minutes=1)}, "stale_after"),
    ],
)
def test_refuses_what_breaks_a_rule(changes, said):
    with pytest.raises(InvalidExperimentError, match=said.replace("(", "\\(")):
        an_experiment(**changes)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan"), 0.00005])
def test_a_stage_has_a_share_that_all_hashes_know(share):
    with pytest.raises(InvalidExperimentError, match="share of a stage"):
        Stage(share=share)


@pytest.mark.parametrize(
    ("metric", "boundary", "margin"),
    [
        ("error_rate", 0.0, None),
        ("error_rate", 5.0, None),
        ("latency_p99", -1.0, None),
        ("latency_p99", float("inf"), None),
        ("fallback_rate", 0.1, 0.0),
    ],
)
def test_a_guardrail_has_a_boundary_in_its_unit(metric, boundary, margin):
    with pytest.raises(InvalidExperimentError):
        Guardrail(metric=metric, boundary=boundary, relative_margin=margin)


def test_what_has_ended_stays_ended():
    for ended in ("completed", "rolled_back"):
        for wanted in TRANSITIONS:
            with pytest.raises(ExperimentStateError, match=f"is {ended}"):
                check_transition("try", ended, wanted)


def test_every_state_is_reached_from_a_draft():
    reached, edge = {"draft"}, {"draft"}
    while edge:
        edge = {after for before in edge for after in TRANSITIONS[before]} - reached
        reached |= edge
    assert reached == set(TRANSITIONS)


TOML = """
format_version = 1
key = "try"
operation = "checkout"
hold_out = 0.02
staleAfter = "10m"
stages = [0.05, {share = 0.5, minimum_dwell = "2h", maximumDwell = "P3D"}, 1.0]
control = {operation = "checkout", version = "1"}
variant = {operation = "checkout", version = "2", handler = "checkout_two"}
[[guardrails]]
metric = "latency_p99"
boundary = 900
relative_margin = 0.1
"""


def test_is_read_from_toml(tmp_path):
    path = tmp_path / "try.toml"
    path.write_text(TOML)
    experiment = load_experiment(path)
    assert [stage.share for stage in experiment.stages] == [0.05, 0.5, 1.0]
    assert experiment.stages[1].minimum_dwell == timedelta(hours=2)
    assert experiment.stages[1].maximum_dwell == timedelta(days=3)
    assert experiment.serving_stale_after == timedelta(minutes=10)
    assert experiment.guardrail("latency_p99").boundary == 900
    assert experiment.guardrail("error_rate") is None


def test_is_read_from_json_as_it_was_written(tmp_path):
    experiment = an_experiment(unit="request", hash="flagd")
    path = tmp_path / "try.json"
    path.write_bytes(to_json(experiment))
    assert load_experiment(path) == experiment
    assert not experiment.sticky


def test_says_what_a_file_has_wrong(tmp_path):
    with pytest.raises(PathNotFoundError):
        load_experiment(tmp_path / "absent.toml")
    for name, text, said in [
        ("a.toml", "key = ", "cannot be read"),
        ("b.json", "[1]", "no table"),
        ("c.toml", 'gaurdrails = []\nkey = "x"', "Did you mean 'guardrails'"),
        ("d.toml", 'key = "x"\ninterval = "soon"', "duration == 'soon'"),
        ("e.toml", 'key = "x"', "operation"),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidExperimentError, match=said):
            load_experiment(tmp_path / name)


def test_a_rule_broken_inside_a_file_is_said_as_in_python():
    arm = {"operation": "checkout", "version": "1"}
    with pytest.raises(InvalidExperimentError, match="must differ"):
        experiment_from({"key": "x", "operation": "checkout", "control": arm, "variant": arm})


def test_a_changed_definition_is_another_version():
    experiment = an_experiment()
    assert replace(experiment, version=2).variant_id != experiment.variant_id
