"""Whether our comparison judges as Pact's specification says, where it asks the same question.

Pact judges contracts, golden tests judge recordings: what does not fit is sorted out by the form of a
case, without a look at its label, and listed with the reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evolution_lab.bench.golden_corpora import read_lines
from evolution_lab.bench.targets import BenchReport, Target, share_interval
from evolution_lab.golden.comparison import compare
from evolution_lab.golden.matchers import Tree, array_of, escape_key, literal, of_type, pattern

_TOKEN = re.compile(r"\.([A-Za-z_][\w-]*)|\.(\*)|\[(\d+)\]|\[(\*)\]|\['([^']*)'\]")

Rule = tuple[tuple[str, ...], Mapping[str, Any]]


def misfit(case: Mapping[str, Any]) -> str | None:
    """Return why a case asks what our comparison does not answer, None where it fits."""
    expected, actual = case["expected"], case["actual"]
    if case["part"] != "body":
        return f"about the {case['part']}, no JSON body"
    if "body" not in expected:
        return "expects nothing of the body; a golden case always does"
    if isinstance(expected["body"], str) and expected["body"].lstrip().startswith("<"):
        return "XML body"
    rules = expected.get("matchingRules") or {}
    for path, rule in rules.items():
        if "regex" in rule and not all(
            isinstance(value, str) for value in _values_at(expected["body"], _tokens(path))
        ):
            return "a pattern for a number: ours are for texts"
    if case["kind"] == "response" and _has_more(actual.get("body"), expected["body"]):
        return "a property too many in a response: allowed by Pact, a difference to us"
    return None


def tree_of(body: Any, rules: Mapping[str, Mapping[str, Any]]) -> Tree:
    """Return Pact's example and matching rules as an expected tree.

    Examples:
        >>> tree_of({"n": 1}, {"$.body.n": {"match": "type"}})
        {'n': {'$match': 'type', 'type': 'number'}}
    """
    read = [(_tokens(path), rule) for path, rule in sorted(rules.items())]
    return _tree(body, (), read)


def _tokens(path: str) -> tuple[str, ...]:
    rest = path.removeprefix("$.body").removeprefix("$['body']")
    return tuple(
        next(g for g in token.groups() if g is not None) for token in _TOKEN.finditer(rest)
    )


def _tree(body: Any, path: tuple[str, ...], rules: Sequence[Rule]) -> Tree:
    rule = _rule_for(path, rules)
    if isinstance(body, Mapping):
        return {escape_key(k): _tree(v, (*path, k), rules) for k, v in body.items()}
    if isinstance(body, list):
        if rule is not None and body and ("min" in rule or rule.get("match") == "type"):
            return array_of(_tree(body[0], (*path, "0"), rules), at_least=rule.get("min", 0))
        return [_tree(item, (*path, str(i)), rules) for i, item in enumerate(body)]
    if rule is None or "match" not in rule:
        return literal(body)
    if rule["match"] == "regex":
        return pattern(rule["regex"])
    if isinstance(body, bool) or body is None:
        return of_type("null" if body is None else "boolean")
    return of_type("string" if isinstance(body, str) else "number")


def _rule_for(path: tuple[str, ...], rules: Sequence[Rule]) -> Mapping[str, Any] | None:
    """The rule of greatest weight; rules for a place hold for what is below it."""
    best: tuple[int, int] = (0, -1)
    found = None
    for tokens, rule in rules:
        if len(tokens) > len(path) or not all(
            t in {"*", p} for t, p in zip(tokens, path, strict=False)
        ):
            continue
        weight = 1
        for key in tokens:
            weight *= 1 if key == "*" else 2
        if (weight, len(tokens)) > best:
            best, found = (weight, len(tokens)), rule
    return found


def _values_at(value: Any, tokens: tuple[str, ...]) -> list[Any]:
    if not tokens:
        return [value]
    if isinstance(value, Mapping):
        inner = [v for k, v in value.items() if tokens[0] in {"*", k}]
    elif isinstance(value, list):
        inner = [v for i, v in enumerate(value) if tokens[0] in {"*", str(i)}]
    else:
        return []
    return [found for item in inner for found in _values_at(item, tokens[1:])]


def _has_more(actual: Any, expected: Any) -> bool:
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        return bool(actual.keys() - expected.keys()) or any(
            _has_more(actual[key], expected[key]) for key in actual.keys() & expected.keys()
        )
    if isinstance(actual, list) and isinstance(expected, list):
        return any(_has_more(a, e) for a, e in zip(actual, expected, strict=False))
    return False


def agreement(dataset: Path, *, quick: bool = False) -> BenchReport:
    """Return the share of fitting cases judged as labelled; tables list the rest with reasons.

    Args:
        dataset: The folder that holds ``pact_spec_matching``.
        quick: No difference: it takes a second as it is.
    """
    del quick  # Takes a second as it is.
    reasons: Counter[str] = Counter()
    wrong: list[dict[str, Any]] = []
    fitting = 0
    for case in read_lines(dataset / "pact_spec_matching", "cases.jsonl"):
        reason = misfit(case)
        if reason is not None:
            reasons[reason] += 1
            continue
        fitting += 1
        expected = case["expected"]
        tree = tree_of(expected["body"], expected.get("matchingRules") or {})
        same = not compare(case["actual"].get("body"), tree)
        if same != case["match"]:
            wrong.append({name: case[name] for name in ("version", "kind", "case", "match")})
    target = Target(
        id="golden.comparison.pact",
        value=(fitting - len(wrong)) / max(fitting, 1),
        interval=share_interval(fitting - len(wrong), fitting),
        target=0.98,
        bound="at least",
        what=f"Share of {fitting} Pact cases with JSON bodies that fit, judged as labelled.",
    )
    tables = {
        "Pact cases that do not fit": tuple(
            {"reason": reason, "cases": count} for reason, count in sorted(reasons.items())
        ),
        "Pact cases judged otherwise": tuple(wrong),
    }
    return BenchReport(
        targets=(target,), tables={title: rows for title, rows in tables.items() if rows}
    )
