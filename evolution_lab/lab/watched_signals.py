"""What to say of signals look by look: each once when it is new, worse, over, confirmed or withdrawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from evolution_lab.lab.watched_state import SaidSignal
from evolution_lab.pipeline.alerts.alert import GRAVITY
from evolution_lab.records import IntentSignal, OperationRef, to_python

What = Literal["new", "worse", "recovered", "confirmed", "withdrawn"]


@dataclass(frozen=True, kw_only=True)
class SignalNews:
    """One thing to say of a signal.

    Attributes:
        what: ``new``, ``worse``, ``recovered``, ``confirmed`` or ``withdrawn``.
        signal: The signal as it is now; as it was last, where it is withdrawn.
        provisional: Late rows may still change its first window: it is confirmed or withdrawn later.
    """

    what: What
    signal: IntentSignal
    provisional: bool

    def document(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {
            "type": "signal",
            "what": self.what,
            "provisional": self.provisional,
            "signal": to_python(self.signal),
        }


@dataclass(eq=False)
class WatchedSignals:
    """Signals as they were last said, by the id they were said under first.

    Attributes:
        lateness: How long after its end a window may still change.
        said_before: What an earlier watch had said; None where this one is the first.
    """

    lateness: timedelta
    said_before: Mapping[str, SaidSignal] | None = None
    _said: dict[str, SaidSignal] = field(init=False)
    _first: bool = field(init=False)

    def __post_init__(self) -> None:
        self._said = dict(self.said_before or {})
        self._first = self.said_before is None

    @property
    def said(self) -> Mapping[str, SaidSignal]:
        """Signals as they were last said, by the id they were said under first."""
        return self._said

    def news(
        self,
        signals: Sequence[IntentSignal],
        *,
        now: datetime,
        judged_until: datetime | None = None,
        closed: datetime | None = None,
    ) -> list[SignalNews]:
        """Return what is to be said now; the first look says what is open, not what has been.

        A window spends its budget of false alarms at the first look at it: what late rows make look
        like a change in hindsight is not said. A change that is said goes by its first id.

        Args:
            signals: All that detection says at present.
            now: The present moment, UTC.
            judged_until: Up to where windows were judged at the last look; None at the first.
            closed: Up to where they are judged now: what was found later, by a clock that has been
                set back since, is not withdrawn for it.
        """
        first, self._first = self._first, False
        present = {signal.id for signal in signals}
        lost = {
            _change(said.signal): key
            for key, said in self._said.items()
            if key not in present and said.signal.state == "open"
        }
        found: list[SignalNews] = []
        kept: set[str] = set()
        for signal in signals:
            key = signal.id if signal.id in self._said else lost.pop(_change(signal), signal.id)
            said = self._said.get(key)
            if said is None and judged_until is not None and signal.detected_at <= judged_until:
                continue
            if said is not None and key != signal.id:
                signal = _under_first_id(signal, said.signal)  # noqa: PLW2901 - the same change
            kept.add(key)
            provisional = signal.detected_at + self.lateness > now
            self._said[key] = SaidSignal(signal=signal, provisional=provisional)
            found += _about(signal, said, provisional=provisional, first=first)
        for key in [key for key in self._said if key not in kept]:
            if closed is not None and self._said[key].signal.detected_at > closed:
                continue
            gone = self._said.pop(key)
            if gone.provisional:
                found.append(SignalNews(what="withdrawn", signal=gone.signal, provisional=False))
        return found


def _about(
    signal: IntentSignal, said: SaidSignal | None, *, provisional: bool, first: bool
) -> Iterator[SignalNews]:
    """Yield what is to be said of a signal that detection says at present."""
    if said is None:
        if not first or signal.state == "open":
            yield SignalNews(what="new", signal=signal, provisional=provisional)
        if first or signal.state == "open":
            return
    elif GRAVITY[signal.severity] > GRAVITY[said.signal.severity]:
        yield SignalNews(what="worse", signal=signal, provisional=provisional)
    if said is not None and said.provisional and not provisional:
        yield SignalNews(what="confirmed", signal=signal, provisional=False)
    if signal.state == "recovered" and (said is None or said.signal.state == "open"):
        yield SignalNews(what="recovered", signal=signal, provisional=provisional)


def _under_first_id(signal: IntentSignal, first: IntentSignal) -> IntentSignal:
    return replace(
        signal,
        id=first.id,
        window_start=first.window_start,
        detected_at=first.detected_at,
        incident_id=first.incident_id,
    )


def _change(signal: IntentSignal) -> tuple[str, OperationRef, str | None]:
    return (signal.kind, signal.operation, signal.error_class)
