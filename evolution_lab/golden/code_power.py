"""What a suite would notice of changes of code, where the runner is Python and runs in this process.

First each case is run once while the lines of the user's own files are noted: what a case reaches is
one reason to keep it, and only code that ran is worth changing. Then one place at a time is changed,
within the functions as they stand in memory, and put back.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final

from evolution_lab.golden.code_mutants import mutated_code
from evolution_lab.golden.runners import LoadedRunner
from evolution_lab.golden.running import run_one
from evolution_lab.golden.suite import GoldenCase, GoldenSuite
from evolution_lab.golden.suite_power import OperatorPower, SuitePower

_NOT_ITS_OWN: Final = ("site-packages", "dist-packages", "evolution_lab")
_SEED: Final = 5


@dataclass(frozen=True)
class Reach:
    """Lines of the user's own files that cases ran.

    Attributes:
        by_case: By case id: file and line.
    """

    by_case: Mapping[str, frozenset[tuple[str, int]]]

    @property
    def lines(self) -> dict[str, set[int]]:
        """Lines that any case ran, by file."""
        found: dict[str, set[int]] = {}
        for reached in self.by_case.values():
            for file, line in reached:
                found.setdefault(file, set()).add(line)
        return found


def reach_of(
    suite: GoldenSuite, runner: LoadedRunner, *, root: Path, timeout_seconds: float = 10.0
) -> Reach:
    """Run each case and note which lines below a folder it runs.

    Args:
        suite: Whose cases.
        runner: A Python runner of this process.
        root: Files below it are the user's own; libraries within it are not.
        timeout_seconds: Most that one call may take.
    """
    found: dict[str, frozenset[tuple[str, int]]] = {}
    for case in suite.cases:
        with _noted(str(root.resolve())) as lines:
            run_one(suite.operation, case, runner, timeout_seconds)
        found[case.id] = frozenset(lines)
    return Reach(found)


@contextmanager
def _noted(root: str) -> Iterator[set[tuple[str, int]]]:
    lines: set[tuple[str, int]] = set()

    def note(frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if event == "call" and not _is_own(file, root):
            return None
        if event == "line":
            lines.add((file, frame.f_lineno))
        return note

    before = sys.gettrace()
    threading.settrace(note)
    sys.settrace(note)
    try:
        yield lines
    finally:
        sys.settrace(before)
        threading.settrace(before)


def _is_own(file: str, root: str) -> bool:
    return file.startswith(root) and not any(part in file for part in _NOT_ITS_OWN)


def code_power(
    suite: GoldenSuite,
    runner: LoadedRunner,
    reach: Reach,
    *,
    most: int = 60,
    timeout_seconds: float = 2.0,
) -> SuitePower:
    """Change code that the suite runs, one place at a time, and count what a case notices.

    Module-level tables are left alone: they are read when a module is imported. A change that no
    input of any kind could show counts as missed, so that the share is a lower bound.

    Args:
        suite: Whose cases.
        runner: A Python runner of this process.
        reach: Which lines the cases ran.
        most: How many changes, drawn over all files.
        timeout_seconds: Most that one call may take; a change that hangs is noticed.

    Examples:
        >>> code_power(GoldenSuite(operation="op", cases=()), LoadedRunner(print), Reach({})).operators
        ()
    """
    modules = {
        file: module
        for module in list(sys.modules.values())
        if isinstance(module, ModuleType) and (file := getattr(module, "__file__", None))
    }
    wanted = sorted(file for file in reach.lines if file in modules)
    noticed = tried = 0
    for file in wanted:
        changes = mutated_code(
            modules[file], most=max(most // len(wanted), 1), seed=_SEED, lines=reach.lines[file]
        )
        for _, code in changes:
            with _swapped(file, code) as swapped:
                if not swapped:
                    continue
                tried += 1
                noticed += any(
                    run_one(suite.operation, case, runner, timeout_seconds).verdict != "pass"
                    for case in _nearest(suite.cases, reach, file)
                )
    if not tried:
        return SuitePower(operators=())
    return SuitePower(operators=(OperatorPower(operator="code", noticed=noticed, tried=tried),))


def _nearest(cases: tuple[GoldenCase, ...], reach: Reach, file: str) -> list[GoldenCase]:
    """Return the cases that run a file: no other can notice a change in it."""
    return [c for c in cases if any(name == file for name, _ in reach.by_case.get(c.id, ()))]


@contextmanager
def _swapped(file: str, code: CodeType) -> Iterator[bool]:
    """Put changed code into the functions that were made from a file, and take it out again."""
    changed = {(each.co_qualname, each.co_firstlineno): each for each in _codes(code)}
    before: list[tuple[FunctionType, CodeType]] = []
    for found in gc.get_objects():
        if isinstance(found, FunctionType) and found.__code__.co_filename == file:
            own = found.__code__
            new = changed.get((own.co_qualname, own.co_firstlineno))
            if new is not None and new != own and new.co_freevars == own.co_freevars:
                before.append((found, own))
                found.__code__ = new
    try:
        yield bool(before)
    finally:
        for function, own in before:
            function.__code__ = own


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)
