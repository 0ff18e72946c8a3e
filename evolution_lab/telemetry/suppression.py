"""Who was erased stays out: later landings leave the rows of these actors and tenants away.

``lake/suppressed.json`` holds keyed pseudonyms, never a name: who has the list and not the lab's key
learns nothing, and with another key it finds nobody. Writers read it under the lock of a day, after
they waited for it; an erasure publishes it first and then waits for each writer that is at work, so
that no landing passes between the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import orjson
import polars as pl

from evolution_lab.errors import CorruptFileError
from evolution_lab.redaction import LabKey
from evolution_lab.telemetry.batches import read_versioned_json
from evolution_lab.telemetry.locks import file_lock
from evolution_lab.telemetry.publishing import FORMAT_VERSION, publish_bytes

SubjectKind = Literal["actor", "tenant"]
SUPPRESSED_FILE: Final = "suppressed.json"
_PSEUDONYM: Final = re.compile(r"(actor|tenant)_[0-9a-f]{24}")


@dataclass(frozen=True)
class SuppressedSubjects:
    """Pseudonyms of erased actors and tenants.

    Attributes:
        data_dir: The lab directory, whose key the pseudonyms are made with.
        pseudonyms: Sorted.
    """

    data_dir: Path
    pseudonyms: tuple[str, ...] = ()

    def keep(self, rows: pl.DataFrame, *, actor: str, tenant: str = "tenant_id") -> pl.DataFrame:
        """Return the rows of everybody else.

        Args:
            rows: Redacted; actors are pseudonyms, tenants may be as telemetry names them.
            actor: The column of actors.
            tenant: The column of tenants.
        """
        if not self.pseudonyms:
            return rows
        theirs = pl.col(actor).is_in(self.pseudonyms) | pl.col(tenant).is_in(
            self._tenants(rows[tenant])
        )
        return rows.filter(~theirs.fill_null(value=False))

    def _tenants(self, tenants: pl.Series) -> list[str]:
        key = LabKey.open(self.data_dir)
        return [
            name
            for name in tenants.drop_nulls().unique()
            if name in self.pseudonyms or key.pseudonym("tenant", name) in self.pseudonyms
        ]


def suppressed(root: Path) -> SuppressedSubjects:
    """Return who is left out of a lake.

    Args:
        root: The folder ``lake`` of a lab directory.

    Raises:
        CorruptFileError: The list cannot be read.
        FormatVersionError: A newer version of this package wrote it.
    """
    path = root / SUPPRESSED_FILE
    if not path.is_file():
        return SuppressedSubjects(root.parent)
    said = read_versioned_json(path).get("pseudonyms")
    if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
        raise CorruptFileError(
            f"{path} must hold a list of pseudonyms; restore it, or erase the subjects again: "
            "without it, landings bring them back."
        )
    return SuppressedSubjects(root.parent, tuple(said))


def pseudonym_of(data_dir: Path, kind: SubjectKind, value: str) -> str:
    """Return the pseudonym of a subject; a pseudonym is its own.

    Examples:
        >>> pseudonym_of(Path("no/such/lab"), "actor", "actor_" + 24 * "0")
        'actor_000000000000000000000000'
    """
    found = _PSEUDONYM.fullmatch(value)
    if found is not None and found[1] == kind:
        return value
    return LabKey.open(data_dir).pseudonym(kind, value)


def suppress(root: Path, kind: SubjectKind, value: str, *, wait_seconds: float = 30.0) -> None:
    """Leave a subject out of a lake from now on, and wait for whoever is writing without knowing.

    Args:
        root: The folder ``lake`` of a lab directory.
        kind: ``actor`` or ``tenant``.
        value: As telemetry names the subject, or its pseudonym.
        wait_seconds: How long to wait for each other process.

    Raises:
        LockedError: Another process holds a lock for longer than the wait.
    """
    name = pseudonym_of(root.parent, kind, value)
    locks = root / "locks"
    with file_lock(locks / "suppressed.lock", wait_seconds=wait_seconds):
        known = suppressed(root).pseudonyms
        document = {"format_version": FORMAT_VERSION, "pseudonyms": sorted({*known, name})}
        publish_bytes(root / SUPPRESSED_FILE, orjson.dumps(document, option=orjson.OPT_INDENT_2))
    for lock in sorted(locks.glob("*-[0-9][0-9].lock")):
        with file_lock(lock, wait_seconds=wait_seconds):
            pass
