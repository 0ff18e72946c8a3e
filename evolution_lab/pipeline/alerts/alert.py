"""One message of an incident or a rollout, and what was told of an incident before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from evolution_lab.display import format_quantity, strip_controls
from evolution_lab.records import IntentSignal, Severity
from evolution_lab.records.json_form import CAMEL_CASE

AlertType = Literal[
    "incident.opened",
    "incident.worsened",
    "incident.recovered",
    "rollout.rolled-back",
    "rollout.held",
]
GRAVITY: Final = {"low": 0, "medium": 1, "high": 2}
ALERT_FORMAT_VERSION: Final = 1
_LONGEST: Final = 300


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One message. Its texts come from strangers: receivers escape them for where they go.

    Attributes:
        key: Names the message for ever; a receiver that has seen it lets it go.
        type: What happened.
        subject: The incident, or the rollout; messages of one subject belong together.
        at: When it happened, UTC.
        severity: How grave it is now.
        before: How grave it was, where it worsened or recovered.
        title: One line for people.
        operations: The operations concerned, the likely origin first.
        service: The service of the origin.
        details: One sentence each.
        format_version: Of this form.
    """

    __pydantic_config__ = CAMEL_CASE

    key: str
    type: AlertType
    subject: str
    at: datetime
    severity: Severity
    before: Severity | None = None
    title: str
    operations: tuple[str, ...] = ()
    service: str | None = None
    details: tuple[str, ...] = ()
    format_version: int = ALERT_FORMAT_VERSION

    @property
    def over(self) -> bool:
        """Whether it says that all is well again."""
        return self.type == "incident.recovered"


@dataclass(frozen=True, kw_only=True)
class ToldIncident:
    """What was told of an incident.

    Attributes:
        id: The id that it was told under first.
        signal_ids: The signals it had; late rows may give it another id, but not all of them.
        origin: Its likely origin.
        severity: The gravest that was told.
        state: What was told last.
        opened_at: When it was told first, by the clock of whoever told it, UTC.
    """

    __pydantic_config__ = CAMEL_CASE

    id: str
    signal_ids: tuple[str, ...]
    origin: str
    severity: Severity
    state: Literal["open", "recovered"]
    opened_at: datetime


def one_line(text: str) -> str:
    """Return a text of strangers on one line, without control characters, and not too long."""
    line = " ".join(strip_controls(text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def sentence_of(signal: IntentSignal) -> str:
    """Return what a signal says, in one line."""
    observed = format_quantity(signal.observed, signal.unit)
    before = format_quantity(signal.baseline, signal.unit)
    state = "" if signal.state == "open" else ", recovered"
    return one_line(
        f"{signal.kind} of {signal.operation}: {observed}, before {before} "
        f"({signal.severity}, since {signal.window_start:%Y-%m-%d %H:%M} UTC{state})"
    )
