"""Unleash's client specification and flagd's testbed: buckets and variants of their own cases."""

import json
import re

import mmh3
import pytest

from evolution_lab.experiments.hashing import (
    UNLEASH_VARIANT_SEED,
    flagd_fractional,
    unleash_bucket,
)


def unleash_stickiness(name: str, context: dict) -> str | None:
    named = context.get(name) or context.get("properties", {}).get(name)
    if name in {"default", "random"}:
        return context.get("userId") or context.get("sessionId")
    return named


def constraint_met(constraint: dict, context: dict) -> bool:
    name = constraint["contextName"]
    value = context.get(name, context.get("properties", {}).get(name))
    inside = value in constraint["values"]
    met = {"IN": inside, "NOT_IN": not inside}[constraint["operator"]]
    return met is not constraint.get("inverted", False)


def strategy_met(strategy: dict, context: dict, feature: str) -> bool:
    name, parameters = strategy["name"], strategy.get("parameters", {})
    if not all(constraint_met(c, context) for c in strategy.get("constraints", ())):
        return False
    if name == "default":
        return True
    if name == "flexibleRollout":
        share, stickiness = int(parameters["rollout"]), parameters.get("stickiness", "default")
        unit = unleash_stickiness(stickiness, context)
        if unit is None and stickiness in {"default", "random"}:
            return share == 100  # Decided by chance: the cases ask only for all and for none.
    elif name in {"gradualRolloutUserId", "gradualRolloutSessionId"}:
        unit = context.get("userId" if name.endswith("UserId") else "sessionId")
        share = int(parameters["percentage"])
    else:
        raise AssertionError(f"a strategy that the cases asked for did not have: {name}")
    group = parameters.get("groupId", feature)
    return unit is not None and share > 0 and unleash_bucket(group, unit) <= share


def unleash_variant(group: str, variants: list[dict], context: dict) -> str | None:
    for variant in variants:
        for override in variant.get("overrides", ()):
            name = override["contextName"]
            if context.get(name, context.get("properties", {}).get(name)) in override["values"]:
                return variant["name"]
    total = sum(variant["weight"] for variant in variants)
    if not total:
        return None
    stickiness = variants[0].get("stickiness", "default")
    unit = unleash_stickiness(stickiness, context) or "0"
    place, end = unleash_bucket(group, unit, buckets=total, seed=UNLEASH_VARIANT_SEED), 0
    for variant in variants:
        end += variant["weight"]
        if variant["weight"] and place <= end:
            return variant["name"]
    return None


def unleash_evaluate(state: dict, name: str, context: dict) -> tuple[bool, str | None]:
    feature = next((f for f in state["features"] if f["name"] == name), None)
    if feature is None or not feature["enabled"]:
        return False, None
    met = None
    for strategy in feature["strategies"]:
        if strategy_met(strategy, context, name):
            met = strategy
            break
    if feature["strategies"] and met is None:
        return False, None
    of_strategy = (met or {}).get("variants") or []
    if of_strategy:
        parameters = met.get("parameters", {})
        inherited = {"stickiness": parameters.get("stickiness", "default")}
        variants = [{**inherited, **variant} for variant in of_strategy]
        return True, unleash_variant(parameters.get("groupId", name), variants, context)
    return True, unleash_variant(name, feature.get("variants") or [], context)


@pytest.mark.parametrize("file", ["03", "04", "08", "10", "12", "16"])
def test_unleash_specification(unleash_states, file):
    document = unleash_states[file]
    tests, variants = document.get("tests", []), document.get("variantTests", [])
    assert tests or variants
    wrong = [
        case["description"]
        for case in tests
        if unleash_evaluate(document["state"], case["toggleName"], case["context"])[0]
        is not case["expectedResult"]
    ]
    for case in variants:
        enabled, name = unleash_evaluate(document["state"], case["toggleName"], case["context"])
        expected = case["expectedResult"]
        expected_name = expected["name"] if expected["enabled"] else None
        if (enabled, name) != (expected["feature_enabled"], expected_name):
            wrong.append(case["description"])
    assert wrong == []


def test_unleash_python_client_agrees():
    assert unleash_bucket("gr1", "123") == 73


# flagd's tables


def json_logic(part, data: dict):
    """The operators that the tables' flags use inside and around ``fractional``."""
    if not isinstance(part, dict):
        return part
    ((name, arguments),) = part.items()
    arguments = arguments if isinstance(arguments, list) else [arguments]
    if name == "fractional":
        return fractional(arguments, data)
    if name == "if":
        return json_logic(arguments[1 if json_logic(arguments[0], data) else 2], data)
    values = [json_logic(argument, data) for argument in arguments]
    if name == "==":
        return values[0] == values[1]
    if name == "cat":
        return "".join(map(str, values))
    if name == "var":
        found = data
        for step in (
            ["$flagd." + values[0][7:]] if values[0].startswith("$flagd.") else values[0].split(".")
        ):
            found = found.get(step) if isinstance(found, dict) else None
        return found
    raise AssertionError(name)


def fractional(arguments: list, data: dict):
    if isinstance(arguments[0], list):
        key = data["$flagd.flagKey"] + (data.get("targetingKey") or "")
    else:
        key = json_logic(arguments[0], data)
        arguments = arguments[1:]
    if not isinstance(key, str):
        return None
    weights = [json_logic(a[1], data) if len(a) > 1 else 1 for a in arguments]
    index = flagd_fractional(key, weights, data["version"])
    return None if index is None else json_logic(arguments[index][0], data)


STEPS = {
    r'a \w+-flag with key "([^"]+)"': lambda d, key: d.update({"$flagd.flagKey": key}),
    r'nested property with outer key "([^"]+)" and inner key "([^"]+)", with value "([^"]*)"': (
        lambda d, outer, inner, value: d.update({outer: {inner: value}})
    ),
    r'a targeting key with value "([^"]*)"': lambda d, value: d.update(targetingKey=value),
    r'a key "([^"]+)", with type "String" and with value "([^"]*)"': (
        lambda d, key, value: d.update({key: value})
    ),
}


SCENARIO = re.compile(
    r"((?:^[ \t]*@[^\n]*\n)*)^[ \t]*(Scenario.*?)(?=^[ \t]*(?:@[^\n]*\n[ \t]*)*Scenario|\Z)",
    re.MULTILINE | re.DOTALL,
)


def flagd_cases(text: str) -> list[tuple[int, dict, str]]:  # noqa: C901
    """Rows of the scenarios about ``fractional``: version, what the flag sees, what it gives."""
    cases = []
    for tags, block in SCENARIO.findall(text):
        # A third version, for hashes of typed values, is only drafted there.
        if "ractional" not in block or "@fractional-v3" in tags:
            continue
        steps = [
            line.strip() for line in block.splitlines() if re.match(r"\s*(Given|And|Then)\b", line)
        ]
        expected = next(
            (re.search(r'should be "([^"]*)"', s)[1] for s in steps if s.startswith("Then")), None
        )
        version, header = 2, None
        tables = re.findall(
            r"@fractional-v(\d)\s*\n\s*Examples|\|(.+)\|\s*(?=\n|$)|(Examples)", block
        )
        rows = []
        for marked, row, examples in tables:
            if marked:
                version, header = int(marked), None
            elif examples:
                version, header = 2, None
            elif header is None:
                header = [cell.strip() for cell in row.split("|")]
            else:
                rows.append(
                    (version, dict(zip(header, (c.strip() for c in row.split("|")), strict=True)))
                )
        for version, row in rows or [(2, {})]:

            def filled(text, row=row):
                return re.sub(r"<([^>]+)>", lambda m: row[m[1]], text)

            data: dict = {"version": version}
            for step in steps:
                for pattern, apply in STEPS.items():
                    if found := re.search(pattern, filled(step)):
                        apply(data, *found.groups())
            cases.append((version, data, filled(expected)))
    return cases


@pytest.mark.parametrize(
    ("feature", "flags", "at_least"),
    [
        ("evaluator/gherkin/fractional.feature", "evaluator/flags/testkit-flags.json", 40),
        ("gherkin/targeting.feature", "flags/custom-ops.json", 40),
    ],
)
def test_flagd_fractional(flagd_folder, feature, flags, at_least):
    known = json.loads((flagd_folder / flags).read_text())["flags"]
    wrong, seen = [], 0
    for version, data, expected in flagd_cases((flagd_folder / feature).read_text()):
        flag = known.get(data.get("$flagd.flagKey"))
        if flag is None or "fractional" not in json.dumps(flag) or version > 2:
            continue
        seen += 1
        name = json_logic(flag["targeting"], data)
        variants = flag["variants"]
        value = variants.get(name, variants[flag["defaultVariant"]])
        if value != expected:
            wrong.append((version, data, expected, value))
    assert wrong == []
    assert seen >= at_least


def test_flagd_boundary_hashes_fall_where_they_should():
    assert flagd_fractional("ejOoVL", [50, 50]) == 0
    assert mmh3.hash("ejOoVL", signed=False) == 0
    assert flagd_fractional("a", [0, 0]) is None
    assert flagd_fractional("a", [-1, 1]) == 1
