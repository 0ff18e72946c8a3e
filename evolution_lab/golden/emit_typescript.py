"""Prints a suite for Vitest or Jest: only the first line differs."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from evolution_lab.golden.emit_python import expected_headers
from evolution_lab.golden.http_snapshots import RESPONSE_HEADERS
from evolution_lab.golden.literals import quote, render
from evolution_lab.golden.matchers import PATTERNS
from evolution_lab.golden.side_files import EmitSettings
from evolution_lab.golden.suite import GoldenSuite

RUNTIME_MODULE: Final = "golden-runtime"
"""Name of the file that suites share with ``--import``."""
_FROM: Final = {"vitest": "vitest", "jest": "@jest/globals"}
_TESTS: Final = """
describe(SUITE, () => {
  for (const test of CASES) {
    it(
      test.title,
      async () => {
        const whole = withData(test, DATA, __dirname);
        check(await runCase(whole, RUNNER, MILLISECONDS, SETUP, TEARDOWN));
      },
      MILLISECONDS * (test.steps.length + 2) + 5000,
    );
  }
});
"""


def typescript_suite(suite: GoldenSuite, cases: str, settings: EmitSettings, data: str) -> str:
    """Return a TypeScript module.

    Args:
        suite: Gives the names of headers that are expected.
        cases: The printed cases, one after the other.
        settings: How it is written.
        data: Name of the file with large bodies.
    """
    http = settings.runner_import == "http"
    text = [f'import {{ describe, it }} from "{_FROM[settings.framework]}";\n']
    if settings.standalone:
        text.append('import { appendFileSync, existsSync, readFileSync } from "node:fs";\n')
        text.append('import { join } from "node:path";\n')
    else:
        names = ", ".join(["check", *(["CouldNotRunError"] if http else []), "runCase", "withData"])
        text.append(f'import {{ {names} }} from "./{RUNTIME_MODULE}";\n')
        text.append(f'import type {{ Case, Hook, Json, Runner }} from "./{RUNTIME_MODULE}";\n')
    if not http:
        text.append(f"import * as runners from {quote(settings.runner_import, 'typescript')};\n")
    text.append("\n// Golden tests of recorded traffic, written by evolution-lab:")
    text.append(" regenerate, do not edit.\n\n")
    text += [_constant("SUITE", settings.suite_name), _constant("DATA", data)]
    text.append(f"const MILLISECONDS = {round(settings.timeout_seconds * 1000)};\n\n")
    text += ["const CASES: readonly Case[] = [\n", cases, "];\n"]
    if settings.standalone:
        text.append("\n// What follows judges the cases and is the same in every suite.\n\n")
        text.append(judging_source().replace("export ", ""))
    if http:
        headers = render(sorted(RESPONSE_HEADERS | expected_headers(suite)), "typescript")
        text.append(
            "\n"
            + _constant("BASE_URL", settings.base_url)
            + _http_source().replace(
                "KEPT_HEADERS: readonly string[] = []",
                f"KEPT_HEADERS: readonly string[] = {headers}",
            )
        )
        text.append("\nconst RUNNER: Runner = runHttp;\n")
        text.append("const SETUP: Hook | undefined = undefined;\n")
        text.append("const TEARDOWN: Hook | undefined = undefined;\n")
    else:
        text.append(f"\nconst RUNNER = runners.{settings.runner_fn} as Runner;\n")
        text.append("const HOOKS = runners as unknown as Record<string, Hook | undefined>;\n")
        text.append('const SETUP = HOOKS["setup"];\nconst TEARDOWN = HOOKS["teardown"];\n')
    return "".join([*text, _TESTS])


def _constant(name: str, value: str) -> str:
    return f"const {name} = {render(value, 'typescript', used=len(name) + 10)};\n"


def runtime_module() -> str:
    """Return the file that suites written with ``--import`` share."""
    return (
        'import { appendFileSync, existsSync, readFileSync } from "node:fs";\n'
        'import { join } from "node:path";\n\n' + judging_source()
    )


@cache
def judging_source() -> str:
    """Return the TypeScript judge without its imports, with the patterns filled in."""
    source = files("evolution_lab.golden.standalone").joinpath("golden_runtime.ts").read_text()
    judging = source.split("// -- judging\n")[1].replace("// -- calling\n\n", "").strip("\n")
    patterns = render(dict(PATTERNS), "typescript", used=50)
    return f"const PATTERNS: Readonly<Record<string, string>> = {patterns};\n\n{judging}\n"


@cache
def _http_source() -> str:
    source = files("evolution_lab.golden.standalone").joinpath("http_runner.ts").read_text()
    return source.split("// -- runner\n")[1].strip("\n") + "\n"
