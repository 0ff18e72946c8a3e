"""From a suite to files: the same cases in pytest, Vitest or Jest, byte for byte the same each time."""

from __future__ import annotations

import ast
import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson

from evolution_lab.errors import InputError
from evolution_lab.golden.emit_python import python_suite
from evolution_lab.golden.emit_typescript import (
    RUNTIME_MODULE,
    runtime_module,
    typescript_suite,
)
from evolution_lab.golden.literals import WIDTH, Language, render
from evolution_lab.golden.side_files import (
    Accepted,
    EmitSettings,
    Framework,
    SideFile,
    data_path,
    side_path,
    side_text,
)
from evolution_lab.golden.suite import GoldenCase, GoldenStep, GoldenSuite
from evolution_lab.records.json_form import to_plain
from evolution_lab.redaction.scan import Leak, leaks_in_text
from evolution_lab.telemetry.publishing import publish_bytes

LARGEST_BODY: Final = 4096
LONGEST_BODY: Final = 40
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_RESERVED: Final = frozenset(
    [
        "await",
        "break",
        "case",
        "catch",
        "class",
        "const",
        "continue",
        "debugger",
        "default",
        "delete",
        "do",
        "else",
        "enum",
        "export",
        "extends",
        "false",
        "finally",
        "for",
        "function",
        "if",
        "implements",
        "import",
        "in",
        "instanceof",
        "interface",
        "let",
        "new",
        "null",
        "package",
        "private",
        "protected",
        "public",
        "return",
        "static",
        "super",
        "switch",
        "this",
        "throw",
        "true",
        "try",
        "typeof",
        "var",
        "void",
        "while",
        "with",
        "yield",
    ]
)


@dataclass(frozen=True, kw_only=True)
class EmittedSuite:
    """The files of a suite, not yet written.

    Attributes:
        code: Text of the suite.
        data: Text of the file with large bodies, None where there are none.
        side: The side file.
        runtime: Text of the judging module that suites of a folder share, None where the suite
            has it in itself or imports the package.
    """

    code: str
    data: str | None
    side: SideFile
    runtime: str | None = None

    def leaks(self) -> tuple[Leak, ...]:
        """Return where the files show personal data or secrets; none where snapshots were clean."""
        own = self.side.settings.base_url
        texts = {"suite": self.code, "data": self.data or "", "side file": side_text(self.side)}
        return tuple(
            leak
            for name, text in texts.items()
            for leak in leaks_in_text(text.replace(own, "") if own else text, name=name)
        )

    def write(self, output: Path) -> tuple[Path, ...]:
        """Write the files, each whole or not at all, and remove a data file that is not needed."""
        files = {output: self.code, side_path(output): side_text(self.side)}
        if self.data is not None:
            files[data_path(output)] = self.data
        if self.runtime is not None:
            files[output.with_name(f"{RUNTIME_MODULE}.ts")] = self.runtime
        for path, text in reversed(files.items()):  # The suite last: what it reads is there.
            publish_bytes(path, text.encode())
        if self.data is None:
            data_path(output).unlink(missing_ok=True)
        return tuple(files)


def framework_of(output: Path, framework: str | None = None) -> Framework:
    """Return the framework that an output's name asks for.

    Raises:
        InputError: The name asks for none, or for another language than ``framework``.

    Examples:
        >>> framework_of(Path("test_cart.py")), framework_of(Path("cart.golden.test.ts"))
        ('pytest', 'vitest')
    """
    typescript = output.suffix in {".ts", ".mts", ".cts"}
    if output.suffix != ".py" and not typescript:
        raise InputError(f"output == {output.name!r}, must end in .py or .ts.")
    chosen = framework or ("vitest" if typescript else "pytest")
    if chosen not in {"pytest", "vitest", "jest"}:
        raise InputError(f"framework == {chosen!r}, must be pytest, vitest or jest.")
    if (chosen == "pytest") == typescript:
        raise InputError(f"framework == {chosen!r}, does not run {output.suffix} files.")
    return chosen  # type: ignore[return-value]  # checked above


def checked_name(name: str, framework: Framework) -> str:
    """Return the name of a runner's function.

    Raises:
        InputError: It is no name in the suite's language.

    Examples:
        >>> checked_name("runContract", "jest")
        'runContract'
    """
    if framework == "pytest":
        if name.isascii() and name.isidentifier() and not keyword.iskeyword(name):
            return name
    elif _NAME.fullmatch(name) and name not in _RESERVED:
        return name
    raise InputError(f"runner-fn == {name!r}, must be a name that can be imported.")


def emit(
    suite: GoldenSuite,
    output: Path,
    settings: EmitSettings,
    *,
    verified: Mapping[str, str] | None = None,
    basis: Mapping[str, str] | None = None,
    accepted: tuple[Accepted, ...] = (),
) -> EmittedSuite:
    """Return the files of a suite; the same suite and settings give the same bytes.

    Args:
        suite: What is sent and expected.
        output: Where it will stand; decides the names of the files beside it.
        settings: How it is written.
        verified: What the unchanged service said to each case.
        basis: Digests of what traffic alone made of each case.
        accepted: Changes accepted so far.

    Raises:
        InputError: The runner's name is none, or the suite cannot be written as code.
    """
    framework_of(output, settings.framework)
    http = settings.runner_import == "http"
    default = "run_contract" if settings.framework == "pytest" else "runContract"
    settings = replace(
        settings,
        runner_fn="" if http else checked_name(settings.runner_fn or default, settings.framework),
        suite_name=settings.suite_name or suite.operation,
    )
    language: Language = "python" if settings.framework == "pytest" else "typescript"
    indent = 4 if language == "python" else 2
    data: dict[str, Any] = {}
    rows = []
    for case in suite.cases:
        tree, large = case_tree(case, inline=settings.inline, language=language)
        if large:
            data[case.id] = large
        rows.append(" " * indent + render(tree, language, indent=indent, used=1) + ",\n")
    write = python_suite if language == "python" else typescript_suite
    code = write(suite, "".join(rows), settings, data_path(output).name)
    if language == "python":
        _must_compile(code, output)
    return EmittedSuite(
        code=code,
        data=_data_text(data) if data else None,
        runtime=None if settings.standalone or language == "python" else runtime_module(),
        side=SideFile(
            generator=f"evolution-lab {version('evolution-lab')}",
            digest=suite.digest,
            settings=settings,
            suite=suite,
            verified=dict(verified or {}),
            basis=dict(basis or {}),
            accepted=accepted,
        ),
    )


def case_tree(
    case: GoldenCase, *, inline: bool, language: Language
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a case as plain data, and what of it is too large for the suite's file."""
    steps, large = [], {}
    for index, step in enumerate(case.steps):
        whole = step_tree(step)
        kept = {}
        for part in ("input", "output"):
            if not inline and part in whole and _is_large(whole[part], language):
                kept[part] = whole.pop(part)
        if kept:
            large[str(index)] = kept
        steps.append(whole)
    return {"title": case.title, "steps": steps}, large


def plain_case(case: GoldenCase) -> dict[str, Any]:
    """Return a case as ``golden_runtime.run_case`` takes it."""
    return {"title": case.title, "steps": [step_tree(step) for step in case.steps]}


def step_tree(step: GoldenStep) -> dict[str, Any]:
    """Return one step as plain data: what is sent, and the output or the error expected."""
    tree: dict[str, Any] = {
        "operation": step.operation,
        "metadata": dict(step.metadata),
        "input": step.input,
    }
    if step.error is not None:
        tree["error"] = to_plain(step.error)
    else:
        tree["output"] = step.output
    return tree


def _is_large(value: Any, language: Language) -> bool:
    if not isinstance(value, dict | list | str) or _is_surely_small(value):
        return False
    text = render(value, language, indent=16)
    return len(text) > LARGEST_BODY or text.count("\n") >= LONGEST_BODY


def _is_surely_small(value: Any) -> bool:
    """Whether a body is small however it is laid out; most are, and need not be laid out to see it."""
    try:
        text = orjson.dumps(value)
    except TypeError:
        return False
    lines = text.count(b",") + 2 * (text.count(b"{") + text.count(b"[")) + len(text) // WIDTH
    return lines < LONGEST_BODY and 2 * len(text) + 50 * lines < LARGEST_BODY


def _data_text(data: Mapping[str, Any]) -> str:
    """One entry a case; the last line is a stop, so that a new case changes no other's lines."""
    rows = [
        f" {json.dumps(key)}: "
        + json.dumps(data[key], indent=1, ensure_ascii=True).replace("\n", "\n ")
        + ",\n"
        for key in sorted(data)
    ]
    return "{\n" + "".join(rows) + ' "end": {}\n}\n'


def _must_compile(code: str, output: Path) -> None:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{output.name} cannot be written as Python: {error}.") from error
