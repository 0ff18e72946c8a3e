"""A folder in which Vitest, Jest and tsc run, and suites of hand-made cases."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from evolution_lab.golden.matchers import literal
from evolution_lab.golden.suite import GoldenCase, GoldenStep, GoldenSuite, content_id

JS = Path(__file__).parents[1] / "js"


@pytest.fixture
def js_folder(tmp_path, require_or_skip):
    """A folder with the packages of tests/js and their configuration."""
    if shutil.which("node") is None:
        require_or_skip("node", "node is not on the PATH")
    if not (JS / "node_modules" / ".bin" / "vitest").exists():
        require_or_skip("node", "tests/js has no packages: npm ci --prefix tests/js")
    (tmp_path / "node_modules").symlink_to((JS / "node_modules").resolve())
    for name in ("jest.config.cjs", "tsconfig.json"):
        shutil.copy(JS / name, tmp_path / name)
    (tmp_path / "package.json").write_text("{}\n")
    return tmp_path


@pytest.fixture
def run_js(js_folder):
    """A function that runs a program of the packages and returns what it did and noted."""

    def run(program, *arguments, **environment):
        notes = js_folder / f"{program}.jsonl"
        done = subprocess.run(
            [js_folder / "node_modules" / ".bin" / program, *arguments],
            cwd=js_folder,
            env={
                **os.environ,
                "EVOLUTION_LAB_GOLDEN_RESULTS": str(notes),
                "CI": "1",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=170,
        )
        found = {}
        if notes.exists():
            for line in notes.read_text().split("\n")[:-1]:
                result = json.loads(line)
                found[result["case"]] = result["verdict"]
        return done, found

    return run


@pytest.fixture(scope="session")
def suite_of():
    """A function that makes a suite of (input, expected tree) pairs."""

    def make(pairs, operation="echo.value"):
        cases = []
        for place, (sent, expected) in enumerate(pairs):
            tree = literal(sent)
            step = GoldenStep(operation=operation, input=tree, output=expected)
            name = content_id(operation, [place, repr(sent)], "ok", length=16)
            cases.append(GoldenCase(id=name, name=f"pair-{place}", outcome="ok", steps=(step,)))
        return GoldenSuite(operation=operation, cases=tuple(cases))

    return make
