"""`run_golden_tests`: a suite against a runner, here or in the framework it was written for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from evolution_lab.errors import InputError, PathNotFoundError
from evolution_lab.golden.emitting import plain_case
from evolution_lab.golden.runners import GoldenRunner, LoadedRunner, check_target
from evolution_lab.golden.side_files import read_side_file
from evolution_lab.golden.standalone.golden_runtime import run_case
from evolution_lab.golden.suite import GoldenCase, GoldenSuite, Quarantined
from evolution_lab.golden.verdicts import CaseResult, GoldenRun

Progress = Callable[[int, int], None]
RESULTS_VARIABLE: Final = "EVOLUTION_LAB_GOLDEN_RESULTS"
_TAIL: Final = 1500


def run_golden_tests(
    suites: GoldenSuite | Iterable[GoldenSuite],
    runner: GoldenRunner | LoadedRunner,
    *,
    timeout_seconds: float = 10.0,
    progress: Progress | None = None,
) -> GoldenRun:
    """Run cases in this process and judge what comes.

    Args:
        suites: What to run.
        runner: Called with input and metadata; sync or async.
        timeout_seconds: Most that one call may take. A call that is late is left to itself.
        progress: Called with done and total.

    Examples:
        >>> from evolution_lab.golden.suite import GoldenCase, GoldenStep
        >>> step = GoldenStep(operation="add", input={"a": 1}, output={"sum": 2})
        >>> case = GoldenCase(id="0a", name="add", outcome="ok", steps=(step,))
        >>> suite = GoldenSuite(operation="add", cases=(case,))
        >>> run_golden_tests(suite, lambda sent, metadata: {"sum": sent["a"] + 1}).exit_code
        0
    """
    chosen = [suites] if isinstance(suites, GoldenSuite) else list(suites)
    loaded = runner if isinstance(runner, LoadedRunner) else LoadedRunner(runner)
    total = sum(len(suite.cases) for suite in chosen)
    results: list[CaseResult] = []
    for suite in chosen:
        for case in suite.cases:
            results.append(run_one(suite.operation, case, loaded, timeout_seconds))
            if progress is not None:
                progress(len(results), total)
    return GoldenRun(results=tuple(results))


def run_one(
    operation: str, case: GoldenCase, runner: LoadedRunner, timeout_seconds: float
) -> CaseResult:
    """Run one case."""
    found = run_case(plain_case(case), runner.run, timeout_seconds, runner.setup, runner.teardown)
    return _result(operation, found)


def verify(
    suite: GoldenSuite,
    runner: GoldenRunner | LoadedRunner,
    *,
    timeout_seconds: float = 10.0,
    reruns: int = 1,
    progress: Progress | None = None,
) -> tuple[GoldenSuite, dict[str, str]]:
    """Run each case before it is written; what the service does not reproduce is set aside.

    Args:
        suite: What was made of traffic.
        runner: Calls the unchanged service.
        timeout_seconds: Most that one call may take.
        reruns: How often each case must pass.
        progress: Called with done and total.

    Returns:
        The suite without the cases that failed, which stand in its ``quarantined`` with their
        reasons; and by case id what was said, for the side file.

    Raises:
        InputError: The runner could not be reached: nothing would be known of any case.
    """
    loaded = runner if isinstance(runner, LoadedRunner) else LoadedRunner(runner)
    said: dict[str, str] = {}
    kept: list[GoldenCase] = []
    aside: list[Quarantined] = []
    for done, case in enumerate(suite.cases):
        for _ in range(max(reruns, 1)):
            result = run_one(suite.operation, case, loaded, timeout_seconds)
            if result.verdict != "pass":
                break
        if result.verdict == "could-not-run":
            raise InputError(f"cannot verify {suite.operation}: {result.differences[0]['actual']}")
        said[case.id] = result.verdict
        if result.verdict == "pass":
            kept.append(case)
        else:
            reason = f"not reproduced by the unchanged service: {_reason(result)}"
            aside.append(Quarantined(id=case.id, name=case.name, reason=reason))
        if progress is not None:
            progress(done + 1, len(suite.cases))
    checked = replace(suite, cases=tuple(kept), quarantined=(*suite.quarantined, *aside))
    return checked, said


def _reason(result: CaseResult) -> str:
    places = [f"{d['path'] or '/'} {d['kind']}" for d in result.differences[:3]]
    return f"{result.verdict} at {', '.join(places)}"


def find_suites(paths: Iterable[Path]) -> list[Path]:
    """Return the suites among files and folders: what has a side file; sorted, each once.

    Raises:
        PathNotFoundError: A path is not there.
        InputError: There is no suite.
    """
    found: set[Path] = set()
    paths = list(paths)
    for path in paths:
        if not path.exists():
            raise PathNotFoundError(path)
        if path.is_file():
            found.add(path)
            continue
        for side in path.rglob("*.meta.json"):
            if "node_modules" not in side.parts:
                stem = side.name.removesuffix(".meta.json")
                names = (f"{stem}.py", f"{stem}.test.ts", f"{stem}.spec.ts", f"{stem}.ts")
                found.update(p for p in map(side.with_name, names) if p.exists())
    if not found:
        raise InputError(f"{', '.join(map(str, paths))}: no suite with its .meta.json is there.")
    return sorted(found)


def run_written(
    outputs: Sequence[Path],
    *,
    base_url: str | None = None,
    headers: Mapping[str, str] | None = None,
    allow_targets: Sequence[str] = (),
    timeout_seconds: float = 600.0,
    progress: Progress | None = None,
) -> GoldenRun:
    """Run written suites in their frameworks: pytest, ``npx vitest``, ``npx jest``.

    Args:
        outputs: The suites' files; their side files stand beside them.
        base_url: Where the service of an ``http`` runner answers.
        headers: Sent with every request of an ``http`` runner.
        allow_targets: Hosts that may be called though they are not of this machine.
        timeout_seconds: Most that one suite may take.
        progress: Called with done and total.

    Raises:
        PathNotFoundError: A suite or its side file is missing.
        InputError: The target is not of this machine and not allowed.
    """
    results: list[CaseResult] = []
    notes: list[str] = []
    for done, output in enumerate(outputs):
        side = read_side_file(output)
        target = base_url or side.settings.base_url or os.environ.get("GOLDEN_BASE_URL")
        if side.settings.runner_import == "http":
            if not target:
                raise InputError(f"{output.name} calls a service: say where with --base-url.")
            check_target(target, allow_targets)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "results.jsonl"
            variables = {
                **os.environ,
                RESULTS_VARIABLE: os.fspath(file),
                "GOLDEN_BASE_URL": target or "",
                "GOLDEN_HEADERS": json.dumps(dict(headers or {})),
                "CI": "1",
            }
            said = _start(output, side.settings.framework, variables, timeout_seconds)
            found = _read_results(file)
        missing = [case for case in side.suite.cases if case.title not in found]
        if missing and said:
            notes.append(f"{output.name}: {said}")
        for case in side.suite.cases:
            lost = {"step": "0", "path": "", "kind": "error", "expected": "a run"}
            stopped = {"case": case.title, "verdict": "could-not-run", "outputs": []}
            result = found.get(case.title) or {
                **stopped,
                "differences": [{**lost, "actual": f"{side.settings.framework} did not run it"}],
            }
            results.append(_result(side.suite.operation, result))
        if progress is not None:
            progress(done + 1, len(outputs))
    return GoldenRun(results=tuple(results), notes=tuple(notes))


def _start(output: Path, framework: str, variables: Mapping[str, str], seconds: float) -> str:
    """Run a framework on a file and return the end of what it said."""
    folder, name = output.resolve().parent, output.name
    npx = shutil.which("npx") or "npx"
    command = {
        "pytest": [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--tb=line",
            "--import-mode=importlib",
            name,
        ],
        "vitest": [npx, "--no-install", "vitest", "run", "--root", ".", f"./{name}"],
        "jest": [npx, "--no-install", "jest", "--rootDir", ".", "--runTestsByPath", name],
    }[framework]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program on the user's own suite
            command,
            cwd=folder,
            env=dict(variables),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        return f"{command[0]} is not on the PATH"
    except subprocess.TimeoutExpired:
        return f"{framework} took longer than {seconds:g} s"
    return (done.stdout + done.stderr)[-_TAIL:].strip()


def _read_results(file: Path) -> dict[str, dict[str, Any]]:
    if not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").split("\n")
    return {result["case"]: result for result in map(json.loads, filter(None, lines))}


def _result(operation: str, found: Mapping[str, Any]) -> CaseResult:
    return CaseResult(
        operation=operation,
        case=found["case"],
        verdict=found["verdict"],
        differences=tuple(found["differences"]),
        outputs=tuple(found["outputs"]),
    )
