"""Suites that were written before, made anew from the traffic recorded since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from evolution_lab.display import ResultMixin
from evolution_lab.errors import EvolutionLabError
from evolution_lab.golden.emitting import emit
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.runners import LoadedRunner, load_runner
from evolution_lab.golden.side_files import SideFile, read_side_file
from evolution_lab.golden.verifying import proven_suites
from evolution_lab.records import TrafficSnapshot
from evolution_lab.records.json_form import CAMEL_CASE

RefreshOutcome = Literal["unchanged", "rewritten", "left"]


@dataclass(frozen=True, kw_only=True)
class RefreshedSuite(ResultMixin):
    """What became of one written suite.

    Attributes:
        output: The suite's file.
        operation: Whose suite; empty where its side file cannot be read.
        outcome: ``unchanged``; ``rewritten``; ``left`` as it is, for the reason in ``note``.
        cases_before: Cases that it had.
        cases: Cases that it has.
        note: Why it was left.
    """

    __pydantic_config__ = CAMEL_CASE
    _title: ClassVar[str] = "Golden suites"

    output: str
    operation: str
    outcome: RefreshOutcome
    cases_before: int = 0
    cases: int = 0
    note: str = ""

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row."""
        return [
            {
                "operation": self.operation,
                "outcome": self.outcome,
                "cases": self.cases,
                "before": self.cases_before,
                "output": self.output,
                "note": self.note,
            }
        ]


def refresh_suites(
    outputs: Iterable[Path],
    snapshots: Sequence[TrafficSnapshot],
    *,
    runner: LoadedRunner | None = None,
    power_sites: int = 3,
) -> tuple[RefreshedSuite, ...]:
    """Make written suites anew, each with the settings that it was written with.

    Cases whose traffic says what it said stay as they are, with what people accepted. Where a suite's
    cases were tried before they were written, its new ones are: by its own Python runner, or by
    ``runner`` where it calls a service; without that it is left alone. So is one with no recorded
    call, and one that would show personal data.

    Args:
        outputs: The suites' files; their side files stand beside them.
        snapshots: All recorded calls.
        runner: Calls the unchanged service, for suites that go over HTTP.
        power_sites: Places of each answer at which wrong answers are tried.
    """
    return tuple(
        _refreshed(output, snapshots, runner, power_sites) for output in sorted(set(outputs))
    )


def _refreshed(
    output: Path,
    snapshots: Sequence[TrafficSnapshot],
    runner: LoadedRunner | None,
    power_sites: int,
) -> RefreshedSuite:
    operation, before = "", 0

    def left(note: str) -> RefreshedSuite:
        return RefreshedSuite(
            output=str(output),
            operation=operation,
            outcome="left",
            cases_before=before,
            cases=before,
            note=note,
        )

    try:
        side = read_side_file(output)
        operation, before = side.suite.operation, len(side.suite.cases)
        if not any(snapshot.operation.key == operation for snapshot in snapshots):
            return left("no recorded call of its operation")
        around = _runner_of(side, output, runner) if side.verified else None
        if side.verified and around is None:
            return left("its cases were tried on a service: name one to try new ones on")
        return _written_anew(output, side, snapshots, around, power_sites) or left(
            "it would show personal data or secrets"
        )
    except (EvolutionLabError, OSError) as error:
        return left(str(error))


def _runner_of(side: SideFile, output: Path, runner: LoadedRunner | None) -> LoadedRunner | None:
    settings = side.settings
    if settings.runner_import == "http":
        return runner
    if settings.framework != "pytest":
        return None
    name = settings.runner_fn or "run_contract"
    return load_runner(settings.runner_import, name, folder=output.parent)


def _written_anew(
    output: Path,
    side: SideFile,
    snapshots: Sequence[TrafficSnapshot],
    runner: LoadedRunner | None,
    power_sites: int,
) -> RefreshedSuite | None:
    """Return None where the suite would show what it must not."""
    operation = side.suite.operation
    proven = proven_suites(
        GoldenTestGenerator(budget=side.suite.settings.budget, power_sites=power_sites),
        snapshots,
        operation=operation,
        runner=runner,
        earlier={operation: side},
        timeout_seconds=side.settings.timeout_seconds,
    )[operation]
    emitted = emit(
        proven.suite,
        output,
        side.settings,
        verified=proven.verified,
        basis=proven.basis,
        accepted=proven.accepted,
    )
    if emitted.leaks():
        return None
    same = emitted.side.digest == side.digest and output.is_file()
    if not same:
        emitted.write(output)
    return RefreshedSuite(
        output=str(output),
        operation=operation,
        outcome="unchanged" if same else "rewritten",
        cases_before=len(side.suite.cases),
        cases=len(proven.suite.cases),
    )
