"""Silences: operations of which nobody wants to be told for a while, and why.

A mute is set on an operation because what it says is known; a maintenance window is told of ahead.
Neither hides anything: signals and reports stay, only alerts and failing runs leave them out.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal

from evolution_lab.display import ResultMixin
from evolution_lab.errors import InputError, TimeZoneRequiredError
from evolution_lab.records import IntentSignal
from evolution_lab.records.json_form import CAMEL_CASE

SilenceKind = Literal["mute", "maintenance"]

HEADINGS: Final = ("what", "operations", "from", "until", "why", "by")
"""Of the table that a report shows."""


@dataclass(frozen=True, kw_only=True)
class Silence:
    """One mute or maintenance window; it is lifted, never deleted.

    Attributes:
        id: Names it.
        kind: ``mute`` or ``maintenance``.
        operations: The key of an operation, or a glob of keys; ``*`` for all.
        begins_at: From when on, UTC.
        ends_at: Until when, UTC; that moment is no longer in it.
        why: The reason, for those who see it in a report.
        by: Who set it.
        set_at: When it was set, UTC.
        lifted_at: When somebody ended it early, UTC.
        lifted_by: Who did.

    Examples:
        >>> nine = datetime(2026, 5, 4, 9, tzinfo=UTC)
        >>> mute = Silence(id="1", kind="mute", operations="billing.*", begins_at=nine,
        ...     ends_at=nine.replace(hour=11), why="known", by="ada", set_at=nine)
        >>> mute.covers("billing.pay", nine), mute.covers("billing.pay", nine.replace(hour=11))
        (True, False)
    """

    __pydantic_config__ = CAMEL_CASE

    id: str
    kind: SilenceKind
    operations: str
    begins_at: datetime
    ends_at: datetime
    why: str
    by: str
    set_at: datetime
    lifted_at: datetime | None = None
    lifted_by: str | None = None

    @property
    def until(self) -> datetime:
        """When it ends, or was ended."""
        return self.ends_at if self.lifted_at is None else min(self.ends_at, self.lifted_at)

    def covers(self, operation_key: str, moment: datetime) -> bool:
        """Say whether an operation is silent at a moment."""
        return self.begins_at <= moment < self.until and (
            operation_key == self.operations or fnmatch.fnmatchcase(operation_key, self.operations)
        )


@dataclass(frozen=True)
class Silences(ResultMixin):
    """Mutes and maintenance windows, those that end last first."""

    silences: tuple[Silence, ...] = ()
    _title: ClassVar[str] = "Mutes and maintenance windows"

    def at(self, moment: datetime) -> Silences:
        """Return those in force at a moment, and those still to come."""
        return Silences(tuple(s for s in self.silences if s.until > moment))

    def silence(self, operation_keys: Iterable[str], moment: datetime) -> Silence | None:
        """Return what silences all of some operations at a moment; None where one may speak."""
        found = None
        for key in operation_keys:
            found = next((s for s in self.silences if s.covers(key, moment)), None)
            if found is None:
                return None
        return found

    def loud(self, signals: Sequence[IntentSignal], now: datetime) -> tuple[IntentSignal, ...]:
        """Leave out the signals of which nobody wants to be told.

        Those are the ones whose operation is silent now, and those that began and recovered in a
        maintenance window or under a mute.
        """
        return tuple(s for s in signals if not self.hush([s], now))

    def hush(self, signals: Collection[IntentSignal], now: datetime) -> bool:
        """Say whether all of some signals are silenced; False where there are none."""
        return bool(signals) and all(
            self.silence([s.operation.key], now) is not None
            or (
                s.state == "recovered"
                and self.silence([s.operation.key], s.detected_at) is not None
            )
            for s in signals
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells of each, under ``HEADINGS``, as people read them."""
        return [
            (
                s.kind if s.lifted_at is None else f"{s.kind}, lifted by {s.lifted_by}",
                s.operations,
                f"{s.begins_at:%Y-%m-%d %H:%M} UTC",
                f"{s.until:%Y-%m-%d %H:%M} UTC",
                s.why,
                s.by,
            )
            for s in self.silences
        ]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row each: what, id, operations, from, until, why and by."""
        return [
            {
                "what": s.kind,
                "id": s.id,
                "operation": s.operations,
                "from": s.begins_at,
                "until": s.until,
                "reason": s.why,
                "by": s.by,
            }
            for s in self.silences
        ]


def new_silence(
    silence_id: str,
    operations: str,
    *,
    kind: SilenceKind,
    begins_at: datetime,
    ends_at: datetime,
    why: str,
    by: str,
    now: datetime,
) -> Silence:
    """Return a silence that keeps the rules.

    Raises:
        InputError: No operation or reason is named, or it ends before it begins or in the past.
        TimeZoneRequiredError: A time carries no zone.
    """
    for name, moment in (("from", begins_at), ("until", ends_at)):
        if moment.tzinfo is None:
            raise TimeZoneRequiredError(f"{name} == {moment}, must carry a time zone.")
    if not operations.strip():
        raise InputError("operations == '', must name an operation or a glob such as 'billing.*'.")
    if not why.strip():
        raise InputError("why == '', must say why: others will see it in the report.")
    if ends_at <= begins_at:
        raise InputError(f"until == {ends_at}, must be later than {begins_at}.")
    if ends_at <= now:
        raise InputError(
            f"until == {ends_at}, must be in the future: it is {now:%Y-%m-%d %H:%M} UTC."
        )
    return Silence(
        id=silence_id,
        kind=kind,
        operations=operations,
        begins_at=begins_at.astimezone(UTC),
        ends_at=ends_at.astimezone(UTC),
        why=why,
        by=by,
        set_at=now.astimezone(UTC),
    )
