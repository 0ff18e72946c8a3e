"""A suite as the text of one test file, for each framework: ``emit`` without the files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from evolution_lab.golden.emitting import emit
from evolution_lab.golden.side_files import EmitSettings, Framework
from evolution_lab.golden.suite import GoldenSuite

_NAMES: Final = {
    "pytest": "test_suite.py",
    "vitest": "suite.golden.test.ts",
    "jest": "suite.golden.test.ts",
}


def generate_pytest_suite(
    suite: GoldenSuite, *, runner_import: str, runner_fn: str = "run_contract", suite_name: str = ""
) -> str:
    """Return a suite as one self-contained pytest file.

    Args:
        suite: What is sent and expected.
        runner_import: The runner's module; of the TypeScript suites its path relative to the file.
        runner_fn: Its function, called with input and metadata; sync or async.
        suite_name: The heading; the operation's name without it.

    Raises:
        InputError: The runner's name is none, or the suite cannot be written as code.

    Examples:
        >>> from evolution_lab.golden import GoldenCase, GoldenStep
        >>> step = GoldenStep(operation="add", input={"a": 1}, output={"sum": 2})
        >>> suite = GoldenSuite(
        ...     operation="add", cases=(GoldenCase(id="0a", name="one", outcome="ok", steps=(step,)),))
        >>> code = generate_pytest_suite(suite, runner_import="shop.testing")
        >>> "shop.testing" in code, "run_contract" in code
        (True, True)
    """
    return _code(suite, "pytest", runner_import, runner_fn, suite_name)


def generate_vitest_suite(
    suite: GoldenSuite, *, runner_import: str, runner_fn: str = "runContract", suite_name: str = ""
) -> str:
    """Return a suite as one self-contained Vitest file; arguments as for ``generate_pytest_suite``."""
    return _code(suite, "vitest", runner_import, runner_fn, suite_name)


def generate_jest_suite(
    suite: GoldenSuite, *, runner_import: str, runner_fn: str = "runContract", suite_name: str = ""
) -> str:
    """Return a suite as one self-contained Jest file; arguments as for ``generate_pytest_suite``."""
    return _code(suite, "jest", runner_import, runner_fn, suite_name)


def _code(
    suite: GoldenSuite, framework: Framework, runner_import: str, runner_fn: str, suite_name: str
) -> str:
    settings = EmitSettings(
        framework=framework,
        runner_import=runner_import,
        runner_fn=runner_fn,
        suite_name=suite_name,
        inline=True,
    )
    return emit(suite, Path(_NAMES[framework]), settings).code
