"""A suite as one file: it needs its runner beside it and nothing else, and goes red when it should."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evolution_lab.errors import InputError
from evolution_lab.golden import (
    GoldenCase,
    GoldenStep,
    GoldenSuite,
    generate_jest_suite,
    generate_pytest_suite,
    generate_vitest_suite,
)

PACKAGES = Path(__file__).parents[1] / "js"
NAME = "it's ${a} `name` \\ </script>"


@pytest.fixture(scope="module")
def suite() -> GoldenSuite:
    step = GoldenStep(operation=NAME, input={"a": 1, "said": NAME}, output={"sum": 2})
    return GoldenSuite(
        operation=NAME, cases=(GoldenCase(id="0a", name=NAME, outcome="ok", steps=(step,)),)
    )


@pytest.mark.parametrize("answer", [2, 3])
def test_one_python_file_and_its_runner_are_enough(suite: GoldenSuite, answer: int, tmp_path: Path):
    (tmp_path / "runner.py").write_text(
        f"def run(sent, metadata):\n    return {{'sum': {answer}}}\n"
    )
    code = generate_pytest_suite(suite, runner_import="runner", runner_fn="run")
    (tmp_path / "test_it.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == (0 if answer == 2 else 1), done.stdout
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {
        "runner.py",
        "test_it.py",
    }


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["vitest", "jest"])
@pytest.mark.parametrize("answer", [2, 3])
def test_one_typescript_file_and_its_runner_are_enough(
    suite: GoldenSuite, framework: str, answer: int, tmp_path: Path, require_or_skip: Any
):
    if not (PACKAGES / "node_modules" / ".bin" / framework).exists():
        require_or_skip("node", "tests/js has no packages: make javascript")
    (tmp_path / "node_modules").symlink_to(os.path.realpath(PACKAGES / "node_modules"))
    for name in ("jest.config.cjs", "package.json", "tsconfig.json"):
        shutil.copy(PACKAGES / name, tmp_path / name)
    (tmp_path / "runner.ts").write_text(f"export const run = () => ({{ sum: {answer} }});\n")
    write = {"vitest": generate_vitest_suite, "jest": generate_jest_suite}[framework]
    code = write(suite, runner_import="./runner", runner_fn="run")
    assert "bun:test" not in code
    (tmp_path / "it.golden.test.ts").write_text(code, encoding="utf-8")
    command = ["npx", "vitest", "run"] if framework == "vitest" else ["npx", "jest"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=170
    )
    assert (done.returncode == 0) is (answer == 2), done.stdout + done.stderr
    assert "1 passed" in done.stdout + done.stderr or answer == 3


def test_a_runner_that_is_no_name_is_refused(suite: GoldenSuite):
    with pytest.raises(InputError):
        generate_vitest_suite(suite, runner_import="./runner", runner_fn="run(); evil")
