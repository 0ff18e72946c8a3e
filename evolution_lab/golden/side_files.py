"""What stands beside an emitted suite: how it was made, on what evidence, and what was accepted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from evolution_lab.errors import CorruptFileError, FormatVersionError, PathNotFoundError
from evolution_lab.golden.suite import GoldenSuite
from evolution_lab.records.json_form import CAMEL_CASE, from_json, to_plain

SIDE_FORMAT_VERSION: Final = 1
Framework = Literal["pytest", "vitest", "jest"]


@dataclass(frozen=True, kw_only=True)
class EmitSettings:
    """How a suite is written.

    Attributes:
        framework: Who runs it.
        suite_name: Its heading; the operation's unless given.
        runner_import: Path of the runner relative to the suite, or a dotted Python name; ``http``
            calls a service.
        runner_fn: Name of the function.
        base_url: Where the service of an ``http`` runner answers unless ``GOLDEN_BASE_URL`` says.
        inline: Whether large bodies stay in the suite's own file.
        standalone: Whether the judging code is printed into the suite.
        timeout_seconds: Most that one call may take.
    """

    __pydantic_config__ = CAMEL_CASE

    framework: Framework
    suite_name: str = ""
    runner_import: str = "http"
    runner_fn: str = ""
    base_url: str = ""
    inline: bool = False
    standalone: bool = True
    timeout_seconds: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A change of behaviour that a person took for right.

    Attributes:
        group: The group of differences: kind and path.
        why: In words.
        by: Who.
        on: Day, ISO 8601.
        cases: Titles of the cases it changed.
    """

    __pydantic_config__ = CAMEL_CASE

    group: str
    why: str
    by: str
    on: str
    cases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SideFile:
    """The ``.meta.json`` of a suite.

    Attributes:
        generator: Name and version of what wrote it.
        digest: Of what is sent and expected.
        settings: How it was written.
        suite: The suite, with the evidence of every relaxed path.
        verified: By case id, why the unchanged service did not reproduce it (``pass`` where it did).
        basis: By case id a digest of what traffic alone made of it: while it holds, generating
            again keeps the case as it is here.
        accepted: Changes of behaviour that were accepted, oldest first.
        format_version: Of this file.
    """

    __pydantic_config__ = CAMEL_CASE

    generator: str
    digest: str
    settings: EmitSettings
    suite: GoldenSuite
    verified: Mapping[str, str] = field(default_factory=dict)
    basis: Mapping[str, str] = field(default_factory=dict)
    accepted: tuple[Accepted, ...] = ()
    format_version: int = SIDE_FORMAT_VERSION


def side_path(output: Path) -> Path:
    """Return where the side file of a suite is.

    Examples:
        >>> side_path(Path("tests/cart.golden.test.ts")).name
        'cart.golden.meta.json'
    """
    return output.with_name(f"{suite_stem(output)}.meta.json")


def data_path(output: Path) -> Path:
    """Return where the large bodies of a suite are."""
    return output.with_name(f"{suite_stem(output)}.cases.json")


def suite_stem(output: Path) -> str:
    """Return a suite's file name without ``.py``, ``.ts``, ``.test.ts`` or ``.spec.ts``."""
    stem = output.name.rpartition(".")[0]
    return stem.removesuffix(".test").removesuffix(".spec")


def side_text(side: SideFile) -> str:
    """Return the side file as text: fields in their order, ASCII only, a line for each case.

    A case that is added, or changes, changes its own line.
    """
    plain = to_plain(side)
    suite = plain["suite"]
    cases = {name: suite.pop(name) for name in ("cases", "quarantined")}
    rows = [f'"{name}": {_line(value)}' for name, value in suite.items()]
    rows += [f'"{name}": {_list_of_lines(values)}' for name, values in cases.items()]
    plain["suite"] = None
    fields = [
        f'"{name}": ' + ("{\n  " + ",\n  ".join(rows) + "\n }" if name == "suite" else _line(value))
        for name, value in plain.items()
    ]
    return "{\n " + ",\n ".join(fields) + "\n}\n"


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)


def _list_of_lines(values: Sequence[object]) -> str:
    return "[\n   " + ",\n   ".join(map(_line, values)) + "\n  ]" if values else "[]"


def read_side_file(output: Path) -> SideFile:
    """Read the side file of a suite.

    Raises:
        PathNotFoundError: There is none.
        CorruptFileError: It is no side file.
        FormatVersionError: A newer release wrote it.
    """
    path = side_path(output)
    if not path.exists():
        raise PathNotFoundError(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = document.get("formatVersion")
        if version != SIDE_FORMAT_VERSION:
            raise FormatVersionError(path.name, version, SIDE_FORMAT_VERSION)
        return from_json(SideFile, document)
    except (ValueError, AttributeError, ValidationError) as error:
        raise CorruptFileError(f"{path.name} is not the side file of a suite: {error}.") from error
