"""One suite, three frameworks, the same verdict on every case."""

import json
import math
import os
import random
import subprocess
import sys

import pytest

from evolution_lab.golden import matchers as m
from evolution_lab.golden.comparison import compare
from evolution_lab.golden.emitting import emit
from evolution_lab.golden.side_files import EmitSettings

PAIRS = 1_000
UUID = "0b8f7d1e-3c55-4a4e-9d5e-0f3f5f1f2a3b"
HOSTILE = [
    "'", '"', '"""', "'''", "\\", "\\n", "\n", "\r\n", "\t", "`", "${process.exit(1)}", "{{x}}",
    "%s%d", "\u2028", "\u2029", "\ufeff", "\u202e abc", "\x00", "\x1b[31m", "\x7f", "😀", "e\u0301",
    "\ud800", "\udfff", "__proto__", "constructor", "toString", "$match", "$$match", "$matches",
    "</script>", "<!--", "-->", "*/", "//", "#", "'; DROP TABLE users; --", "import os", "\\u0041",
    "null", "", " ", UUID, "é" * 90, "漢字" * 60, "a\n" * 30, "\\x", "\N{NO-BREAK SPACE}",
]  # fmt: skip
NUMBERS = [
    0, -0.0, 1, 1.0, -1, 0.1, 1e-7, 1e21, 1.5e300, 2**53, 2**53 + 1, -(2**53) - 1, 2**63, 10**30,
    float("nan"), float("inf"), float("-inf"), 5e-324, 0.1 + 0.2, True, False, None,
]  # fmt: skip

PYTHON_RUNNER = """\
import json
from pathlib import Path

SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def revived(value):
    if isinstance(value, list):
        return [revived(item) for item in value]
    if isinstance(value, dict):
        if set(value) == {"!number"}:
            found = SPECIAL.get(value["!number"])
            return int(value["!number"]) if found is None else found
        return {key: revived(item) for key, item in value.items()}
    return value


ANSWERS = json.loads(Path(__file__).with_name("answers.json").read_text())


async def run_contract(given, metadata):
    assert revived(ANSWERS[given["case"]]["sent"]) == given["sent"] or "nan" in repr(given)
    return revived(ANSWERS[given["case"]]["answer"])
"""
TYPESCRIPT_RUNNER = """\
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

const revived = (value: any): any => {
  if (Array.isArray(value)) return value.map(revived);
  if (value === null || typeof value !== "object") return value;
  const keys = Object.keys(value);
  if (keys.length === 1 && keys[0] === "!number") return Number(value["!number"]);
  const made = {};
  for (const key of keys) {
    Object.defineProperty(made, key, {
      value: revived(value[key]), enumerable: true, writable: true, configurable: true,
    });
  }
  return made;
};
const ANSWERS = JSON.parse(readFileSync(join(__dirname, "answers.json"), "utf8"));

export const runContract = async (given: any, _metadata: any): Promise<unknown> => {
  const { sent, answer } = ANSWERS[given.case];
  if (!isDeepStrictEqual(JSON.stringify(revived(sent)), JSON.stringify(given.sent))) {
    throw new Error("the input was changed on its way");
  }
  return revived(answer);
};
"""


def tagged(value):
    """JSON text cannot carry these numbers to JavaScript."""
    if isinstance(value, dict):
        return {key: tagged(item) for key, item in value.items()}
    if isinstance(value, list):
        return [tagged(item) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return {"!number": "NaN"}
    if isinstance(value, float) and value in {float("inf"), float("-inf")}:
        return {"!number": "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return {"!number": str(value)}
    return value


def drawn(chance, depth=0):
    """A random JSON value, often a hostile one."""
    kind = chance.random()
    if depth > 2 or kind < 0.35:
        return chance.choice(HOSTILE)
    if kind < 0.6:
        return chance.choice(NUMBERS)
    if kind < 0.78:
        return [drawn(chance, depth + 1) for _ in range(chance.randrange(4))]
    keys = chance.sample(HOSTILE, chance.randrange(4))
    return {key: drawn(chance, depth + 1) for key in keys}


def relaxed(value, chance, depth=0):  # noqa: C901 - one branch a matcher
    """A tree that fits a value, with matchers of every kind here and there."""
    if chance.random() < 0.2:
        kind = chance.randrange(7)
        exact = m.literal(value)
        if kind == 0:
            return m.of_type(m.json_type(value))
        if kind == 1:
            return m.one_of([m.of_type("null"), exact])
        if kind == 2 and isinstance(value, list):
            return m.unordered([m.literal(item) for item in reversed(value)])
        if kind == 3 and isinstance(value, list):
            return m.array_of(m.one_of([m.literal(item) for item in value]), at_least=len(value))
        if kind == 4 and isinstance(value, str):
            return m.pattern(m.escape_pattern(value[:3]) + r"[\s\S]*")
        if kind == 5 and isinstance(value, str):
            return m.text([m.bind("x", m.named("uuid"))["as"], value]) if value == UUID else exact
        if kind == 6 and m.json_type(value) in {"integer", "number"} and abs(value) < 1e9:
            return m.close_to(float(value), tolerance=0.5)
        return exact
    if isinstance(value, dict):
        return {m.escape_key(k): relaxed(v, chance, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [relaxed(item, chance, depth + 1) for item in value]
    return m.literal(value)


def mutated(value, chance):
    """The value, or one that differs in a place."""
    if isinstance(value, dict) and value and chance.random() < 0.7:
        key = chance.choice(list(value))
        changed = dict(value)
        if chance.random() < 0.3:
            del changed[key]
        else:
            changed[key] = mutated(value[key], chance)
        return changed
    if isinstance(value, list) and value and chance.random() < 0.7:
        place = chance.randrange(len(value))
        return [*value[:place], mutated(value[place], chance), *value[place + 1 :]]
    return chance.choice([drawn(chance, 3), value])


def deep(levels):
    value = "bottom"
    for _ in range(levels):
        value = {"a": [value]}
    return value


@pytest.fixture(scope="module")
def pairs():
    chance = random.Random(5)
    made = []
    for number in range(PAIRS):
        answer = {"v": drawn(chance)}
        tree = relaxed(answer, chance)
        if number % 2:
            answer = mutated(answer, chance)
        made.append(({"case": str(number), "sent": drawn(chance, 2)}, tree, answer))
    for place, (tree, answer) in enumerate(LINKED):
        made.append(({"case": f"l{place}", "sent": {"plan": "pro"}}, tree, answer))
    for place, value in enumerate(
        [*HOSTILE, *NUMBERS, "x" * 9_000, list(range(999)), deep(32), {k: k for k in HOSTILE}]
    ):
        made.append(({"case": f"h{place}", "sent": value}, m.literal({"v": value}), {"v": value}))
    return made


_ID = m.bind("id", m.named("uuid"))
_REF = m.ref("id", m.named("uuid"))
LINKED = [
    ({"id": _ID, "url": m.text(["/o/", _REF])}, {"id": UUID, "url": f"/o/{UUID}"}),
    ({"id": _ID, "url": m.text(["/o/", _REF])}, {"id": UUID, "url": "/o/1"}),
    ({"again": _REF, "id": _ID}, {"id": UUID, "again": UUID}),
    ({"again": _REF, "id": _ID}, {"id": UUID, "again": UUID[::-1]}),
    ({"plan": m.from_input("/sent/plan")}, {"plan": "pro"}),
    ({"plan": m.from_input("/sent/plan")}, {"plan": "free"}),
    ({"t": m.named("iso-time")}, {"t": "2026-01-05T10:00:00Z"}),
    ({"t": m.named("iso-time")}, {"t": "2026-13-05T10:00:00Z"}),
    ({"t": m.named("iso-date")}, {"t": "2026-01-05\n"}),
    ({"t": m.epoch("s")}, {"t": 1_700_000_000}),
    ({"t": m.epoch("ms")}, {"t": 1_700_000_000}),
    ({"a": m.optional(m.named("digits"))}, {}),
    ({"a": m.optional(m.named("digits"))}, {"a": "٣"}),
    ({"c": m.text(["o:", m.named("digits")], encoding="base64")}, {"c": "bzoxMg=="}),
    ({"c": m.text(["o:", m.named("digits")], encoding="base64")}, {"c": "bzox!g=="}),
    ({"c": m.text(["o:", m.named("digits")], encoding="base64")}, {"c": "bzoxMg"}),
]


@pytest.fixture(scope="module")
def reference(pairs):
    """What the comparison itself says."""
    return [not compare(answer, tree, sent=sent) for sent, tree, answer in pairs]


def written(folder, suite, framework):
    output = folder / ("test_echo.py" if framework == "pytest" else f"{framework}.test.ts")
    runner = "run-operation.py" if framework == "pytest" else "./run-operation"
    emit(suite, output, EmitSettings(framework=framework, runner_import=runner)).write(output)
    return output


def test_the_same_verdict_in_all_three_and_in_the_comparison(
    pairs, reference, js_folder, run_js, suite_of
):
    answers = {s["case"]: {"sent": tagged(s["sent"]), "answer": tagged(a)} for s, _, a in pairs}
    (js_folder / "answers.json").write_text(json.dumps(answers))
    (js_folder / "run-operation.py").write_text(PYTHON_RUNNER)
    (js_folder / "run-operation.ts").write_text(TYPESCRIPT_RUNNER)
    suite = suite_of([(sent, tree) for sent, tree, _ in pairs])
    expected = {
        case.title: "pass" if fits else "drift"
        for case, fits in zip(suite.cases, reference, strict=True)
    }
    assert len(pairs) >= 1_000
    assert min(list(expected.values()).count(v) for v in ("pass", "drift")) > 200
    python = written(js_folder, suite, "pytest")
    vitest = written(js_folder, suite, "vitest")
    jest = written(js_folder, suite, "jest")
    notes = js_folder / "pytest.jsonl"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--tb=no",
            "--assert=plain",
            str(python),
        ],
        cwd=js_folder,
        env={
            **os.environ,
            "EVOLUTION_LAB_GOLDEN_RESULTS": str(notes),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        check=False,
    )
    lines = map(json.loads, notes.read_text().split("\n")[:-1])
    assert {line["case"]: line["verdict"] for line in lines} == expected
    done, verdicts = run_js("vitest", "run", vitest.name)
    assert verdicts == expected, done.stdout[-2000:]
    done, verdicts = run_js("jest", jest.name)
    assert verdicts == expected, done.stderr[-2000:]


def test_emitted_suites_are_clean_for_ruff_and_tsc(pairs, js_folder, run_js, suite_of):
    suite = suite_of([(sent, tree) for sent, tree, _ in [*pairs[::5], *pairs[1_000:]]])
    (js_folder / "run-operation.ts").write_text(TYPESCRIPT_RUNNER)
    written(js_folder, suite, "vitest")
    written(js_folder, suite, "jest")
    python = written(js_folder, suite, "pytest")
    for name, inline in (("test_http.py", True), ("http.test.ts", True)):
        framework = "pytest" if name.endswith(".py") else "vitest"
        settings = EmitSettings(framework=framework, base_url="http://127.0.0.1:1", inline=inline)
        emit(suite, js_folder / name, settings).write(js_folder / name)
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--no-cache",
            "--line-length=88",
            "--select=E,F,I,B,UP,RUF",
            "--target-version=py311",
            python,
            js_folder / "test_http.py",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout[-2000:]
    done, _ = run_js("tsc", "--noEmit", "--strict", "-p", ".")
    assert done.returncode == 0, done.stdout[-2000:]
