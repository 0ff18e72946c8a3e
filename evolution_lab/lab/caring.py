"""Looking after the lake: landings taken back, files joined, days and people removed, all checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Literal

from evolution_lab.approval import DuckDBSpecSuggestionRepository, SpecSuggestionOrchestrator
from evolution_lab.display import Progress
from evolution_lab.errors import InputError
from evolution_lab.experiments.outcome_files import forget_unit
from evolution_lab.lab.redacting_state import redact_duckdb, redact_postgres
from evolution_lab.lab.taking_back import files_naming, trim_findings, withdraw_findings
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.compaction import GRACE
from evolution_lab.telemetry.forgetting import ForgottenReport, forget
from evolution_lab.telemetry.retention import RemovalReport, cutoff_of, erase_rows
from evolution_lab.telemetry.retention import retain as retain_rows
from evolution_lab.telemetry.suppression import pseudonym_of, suppress

Subject = Literal["actor", "tenant"]


@dataclass(frozen=True, kw_only=True)
class TakenBack:
    """A landing that was taken back.

    Attributes:
        forgotten: The landings.
        withdrawn: Ids of signals that rested on their rows.
        expired: Ids of pending suggestions that rested on nothing but those signals.
    """

    forgotten: ForgottenReport
    withdrawn: tuple[str, ...]
    expired: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ErasedSubject:
    """An actor or tenant that was erased.

    Attributes:
        removal: What left the lake.
        redacted: Cells of the state databases that hold a tombstone now, by table.
        units: Experiments whose counts told the subject apart, and do no more.
        files: Exported files and suites that still name the subject.
    """

    removal: RemovalReport
    redacted: dict[str, int] = field(default_factory=dict)
    units: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Retained:
    """What was too old.

    Attributes:
        removal: What left the lake.
        findings: Rows of ``intent_snapshots`` that are gone.
    """

    removal: RemovalReport
    findings: int


def take_back(
    data: str | Path,
    batch: str,
    *,
    with_dependents: bool = False,
    grace: timedelta = GRACE,
    progress: Progress | None = None,
) -> TakenBack:
    """Take a landing back, and what was found on its rows.

    Args:
        data: The lab directory.
        batch: The id of one of its batches, or an unambiguous beginning.
        with_dependents: Also landings that left out rows which this one holds.
        grace: How long files stay for readers that listed them before.
        progress: Called with (done, total).

    Raises:
        UnknownNameError: No batch has this id, or several have.
        InputError: Another landing left rows out that this one holds; it is named.
        LockedError: Another process holds a lock for too long.
    """
    lake = Lake(Path(data))
    forgotten = forget(lake, batch, with_dependents=with_dependents, grace=grace, progress=progress)
    withdrawn: set[str] = set()
    for landing in forgotten.landings:
        if landing.first is not None and landing.last is not None:
            withdrawn.update(
                withdraw_findings(lake.data_dir, forgotten.operations, landing.first, landing.last)
            )
    return TakenBack(
        forgotten=forgotten,
        withdrawn=tuple(sorted(withdrawn)),
        expired=_expire(lake.data_dir, withdrawn, batch),
    )


def _expire(data: Path, withdrawn: set[str], batch: str) -> tuple[str, ...]:
    """Close the pending suggestions whose signals are all withdrawn."""
    if not withdrawn:
        return ()
    orchestrator = SpecSuggestionOrchestrator(DuckDBSpecSuggestionRepository(data))
    baseless = [
        suggestion.id
        for suggestion in orchestrator.list("pending")
        if suggestion.signal_ids and withdrawn.issuperset(suggestion.signal_ids)
    ]
    for suggestion_id in baseless:
        orchestrator.expire(
            suggestion_id, why=f"The landing {batch} that it rests on was taken back."
        )
    return tuple(baseless)


def erase(
    data: str | Path,
    *,
    actor: str | None = None,
    tenant: str | None = None,
    exported: Iterable[Path] = (),
    state_url: str | None = None,
    grace: timedelta = timedelta(0),
    progress: Progress | None = None,
) -> ErasedSubject:
    """Erase one actor or tenant from a lab, for good: later landings leave their rows out.

    Rows are removed, the state databases get a tombstone where they name the subject and are written
    anew, experiments keep their counts but not whose they were; files that were exported are listed,
    not changed.

    Args:
        data: The lab directory.
        actor: Who, as telemetry names them, or their pseudonym.
        tenant: Which tenant, as telemetry names it, or its pseudonym.
        exported: Files and folders that were written from this lab: reports, suites.
        state_url: The team's PostgreSQL, where that keeps the lab's state.
        grace: How long files stay for readers that listed them before; at once without it.
        progress: Called with (steps done, steps in all) of removing rows.

    Raises:
        InputError: Not exactly one of actor and tenant is given, or it is empty.
        LockedError: Another process holds a lock for too long.
    """
    kind: Subject = "actor" if actor is not None else "tenant"
    value = actor if actor is not None else tenant
    if (actor is None) == (tenant is None) or not value:
        raise InputError("exactly one of actor and tenant must be named.")
    lake = Lake(Path(data))
    forms = [value]
    if lake.root.is_dir():
        forms.append(pseudonym_of(lake.data_dir, kind, value))
        suppress(lake.root, kind, value)
    removal = erase_rows(lake, forms, kind, grace=grace, progress=progress)
    redacted = Counter(redact_duckdb(lake.data_dir, forms))
    if state_url is not None:
        redacted.update(redact_postgres(state_url, forms))
    return ErasedSubject(
        removal=removal,
        redacted=dict(redacted),
        units=forget_unit(lake.data_dir, forms),
        files=files_naming(exported, forms),
    )


def retain(
    data: str | Path,
    *,
    days: int,
    as_of: datetime | None = None,
    grace: timedelta = GRACE,
    progress: Progress | None = None,
) -> Retained:
    """Remove the days that ended more than some days ago, and what was found in them.

    Args:
        data: The lab directory.
        days: How many whole days to keep, today not counted; UTC.
        as_of: Today, aware; now unless given.
        grace: How long the files stay for readers that listed them before.
        progress: Called with (steps done, steps in all) of removing rows.

    Raises:
        InputError: ``days`` is below 1.
        LockedError: Another process holds a lock for too long.
    """
    lake = Lake(Path(data))
    removal = retain_rows(lake, days=days, as_of=as_of, grace=grace, progress=progress)
    cutoff = datetime.combine(cutoff_of(days, as_of), time(), tzinfo=UTC)
    return Retained(removal=removal, findings=trim_findings(lake.data_dir, cutoff))
