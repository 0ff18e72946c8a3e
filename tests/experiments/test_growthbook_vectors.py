"""GrowthBook's own cases: hash, buckets, namespaces, conditions, runs, sticky buckets."""

import pytest

from evolution_lab.experiments.growthbook import (
    GrowthBookContext,
    bucket_ranges,
    choose_variation,
    equal_weights,
    evaluate,
    in_namespace,
)
from evolution_lab.experiments.hashing import growthbook_hash
from evolution_lab.experiments.targeting import matches


def wrong(cases, check) -> list[str]:
    assert cases
    return [str(case[0]) for case in cases if not check(*case)]


def test_hash(growthbook_cases):
    cases = growthbook_cases["hash"]
    assert (
        wrong(cases, lambda seed, value, v, hashed: growthbook_hash(seed, value, v) == hashed) == []
    )


def test_bucket_ranges(growthbook_cases):
    def check(_, arguments, expected):
        ranges = bucket_ranges(*arguments)
        return len(ranges) == len(expected) and all(
            r == pytest.approx(e) for r, e in zip(ranges, expected, strict=True)
        )

    assert wrong(growthbook_cases["getBucketRange"], check) == []


def test_choice_of_variation(growthbook_cases):
    def check(_, place, ranges, expected):
        return choose_variation(place, ranges) == expected

    assert wrong(growthbook_cases["chooseVariation"], check) == []


def test_equal_weights(growthbook_cases):
    def check(variations, expected):
        return equal_weights(variations) == pytest.approx(expected, abs=1e-8)

    assert wrong(growthbook_cases["getEqualWeights"], check) == []


def test_namespaces(growthbook_cases):
    def check(_, value, namespace, expected):
        return in_namespace(value, namespace) is expected

    assert wrong(growthbook_cases["inNamespace"], check) == []


def test_conditions(growthbook_cases):
    def check(_, condition, attributes, expected, groups=None):
        return matches(condition, attributes, groups) is expected

    assert wrong(growthbook_cases["evalCondition"], check) == []


def test_runs(growthbook_cases):
    def check(_, stated, experiment, value, in_experiment, hash_used):
        features = stated.get("features", {})
        context = GrowthBookContext(
            attributes=stated.get("attributes", {}),
            enabled=stated.get("enabled", True),
            url=stated.get("url", ""),
            forced=stated.get("forcedVariations", {}),
            qa_mode=stated.get("qaMode", False),
            groups=stated.get("savedGroups", {}),
            parents={name: feature["defaultValue"] for name, feature in features.items()},
        )
        found, _ = evaluate(experiment, context)
        got = (experiment["variations"][found.variation], found.in_experiment, found.hash_used)
        return got == (value, in_experiment, hash_used)

    assert len(growthbook_cases["run"]) == 73
    assert wrong(growthbook_cases["run"], check) == []


def test_sticky_buckets(growthbook_cases):
    def check(_, stated, documents, key, expected, kept):
        rule = stated["features"][key]["rules"][0]
        sticky = {f"{d['attributeName']}||{d['attributeValue']}": d for d in documents}
        context = GrowthBookContext(attributes=stated["attributes"], sticky=sticky)
        found, after = evaluate({"key": key, **rule}, context)
        if expected is None:
            return not found.in_experiment and after == kept
        got = {
            "bucket": found.bucket,
            "hashAttribute": found.hash_attribute,
            "hashUsed": found.hash_used,
            "hashValue": found.hash_value,
            "inExperiment": found.in_experiment,
            "stickyBucketUsed": found.sticky_used,
            "value": rule["variations"][found.variation],
            "variationId": found.variation,
        }
        return after == kept and got == {name: expected[name] for name in got}

    assert len(growthbook_cases["stickyBucket"]) == 13
    assert wrong(growthbook_cases["stickyBucket"], check) == []
