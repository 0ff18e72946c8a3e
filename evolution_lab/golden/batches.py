"""Many suites in one go: a file for each operation, and what became of each."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from evolution_lab.display import ResultMixin
from evolution_lab.golden.side_files import Framework
from evolution_lab.golden.suite import GoldenSuite, content_id
from evolution_lab.records.json_form import CAMEL_CASE

_NOT_WORD = re.compile(r"[^A-Za-z0-9.]+")
_ENDING = {"pytest": ".py", "vitest": ".golden.test.ts", "jest": ".golden.test.ts"}


@dataclass(frozen=True, kw_only=True)
class WrittenSuite(ResultMixin):
    """What became of one operation's traffic.

    Attributes:
        operation: Its name.
        output: The suite's file; empty where none was written.
        cases: How many cases it has.
        snapshots: How many recorded calls they stand for.
        relaxed: Paths at which less than the recorded value is expected.
        quarantined: Calls and cases that were set aside.
        power: Share of changed values it would notice; None where not measured.
        code_power: Share of changes of code it would notice; None where the runner is not Python.
    """

    __pydantic_config__ = CAMEL_CASE
    _title: ClassVar[str] = "Golden suite"

    operation: str
    output: str
    cases: int
    snapshots: int
    relaxed: int
    quarantined: int
    power: float | None = None
    code_power: float | None = None

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row."""
        return [
            {
                "operation": self.operation,
                "cases": self.cases,
                "calls": self.snapshots,
                "relaxed": self.relaxed,
                "quarantined": self.quarantined,
                "power": self.power,
                "code power": self.code_power,
                "output": self.output,
            }
        ]


def summary(suite: GoldenSuite, output: Path | None) -> WrittenSuite:
    """Return what became of one operation's traffic."""
    noticed, tried = suite.power.values if suite.power else (0, 0)
    hit, changes = suite.power.code if suite.power else (0, 0)
    return WrittenSuite(
        operation=suite.operation,
        output="" if output is None else os.fspath(output),
        cases=len(suite.cases),
        snapshots=suite.snapshots,
        relaxed=sum(len(case.relaxations) for case in suite.cases),
        quarantined=len(suite.quarantined),
        power=noticed / tried if tried else None,
        code_power=hit / changes if changes else None,
    )


def file_name(operation: str, framework: Framework, taken: set[str]) -> str:
    """Return the name of an operation's suite: safe anywhere, and not taken.

    Examples:
        >>> file_name("GET /orders/{id}", "pytest", set())
        'test_get_orders_id.py'
        >>> file_name("billing.createInvoice", "vitest", set())
        'billing.createInvoice.golden.test.ts'
        >>> file_name("../../etc/passwd", "jest", set())
        'etc-passwd.golden.test.ts'
    """
    words = _NOT_WORD.sub("-", operation).strip("-.")[:80]
    if framework == "pytest":
        stem = "test_" + re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    else:
        stem = words
    name = stem + _ENDING[framework]
    if name.lower() in {other.lower() for other in taken} or stem in {"", "test_"}:
        joint = "_" if framework == "pytest" else "-"
        name = f"{stem}{joint}{content_id(operation, '', '', length=8)}{_ENDING[framework]}"
    return name
