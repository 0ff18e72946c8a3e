"""What nobody wants to be told of: mutes and maintenance windows of a lab."""

from __future__ import annotations

from datetime import UTC, datetime

from evolution_lab.intents.silence_store import SilenceStore
from evolution_lab.intents.silences import Silence, Silences
from evolution_lab.lab.finding import LabFindings


class LabSilences(LabFindings):
    """Mutes and maintenance windows; see ``Lab``."""

    def silences(self) -> Silences:
        """Return all mutes and maintenance windows, also those that have ended."""
        return self._silences().all()

    def mute(self, operations: str, *, until: datetime, why: str, by: str = "somebody") -> Silence:
        """Silence an operation for a while: it alerts nobody and fails no nightly run.

        What is found of it stays in signals and reports, which say who muted it and why.

        Args:
            operations: The key of an operation, or a glob such as ``billing.*``.
            until: When it may speak again; aware.
            why: The reason.
            by: Who says so.

        Raises:
            InputError: There is no reason, or ``until`` is not in the future.
            TimeZoneRequiredError: ``until`` carries no zone.
        """
        now = datetime.now(UTC)
        return self._silences().add(
            operations, kind="mute", begins_at=now, ends_at=until, why=why, by=by, now=now
        )

    def unmute(self, name: str, *, by: str = "somebody") -> tuple[Silence, ...]:
        """End a mute, by its id or its operations; returns those that were ended.

        Raises:
            UnknownNameError: Nothing is muted under this name.
        """
        return self._silences().lift(name, kind="mute", by=by)

    def add_maintenance(
        self,
        *,
        begins_at: datetime,
        ends_at: datetime,
        why: str,
        operations: str = "*",
        by: str = "somebody",
    ) -> Silence:
        """Tell of maintenance: meanwhile the operations alert nobody and fail no nightly run.

        Args:
            begins_at: From when on; aware.
            ends_at: Until when; aware.
            why: The reason.
            operations: The key of an operation, or a glob; all without it.
            by: Who says so.

        Raises:
            InputError: There is no reason, or the times are not in order.
            TimeZoneRequiredError: A time carries no zone.
        """
        return self._silences().add(
            operations, kind="maintenance", begins_at=begins_at, ends_at=ends_at, why=why, by=by
        )

    def remove_maintenance(self, name: str, *, by: str = "somebody") -> tuple[Silence, ...]:
        """End or call off maintenance, by its id or its operations.

        Raises:
            UnknownNameError: There is none under this name.
        """
        return self._silences().lift(name, kind="maintenance", by=by)

    def _silences(self) -> SilenceStore:
        return SilenceStore(self.data, self.config.state_url)
