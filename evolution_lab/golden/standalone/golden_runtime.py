"""Judges golden cases as plain data; the rules are those of ``golden.comparison``."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import inspect
import json
import math
import os
import re
import threading
from pathlib import Path
from typing import Any

from evolution_lab.golden.matchers import PATTERNS

# -- judging


class CouldNotRunError(Exception):
    """The case says nothing: its runner or its target is not there."""


def plain(key: str) -> str:
    """Return the property behind a key of a tree."""
    escaped = key.startswith("$$") and key.lstrip("$").startswith("match")
    return key[1:] if escaped else key


def is_number(value: Any) -> bool:
    """Return whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def double(value: Any) -> float:
    """Return a number as every language holds it."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def type_of(value: Any) -> str:
    """Return the JSON type of a value; 1.0 is an integer."""
    if value is None or isinstance(value, bool | str):
        return {type(None): "null", bool: "boolean"}.get(type(value), "string")
    if is_number(value):
        whole = isinstance(value, int) or value.is_integer()
        return "integer" if whole else "number"
    return "object" if isinstance(value, dict) else "array"


def as_json(value: Any) -> Any:
    """Return a runner's value as JSON: records become objects, times become text."""
    if value is None or isinstance(
        value, str | bool | int | float | dict | list | tuple
    ):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def show(value: Any) -> str:
    """Return a value as short text for people."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError, TypeError):
        text = type_of(value)
    return text if len(text) <= 120 else text[:119] + "…"


def as_text(value: Any) -> str:
    """Return how a value stands within a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value)


def read_number(digits: str) -> float:
    """Return the number behind a ``number`` matcher."""
    try:
        return int(digits)
    except ValueError:
        return float(digits.replace("Infinity", "inf"))


def at(value: Any, pointer: str) -> Any:
    """Return what stands at a JSON Pointer, None where nothing does."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def escaped(text: str) -> str:
    """Return the pattern of just this text."""
    return "".join("\\" + c if c in "^$\\.*+?()[]{}|/" else c for c in text)


def unbase64(text: str) -> str | None:
    """Return the text behind base64, None where there is none."""
    padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    try:
        return base64.b64decode(padded, validate=True).decode()
    except ValueError:
        return None


def as_tree(value: Any) -> Any:
    """Return the tree that expects exactly this value."""
    if isinstance(value, dict):
        keys = {k: "$" + k if re.match(r"\$+match", k) else k for k in value}
        return {keys[k]: as_tree(v) for k, v in value.items()}
    return [as_tree(v) for v in value] if isinstance(value, list | tuple) else value


def resolve(tree: Any, names: dict[str, Any]) -> Any:
    """Return what to send: names replaced by the values that earlier steps gave."""
    if isinstance(tree, list):
        return [resolve(item, names) for item in tree]
    if not isinstance(tree, dict):
        return tree
    kind = tree.get("$match")
    if kind == "ref":
        return names[tree["alias"]]
    if kind == "number":
        return read_number(tree["value"])
    if kind == "text":
        parts = [
            p if isinstance(p, str) else as_text(names[p["alias"]])
            for p in tree["parts"]
        ]
        whole = "".join(parts)
        return (
            whole
            if tree["encoding"] == "none"
            else base64.b64encode(whole.encode()).decode()
        )
    return {plain(key): resolve(value, names) for key, value in tree.items()}


def collect(actual: Any, tree: Any, names: dict[str, Any], depth: int = 0) -> None:
    """Give values their names."""
    actual = as_json(actual)
    if depth > 128 or not isinstance(tree, dict | list):
        return
    if isinstance(tree, list):
        if isinstance(actual, list | tuple):
            for item, expected in zip(actual, tree, strict=False):
                collect(item, expected, names, depth + 1)
    elif tree.get("$match") == "bind":
        names[tree["alias"]] = actual
    elif tree.get("$match") == "optional":
        collect(actual, tree["as"], names, depth)
    elif "$match" not in tree and isinstance(actual, dict):
        for key, expected in tree.items():
            if plain(key) in actual:
                collect(actual[plain(key)], expected, names, depth + 1)


def compare(
    actual: Any,
    tree: Any,
    names: dict[str, Any],
    sent: Any,
    path: str = "",
    depth: int = 0,
) -> list[dict[str, str]]:
    """Return the differences between what came and what is expected."""

    def say(kind: str, expected: str, at_path: str = path) -> list[dict[str, str]]:
        return [
            {
                "path": at_path,
                "kind": kind,
                "expected": expected,
                "actual": show(actual),
            }
        ]

    def walk(value: Any, expected: Any, step: Any) -> list[dict[str, str]]:
        token = str(step).replace("~", "~0").replace("/", "~1")
        return compare(value, expected, names, sent, f"{path}/{token}", depth + 1)

    actual = as_json(actual)
    if depth > 128:
        return say("depth", "at most 128 levels")
    if isinstance(tree, dict) and "$match" in tree:
        return match(actual, tree, names, sent, path, depth)
    if isinstance(tree, dict):
        if not isinstance(actual, dict):
            return say("type", "an object")
        found = []
        for key, expected in tree.items():
            name = plain(key)
            if name in actual:
                found += walk(actual[name], expected, name)
            elif not (
                isinstance(expected, dict) and expected.get("$match") == "optional"
            ):
                token = name.replace("~", "~0").replace("/", "~1")
                found.append(
                    {
                        "path": f"{path}/{token}",
                        "kind": "missing",
                        "expected": show(expected),
                        "actual": "nothing",
                    }
                )
        known = {plain(key) for key in tree}
        for key in actual:
            if key not in known:
                token = str(key).replace("~", "~0").replace("/", "~1")
                found.append(
                    {
                        "path": f"{path}/{token}",
                        "kind": "extra",
                        "expected": "no such property",
                        "actual": show(actual[key]),
                    }
                )
        return found
    if isinstance(tree, list):
        if not isinstance(actual, list | tuple):
            return say("type", "an array")
        found = [] if len(actual) == len(tree) else say("length", str(len(tree)))
        for index, (value, expected) in enumerate(zip(actual, tree, strict=False)):
            found += walk(value, expected, index)
        return found
    if is_number(tree) and is_number(actual):
        a, b = double(actual), double(tree)
        return (
            []
            if a == b or (math.isnan(a) and math.isnan(b))
            else say("value", show(tree))
        )
    if type_of(actual) != type_of(tree):
        return say("type", show(tree))
    return [] if actual == tree else say("value", show(tree))


def match(
    actual: Any, tree: Any, names: dict[str, Any], sent: Any, path: str, depth: int
) -> list[dict[str, str]]:
    """Return the differences between what came and what a matcher expects."""

    def fits(value: Any, expected: Any, deeper: int = 0) -> bool:
        return not compare(value, expected, names, sent, "", depth + deeper)

    def part(piece: Any) -> str:
        if isinstance(piece, str):
            return escaped(piece)
        if piece["$match"] == "from-input":
            return escaped(as_text(at(sent, piece["path"])))
        if piece["$match"] != "ref":
            return "(?:" + (piece.get("pattern") or PATTERNS[piece["$match"]]) + ")"
        known = piece["alias"] in names
        return escaped(as_text(names[piece["alias"]])) if known else r"[\s\S]*"

    kind, word = tree["$match"], "shape"
    if kind in {"bind", "optional"}:
        return compare(actual, tree["as"], names, sent, path, depth)
    if kind == "array-of" and isinstance(actual, list | tuple):
        found = []
        for index, value in enumerate(actual):
            found += compare(
                value, tree["as"], names, sent, f"{path}/{index}", depth + 1
            )
        if found or len(actual) >= tree["min"]:
            return found
        word, good = "length", False
    elif kind == "ref" and tree["alias"] not in names:
        return compare(actual, tree["as"], names, sent, path, depth)
    elif kind == "ref":
        word, good = "link", fits(actual, as_tree(names[tree["alias"]]))
    elif kind == "from-input":
        word, good = "link", fits(actual, as_tree(at(sent, tree["path"])))
    elif kind == "one-of":
        good = any(fits(actual, choice) for choice in tree["of"])
    elif kind == "type":
        came = type_of(actual)
        word = "type"
        good = came == tree["type"] or (tree["type"] == "number" and came == "integer")
    elif kind in {"number", "close-to", "epoch"}:
        word, good = "value", is_number(actual) and fits_number(double(actual), tree)
    elif kind == "unordered":
        word, good = (
            "element",
            isinstance(actual, list | tuple)
            and partnered(
                [[fits(value, wish, 1) for value in actual] for wish in tree["items"]],
                len(actual),
            ),
        )
    elif kind == "text":
        word, pattern = "link", "".join(part(piece) for piece in tree["parts"])
        plain_text = actual if isinstance(actual, str) else None
        if plain_text is not None and tree["encoding"] == "base64":
            plain_text = unbase64(plain_text)
        good = plain_text is not None and bool(re.fullmatch(pattern, plain_text))
    else:
        pattern = tree["pattern"] if kind == "pattern" else PATTERNS.get(kind, "")
        good = isinstance(actual, str) and bool(re.fullmatch(pattern, actual))
    if good:
        return []
    return [
        {"path": path, "kind": word, "expected": show(tree), "actual": show(actual)}
    ]


def fits_number(value: float, tree: Any) -> bool:
    """Return whether a number fits its matcher."""
    if tree["$match"] == "close-to":
        return bool(abs(value - tree["value"]) <= tree["abs"])
    if tree["$match"] == "epoch":
        unit = 1.0 if tree["unit"] == "s" else 1e3
        return 978307200.0 * unit <= value < 4102444800.0 * unit
    wanted = double(read_number(tree["value"]))
    return value == wanted or (math.isnan(value) and math.isnan(wanted))


def partnered(fitting: list[list[bool]], size: int) -> bool:
    """Return whether every wish finds an element of its own (Kuhn 1955)."""
    holder: dict[int, int] = {}

    def place(wish: int, tried: set[int]) -> bool:
        for index in range(size):
            if fitting[wish][index] and index not in tried:
                tried.add(index)
                if index not in holder or place(holder[index], tried):
                    holder[index] = wish
                    return True
        return False

    return len(fitting) == size and all(place(wish, set()) for wish in range(size))


# -- calling


def call(runner: Any, sent: Any, metadata: Any, seconds: float) -> dict[str, Any]:
    """Call a runner, sync or async, and return its output or its error."""
    came: dict[str, Any] = {}

    def work() -> None:
        try:
            value = runner(sent, metadata)
            if inspect.isawaitable(value):
                value = asyncio.run(finish(value))
            came["output"] = as_json(value)
        except CouldNotRunError as error:
            came["stopped"] = str(error)
        except TimeoutError:
            came["timeout"] = True
        except Exception as error:
            code = getattr(error, "code", None)
            came["error"] = {
                "name": type(error).__name__,
                "code": None if code is None else str(getattr(code, "value", code)),
                "message": str(error),
            }

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return came or {"timeout": True}


async def finish(value: Any) -> Any:
    """Wait for what a runner promised."""
    return await value


def judge_error(
    error: dict[str, Any], expected: dict[str, Any]
) -> list[dict[str, str]]:
    """Return the differences between an error that came and the expected one."""
    found = []
    for part in ("name", "code", "message"):
        if expected.get(part) is not None:
            found += compare(error[part], expected[part], {}, None, f"/error/{part}")
    return found


def run_case(
    case: dict[str, Any],
    runner: Any,
    seconds: float = 10.0,
    setup: Any = None,
    teardown: Any = None,
) -> dict[str, Any]:
    """Run the steps of a case and return its verdict, with differences and outputs."""
    names: dict[str, Any] = {}
    outputs: list[Any] = []

    def end(verdict: str, found: list[dict[str, str]], step: int) -> dict[str, Any]:
        found = [{**difference, "step": str(step)} for difference in found]
        outcome = {"verdict": verdict, "differences": found, "outputs": outputs}
        return {"case": case["title"], **outcome}

    def stop(reason: str, step: int) -> dict[str, Any]:
        wanted = {"path": "", "kind": "error", "expected": "a run", "actual": reason}
        return end("could-not-run", [wanted], step)

    if not all("input" in step for step in case["steps"]):
        return stop("its data file is missing", 0)
    if not callable(runner):
        return stop("there is no runner", 0)
    if setup is not None and "stopped" in (ready := call_hook(setup, case, seconds)):
        return stop("setup: " + ready["stopped"], 0)
    try:
        for index, step in enumerate(case["steps"]):
            try:
                sent = resolve(step["input"], names)
            except KeyError as missing:
                lost = {"path": "", "kind": "link", "expected": f"value of {missing}"}
                return end("drift", [{**lost, "actual": "nothing"}], index)
            metadata = {**step["metadata"], "operation": step["operation"]}
            came = call(runner, sent, metadata, seconds)
            outputs.append(came.get("output", came.get("error")))
            if "stopped" in came:
                return stop(came["stopped"], index)
            if "timeout" in came:
                late = {
                    "path": "",
                    "kind": "error",
                    "expected": f"within {seconds:g} s",
                }
                return end("timeout", [{**late, "actual": "nothing"}], index)
            expected = step.get("error")
            if expected is not None and "error" not in came:
                lost = {"path": "/error", "kind": "error", "expected": show(expected)}
                return end(
                    "missing-error", [{**lost, "actual": show(came["output"])}], index
                )
            if "error" in came:
                found = judge_error(came["error"], expected or {})
                if expected is None:
                    lost = {"path": "/error", "kind": "error", "expected": "no error"}
                    found = [{**lost, "actual": show(came["error"])}]
                if found:
                    return end("wrong-error", found, index)
                continue
            collect(came["output"], step["output"], names)
            found = compare(came["output"], step["output"], names, sent)
            if found:
                return end("drift", found, index)
        return end("pass", [], 0)
    finally:
        if teardown is not None:
            call_hook(teardown, case, seconds)


def call_hook(hook: Any, case: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Call ``setup`` or ``teardown`` with the case's title."""
    came = call(lambda title, _: hook(title), case["title"], {}, seconds)
    if "output" not in came:
        came["stopped"] = show(came)
    return came


def with_data(case: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Return a case with the bodies that stand in the file beside the suite."""
    kept = data.get(case["title"].split("-")[0], {})
    steps = [{**step, **kept.get(str(i), {})} for i, step in enumerate(case["steps"])]
    return {**case, "steps": steps}


def check(result: dict[str, Any]) -> None:
    """Fail unless the case passed; note the result for ``evolution-lab test run``."""
    notes = os.environ.get("EVOLUTION_LAB_GOLDEN_RESULTS")
    if notes:
        with Path(notes).open("a", encoding="utf-8") as file:
            file.write(json.dumps(result, default=str) + "\n")
    lines = [
        f"step {d['step']} {d['path'] or '/'}: {d['kind']}: "
        f"expected {d['expected']}, got {d['actual']}"
        for d in result["differences"]
    ]
    assert result["verdict"] == "pass", "\n".join([result["verdict"], *lines])
