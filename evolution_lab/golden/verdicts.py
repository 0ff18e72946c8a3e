"""What a run of golden cases said: one verdict a case, one exit code for all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from evolution_lab.display import ResultMixin
from evolution_lab.records.json_form import CAMEL_CASE

Verdict = Literal["pass", "drift", "wrong-error", "missing-error", "timeout", "could-not-run"]
VERDICTS: Final[tuple[Verdict, ...]] = (
    "pass",
    "drift",
    "wrong-error",
    "missing-error",
    "timeout",
    "could-not-run",
)
_INDEX = re.compile(r"/[0-9]+(?=/|$)")


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """What became of one case.

    Attributes:
        operation: Whose case.
        case: Its title.
        verdict: ``drift`` is another output, ``wrong-error`` another error than expected or one
            where none was, ``missing-error`` an output where an error was expected.
        differences: Step, path, kind, expected and actual of each; texts, shortened.
        outputs: What the steps gave, as far as they were called.
    """

    __pydantic_config__ = CAMEL_CASE

    operation: str
    case: str
    verdict: Verdict
    differences: tuple[Mapping[str, str], ...] = ()
    outputs: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DriftGroup(ResultMixin):
    """Differences of the same kind at the same path, in one operation.

    Attributes:
        group: Its name: ``operation path kind``; array positions are ``*``.
        operation: Whose.
        path: JSON Pointer with ``*`` for array positions.
        cause: Kind of difference, or the verdict where it is none of values.
        cases: Titles of the cases.
        expected: Of the first case, shortened.
        actual: Of the first case, shortened.
    """

    __pydantic_config__ = CAMEL_CASE
    _title: ClassVar[str] = "Drift"

    group: str
    operation: str
    path: str
    cause: str
    cases: tuple[str, ...]
    expected: str
    actual: str

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row."""
        return [
            {
                "operation": self.operation,
                "path": self.path,
                "cause": self.cause,
                "cases": len(self.cases),
                "expected": self.expected,
                "actual": self.actual,
            }
        ]


@dataclass(frozen=True, kw_only=True)
class GoldenRun(ResultMixin):
    """All results of a run.

    Attributes:
        results: In the order of operations and cases.
        notes: What a framework said where it could not run.
    """

    __pydantic_config__ = CAMEL_CASE
    _title: ClassVar[str] = "Golden run"

    results: tuple[CaseResult, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many cases got each verdict."""
        found = Counter(result.verdict for result in self.results)
        return {verdict: found[verdict] for verdict in VERDICTS}

    @property
    def exit_code(self) -> int:
        """0 where all passed, 1 where behaviour changed, 2 where a case could not run."""
        if self.counts["could-not-run"] or not self.results:
            return 2
        return int(self.counts["pass"] != len(self.results))

    @property
    def groups(self) -> tuple[DriftGroup, ...]:
        """The differences, grouped by operation, path and cause; largest groups first."""
        return group_differences(self.results)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row an operation."""
        rows: dict[str, Counter[str]] = {}
        for result in self.results:
            rows.setdefault(result.operation, Counter())[result.verdict] += 1
        return [
            {"operation": name, **{verdict: found[verdict] for verdict in VERDICTS}}
            for name, found in sorted(rows.items())
        ]


def group_differences(results: Iterable[CaseResult]) -> tuple[DriftGroup, ...]:
    """Group differences by operation, path and cause.

    Examples:
        >>> changed = {"step": "0", "path": "/items/3/price", "kind": "value",
        ...            "expected": "1", "actual": "2"}
        >>> found = CaseResult(operation="cart", case="a-cart", verdict="drift",
        ...                    differences=(changed, {**changed, "path": "/items/4/price"}))
        >>> [(g.group, len(g.cases)) for g in group_differences([found])]
        [('cart /items/*/price value', 1)]
    """
    groups: dict[tuple[str, str, str], tuple[list[str], Mapping[str, str]]] = {}
    for result in results:
        for difference in result.differences:
            path = _INDEX.sub("/*", difference["path"])
            cause = difference["kind"] if result.verdict == "drift" else result.verdict
            cases, _ = groups.setdefault((result.operation, path, cause), ([], difference))
            if result.case not in cases:
                cases.append(result.case)
    found = [
        DriftGroup(
            group=f"{operation} {path or '/'} {cause}",
            operation=operation,
            path=path or "/",
            cause=cause,
            cases=tuple(cases),
            expected=first["expected"],
            actual=first["actual"],
        )
        for (operation, path, cause), (cases, first) in groups.items()
    ]
    return tuple(sorted(found, key=lambda g: (-len(g.cases), g.group)))
