"""What other systems' SDKs make of our exports: the same units in the same arm, or an error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evolution_lab.errors import InvalidExperimentError, UnknownNameError
from evolution_lab.experiments import (
    Binding,
    Namespace,
    SpecExperiment,
    SpecExperimentRunner,
    Stage,
)
from evolution_lab.experiments.exports import FORMATS, FlagExport, export_flag
from evolution_lab.experiments.growthbook import GrowthBookContext, evaluate
from evolution_lab.experiments.hashing import unleash_bucket

JS = Path(__file__).parents[1] / "js"
ARM = {"operation": "billing.createInvoice"}
DEFINITION = SpecExperiment(
    key="invoice-2",
    operation="billing.createInvoice",
    control=Binding(version="1.0.0", **ARM),
    variant=Binding(version="1.1.0", **ARM),
    stages=tuple(Stage(share=share) for share in (0.0001, 0.01, 0.1, 0.5, 1.0)),
    seed="2026-q2",
)
WHOLE_PERCENTS = tuple(Stage(share=share) for share in (0.01, 0.10, 0.29, 0.57, 1.0))


def ids(count: int) -> list[str]:
    """Ids as services have them: numbers, long hexadecimal ones, names with punctuation."""
    random = np.random.default_rng(2026)
    numbers = random.integers(0, 2**63, size=count)
    forms: list[Callable[[int], str]] = [
        str,
        lambda n: f"user-{n % 1_000_000}",
        lambda n: f"{n:032x}",
        lambda n: f"usr_{n % 997}_{n % 7919}@Shop",
    ]
    return [forms[place % 4](int(n)) for place, n in enumerate(numbers)]


def of_export(exported: FlagExport) -> dict[str, Any]:
    return json.loads(json.dumps(exported.document))


@pytest.fixture
def sdk(require_or_skip: Any) -> Callable[[str, str, list[Any], list[str]], list[str]]:
    """A function that has a JavaScript SDK assign ids, document by document."""
    if shutil.which("node") is None:
        require_or_skip("node", "node is not on the PATH")
    if not (JS / "node_modules" / "@growthbook").exists():
        require_or_skip("node", "tests/js has no packages: make javascript")

    def assign(format_: str, attribute: str, documents: list[Any], of: list[str]) -> list[str]:
        asked = {"format": format_, "attribute": attribute, "documents": documents, "ids": of}
        done = subprocess.run(
            ["node", str(JS / "assign.cjs")],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=False,
            timeout=170,
            env={**os.environ, "NODE_ENV": "production"},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return assign


def ours(experiment: SpecExperiment, stage: int | None, of: list[str]) -> str:
    arms = SpecExperimentRunner(experiment, stage).assign_many(of)["arm"]
    return "".join(arm[0] for arm in arms)


def test_growthbook_s_sdk_assigns_as_we_do_at_every_stage(sdk: Any) -> None:
    units = ids(100_000)
    stages = [None, *range(len(DEFINITION.stages))]
    documents = [of_export(export_flag(DEFINITION, s, format="growthbook")) for s in stages]
    for stage, answer in zip(stages, sdk("growthbook", "id", documents, units), strict=True):
        assert answer == ours(DEFINITION, stage, units), stage
        share = 0.0 if stage is None else DEFINITION.stages[stage].share
        assert abs(answer.count("v") / len(units) - share) < 0.006


CASES: dict[str, dict[str, Any]] = {
    "hash version 1": {"hash_version": 1},
    "hold-out": {"hold_out": 0.2},
    "namespace": {"namespace": Namespace(name="pricing", start=0.25, end=0.75)},
    "both": {
        "hold_out": 0.05, "namespace": Namespace(name="Ünder", start=0.0, end=0.5), "seed": "sä😀t",
    },
    "forced": {"forced": {"0": "variant", "1": "control", "é😀": "variant"}, "unit": "organisation"},
    "targeting": {"targeting": {"id": {"$regex": "[02468]$"}}},
    "nested targeting": {"targeting": {"$or": [{"id": {"$gt": "5"}}, {"id": {"$in": ["12", "é"]}}]}},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_growthbook_s_sdk_keeps_our_gates(sdk: Any, name: str) -> None:
    experiment = replace(DEFINITION, **CASES[name])
    units = [*(str(n) for n in range(3_000)), "é😀", "é", "日本", "user-7", " 7"]
    attribute = "organisation" if experiment.unit == "organisation" else "id"
    documents = [of_export(export_flag(experiment, s, format="growthbook")) for s in (2, 3)]
    answers = sdk("growthbook", attribute, documents, units)
    for stage, answer in zip((2, 3), answers, strict=True):
        runner = SpecExperimentRunner(experiment, stage)
        arms = "".join(runner.assign(unit, {attribute: unit}).arm[0] for unit in units)
        assert answer == arms
        assert 0 < arms.count("v") < len(units)


def test_growthbook_s_rules_are_what_our_own_evaluator_reads() -> None:
    experiment = replace(DEFINITION, hold_out=0.1)
    rule = of_export(export_flag(experiment, 3, format="growthbook"))["features"]["invoice-2"]
    (rule,) = rule["rules"]
    for unit in ids(500):
        found, _ = evaluate(rule, GrowthBookContext(attributes={"id": unit}))
        assert ("control", "variant")[found.variation] == (
            SpecExperimentRunner(experiment, 3).assign(unit).arm
        )


def test_flagd_s_core_assigns_as_we_do_at_every_stage(sdk: Any) -> None:
    experiment = replace(DEFINITION, hash="flagd", forced={"user-7": "variant", "7": "control"})
    units = [*ids(20_000), "user-7", "7"]
    stages = [None, *range(len(experiment.stages))]
    documents = [of_export(export_flag(experiment, s, format="flagd")) for s in stages]
    answers = sdk("flagd", "targetingKey", documents, units)
    for stage, answer in zip(stages, answers, strict=True):
        assert answer == ours(experiment, stage, units), stage


FLAGD_TARGETING: list[dict[str, Any]] = [
    {"country": "NL"},
    {"country": {"$in": ["NL", "BE"]}, "age": {"$gte": 18, "$lt": 65}},
    {"$or": [{"country": {"$ne": "NL"}}, {"$not": {"age": {"$gt": 40}}}]},
    {"$nor": [{"country": {"$nin": ["NL", "DE"]}}, {"age": {"$lte": 20}}], "plan": "pro"},
]


@pytest.mark.parametrize("condition", FLAGD_TARGETING)
def test_flagd_s_core_keeps_our_targeting(sdk: Any, condition: dict[str, Any]) -> None:
    experiment = replace(DEFINITION, hash="flagd", targeting=condition)
    runner = SpecExperimentRunner(experiment, 4)
    document = of_export(export_flag(experiment, 4, format="flagd"))
    targeting = document["flags"]["invoice-2"]["targeting"]
    people = [
        {"country": country, "age": age, "plan": plan}
        for country in ("NL", "BE", "DE")
        for age in (17, 18, 30, 64, 65)
        for plan in ("pro", "free")
    ]
    answers = []
    for person in people:  # The document's conditions about a person, who is then one id.
        text = json.dumps(targeting)
        for name, value in person.items():
            text = text.replace(json.dumps({"var": name}), json.dumps(value))
        flag = {**document["flags"]["invoice-2"], "targeting": json.loads(text)}
        answers.append({**document, "flags": {"invoice-2": flag}})
    found = sdk("flagd", "targetingKey", answers, ["u"])
    expected = [runner.assign("u", person).arm[0] for person in people]
    assert found == expected
    assert set(expected) == {"c", "v"}


def enabled_in_unleash(document: dict[str, Any], context: dict[str, str]) -> bool:
    """Evaluate a feature as Unleash's client specification says (its hash is held by vectors)."""
    (feature,) = document["features"]
    if not feature["enabled"]:
        return False
    for strategy in feature["strategies"]:
        met = all(
            (context.get(c["contextName"]) in c["values"]) is (c["operator"] == "IN")
            for c in strategy["constraints"]
        )
        given = strategy["parameters"]
        if met and strategy["name"] == "default":
            return True
        unit = context.get(given.get("stickiness", ""))
        if met and unit and unleash_bucket(given["groupId"], unit) <= int(given["rollout"]):
            return True
    return False


def test_unleash_enables_the_variant_s_units_at_every_stage() -> None:
    experiment = replace(
        DEFINITION, hash="unleash", stages=WHOLE_PERCENTS,
        forced={"3": "variant", "4": "control"},
        targeting={"country": {"$in": ["NL", "BE"]}, "plan": {"$ne": "free"}},
    )  # fmt: skip
    units = [str(number) for number in range(400)]
    people = [{"country": c, "plan": p} for c in ("NL", "DE") for p in ("pro", "free")]
    for stage in (None, *range(len(WHOLE_PERCENTS))):
        document = of_export(export_flag(experiment, stage, format="unleash"))
        runner = SpecExperimentRunner(experiment, stage)
        for unit in units:
            for person in people:
                enabled = enabled_in_unleash(document, {"userId": unit, **person})
                assert enabled is (runner.assign(unit, person).arm == "variant"), (stage, unit)


def test_each_says_which_stages_it_expresses() -> None:
    coarse = export_flag(replace(DEFINITION, hash_version=1), 0, format="growthbook")
    assert [(s.share, s.served, s.exact) for s in coarse.stages[:2]] == [
        (0.0001, 0.001, False), (0.01, 0.01, True),
    ]  # fmt: skip
    assert any("Stage 0 gives 0.10% of units" in note for note in coarse.notes)
    for format_ in FORMATS:
        stages = WHOLE_PERCENTS if format_ == "unleash" else DEFINITION.stages
        experiment = replace(DEFINITION, hash=format_, stages=stages)
        exported = export_flag(experiment, 1, format=format_)
        assert all(stage.exact for stage in exported.stages), format_
        assert len(exported.stages) == 5


def test_what_cannot_be_expressed_is_refused() -> None:
    flagd = replace(DEFINITION, hash="flagd")
    unleash = replace(DEFINITION, hash="unleash", stages=WHOLE_PERCENTS)
    refused = [
        (flagd, "growthbook", "must be 'growthbook'"),
        (DEFINITION, "unleash", "must be 'unleash'"),
        (replace(DEFINITION, unit="request"), "growthbook", "unit .* == 'request'"),
        (replace(flagd, hold_out=0.1), "flagd", "hold_out"),
        (replace(flagd, targeting={"a": {"$regex": "x"}}), "flagd", r"'\$regex' on 'a'"),
        (replace(flagd, targeting={"a": ["x"]}), "flagd", r"'\$eq' on 'a'"),
        (replace(unleash, namespace=Namespace(name="n", start=0, end=1)), "unleash", "namespace"),
        (replace(unleash, targeting={"age": {"$gt": 3}}), "unleash", r"'\$gt' on 'age'"),
        (replace(unleash, targeting={"$or": [{"a": "b"}]}), "unleash", r"\$or"),
        (replace(unleash, targeting={"age": 3}), "unleash", r"'\$eq' on 'age'"),
        (DEFINITION, "growthbook", "must be 0 to 4"),
    ]
    for experiment, format_, reason in refused:
        with pytest.raises(InvalidExperimentError, match=reason):
            export_flag(experiment, 9 if "must be 0" in reason else 0, format=format_)
    with pytest.raises(UnknownNameError, match="Did you mean 'growthbook'"):
        export_flag(DEFINITION, 0, format="growthbok")
