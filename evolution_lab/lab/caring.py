"""Looking after the lake: landings taken back, files joined, days and people removed, all checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from evolution_lab.approval import DuckDBSpecSuggestionRepository, SpecSuggestionOrchestrator
from evolution_lab.display import Progress
from evolution_lab.errors import InputError
from evolution_lab.lab.taking_back import files_naming, redact_state, withdraw_findings
from evolution_lab.redaction import LabKey
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.compaction import GRACE
from evolution_lab.telemetry.forgetting import ForgottenReport, forget
from evolution_lab.telemetry.retention import RemovalReport, erase_rows

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
        redacted: Cells of the state database that hold a tombstone now, by table.
        files: Exported files and suites that still name the subject.
    """

    removal: RemovalReport
    redacted: dict[str, int] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def take_back(
    data: str | Path, batch: str, *, with_dependents: bool = False, grace: timedelta = GRACE
) -> TakenBack:
    """Take a landing back, and what was found on its rows.

    Args:
        data: The lab directory.
        batch: The id of one of its batches, or an unambiguous beginning.
        with_dependents: Also landings that left out rows which this one holds.
        grace: How long files stay for readers that listed them before.

    Raises:
        UnknownNameError: No batch has this id, or several have.
        InputError: Another landing left rows out that this one holds; it is named.
        LockedError: Another process holds a lock for too long.
    """
    lake = Lake(Path(data))
    forgotten = forget(lake, batch, with_dependents=with_dependents, grace=grace)
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
    grace: timedelta = timedelta(0),
    progress: Progress | None = None,
) -> ErasedSubject:
    """Erase one actor or tenant from a lab.

    Rows are removed, the state database gets a tombstone where it names the subject; files that were
    exported are listed, not changed.

    Args:
        data: The lab directory.
        actor: Who, as telemetry names them, or their pseudonym.
        tenant: Which tenant, as telemetry names it, or its pseudonym.
        exported: Files and folders that were written from this lab: reports, suites.
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
        forms.append(LabKey.open(lake.data_dir).pseudonym(kind, value))
    removal = erase_rows(lake, forms, kind, grace=grace, progress=progress)
    return ErasedSubject(
        removal=removal,
        redacted=redact_state(lake.data_dir, forms),
        files=files_naming(exported, forms),
    )
