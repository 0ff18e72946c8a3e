"""Prints a suite for pytest."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from evolution_lab.golden.http_snapshots import RESPONSE_HEADERS
from evolution_lab.golden.literals import render
from evolution_lab.golden.matchers import PATTERNS
from evolution_lab.golden.side_files import EmitSettings
from evolution_lab.golden.suite import GoldenSuite

_MODULE: Final = "evolution_lab.golden.standalone.golden_runtime"
_HEAD: Final = '''\
"""Golden tests of recorded traffic, written by evolution-lab: do not edit."""

from __future__ import annotations

'''
_TEST: Final = '''

@pytest.mark.parametrize("case", CASES, ids=[case["title"] for case in CASES])
def test_golden(case: dict[str, Any]) -> None:
    """Send what was recorded and expect what came back."""
    kept = Path(__file__).with_name(DATA)
    data = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    try:
        runner, setup, teardown = load_runner()
    except Exception as error:
        reason = {"path": "", "kind": "error", "expected": "a runner", "step": "0"}
        stopped = {"verdict": "could-not-run", "outputs": []}
        found = [{**reason, "actual": f"{type(error).__name__}: {error}"}]
        check({"case": case["title"], **stopped, "differences": found})
        return
    check(run_case(with_data(case, data), runner, TIMEOUT_SECONDS, setup, teardown))
'''
_LOAD_FILE: Final = '''

def load_runner() -> tuple[Any, Any, Any]:
    """Return the runner of the file beside, with its setup and teardown, if any."""
    path = (Path(__file__).parent / RUNNER).resolve()
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
    if spec is None or spec.loader is None:
        raise CouldNotRunError(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    hooks = (getattr(module, name, None) for name in ("setup", "teardown"))
    return getattr(module, FUNCTION), *hooks
'''
_LOAD_MODULE: Final = '''

def load_runner() -> tuple[Any, Any, Any]:
    """Return the runner of the module, with its setup and teardown, if any."""
    module = importlib.import_module(RUNNER)
    hooks = (getattr(module, name, None) for name in ("setup", "teardown"))
    return getattr(module, FUNCTION), *hooks
'''
_LOAD_HTTP: Final = '''

def load_runner() -> tuple[Any, Any, Any]:
    """Return what calls the service."""

    def runner(sent: Any, metadata: Any) -> Any:
        return run_http(sent, metadata, BASE_URL, KEPT_HEADERS)

    return runner, None, None
'''


def python_suite(suite: GoldenSuite, cases: str, settings: EmitSettings, data: str) -> str:
    """Return a pytest module.

    Args:
        suite: Gives the names of headers that are expected.
        cases: The printed cases, one after the other.
        settings: How it is written.
        data: Name of the file with large bodies.
    """
    http = settings.runner_import == "http"
    by_file = settings.runner_import.endswith(".py")
    modules = ["json"]
    if settings.standalone:
        modules += ["asyncio", "base64", "dataclasses", "inspect", "math", "os", "re", "threading"]
    if http:
        modules += ["os", "re"]
    else:
        modules += ["importlib.util" if by_file else "importlib"]
    text = [_HEAD, *(f"import {name}\n" for name in sorted(set(modules)))]
    text += ["from pathlib import Path\nfrom typing import Any\n"]
    text += ["from urllib.parse import quote\n\n" if http else "\n"]
    text += ["import httpx\n" if http else "", "import pytest\n"]
    if not settings.standalone:
        names = ["check", "run_case", "with_data"]
        if http or by_file:
            names.insert(0, "CouldNotRunError")
        text.append(f"from {_MODULE} import (\n" + "".join(f"    {n},\n" for n in names) + ")\n")
    text += ["\n", _constant("SUITE", settings.suite_name)]
    if http:
        text.append(_constant("BASE_URL", settings.base_url))
    else:
        text += [_constant("RUNNER", settings.runner_import)]
        text += [_constant("FUNCTION", settings.runner_fn)]
    text += [_constant("DATA", data), f"TIMEOUT_SECONDS = {settings.timeout_seconds!r}\n\n"]
    text += ["CASES: list[dict[str, Any]] = [\n", cases, "]\n"]
    if settings.standalone:
        text += ["\n# What follows judges the cases and is the same in every suite.\n\n"]
        text += [judging_source()]
    if http:
        headers = sorted(RESPONSE_HEADERS | expected_headers(suite))
        kept = f"KEPT_HEADERS = {render(headers, 'python', used=15)}\n"
        text += ["\n", kept, _http_source()]
        text += [_LOAD_HTTP]
    else:
        text += [_LOAD_FILE if by_file else _LOAD_MODULE]
    return "".join([*text, _TEST])


def _constant(name: str, value: str) -> str:
    return f"{name} = {render(value, 'python', used=len(name) + 3)}\n"


def expected_headers(suite: GoldenSuite) -> frozenset[str]:
    """Return the names of answers' headers that cases expect."""
    found: set[str] = set()
    for case in suite.cases:
        for step in case.steps:
            headers = step.output.get("headers") if isinstance(step.output, dict) else None
            if isinstance(headers, dict):
                found.update(name for name in headers if not name.startswith("$"))
    return frozenset(found)


@cache
def judging_source() -> str:
    """Return the Python judge without its imports, with the patterns filled in."""
    source = files("evolution_lab.golden.standalone").joinpath("golden_runtime.py").read_text()
    judging = source.split("# -- judging\n")[1].replace("\n\n\n# -- calling\n", "").strip("\n")
    patterns = render(dict(PATTERNS), "python")
    return f"PATTERNS: dict[str, str] = {patterns}\n\n\n{judging}\n"


@cache
def _http_source() -> str:
    source = files("evolution_lab.golden.standalone").joinpath("http_runner.py").read_text()
    return source.split("# -- runner\n")[1].strip("\n") + "\n"
