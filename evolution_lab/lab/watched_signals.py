"""What to say of signals look by look: each once when it is new, worse, over, confirmed or withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

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


@dataclass
class _Said:
    signal: IntentSignal
    provisional: bool


@dataclass(eq=False)
class WatchedSignals:
    """Signals as they were last said, by the id they were said under first.

    Attributes:
        lateness: How long after its end a window may still change.
    """

    lateness: timedelta
    _said: dict[str, _Said] = field(default_factory=dict, init=False)
    _first: bool = field(default=True, init=False)

    def news(self, signals: Sequence[IntentSignal], *, now: datetime) -> list[SignalNews]:
        """Return what is to be said now; the first look says what is open, not what has been.

        Args:
            signals: All that detection says at present.
            now: The present moment, UTC.
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
            kept.add(key)
            provisional = signal.detected_at + self.lateness > now
            said = self._said.get(key)
            self._said[key] = _Said(signal, provisional)
            if said is None:
                if not first or signal.state == "open":
                    found.append(SignalNews(what="new", signal=signal, provisional=provisional))
                if first or signal.state == "open":
                    continue
            elif GRAVITY[signal.severity] > GRAVITY[said.signal.severity]:
                found.append(SignalNews(what="worse", signal=signal, provisional=provisional))
            if said is not None and said.provisional and not provisional:
                found.append(SignalNews(what="confirmed", signal=signal, provisional=False))
            if signal.state == "recovered" and (said is None or said.signal.state == "open"):
                found.append(SignalNews(what="recovered", signal=signal, provisional=provisional))
        for key in [key for key in self._said if key not in kept]:
            gone = self._said.pop(key)
            if gone.provisional:
                found.append(SignalNews(what="withdrawn", signal=gone.signal, provisional=False))
        return found


def _change(signal: IntentSignal) -> tuple[str, OperationRef, str | None]:
    return (signal.kind, signal.operation, signal.error_class)
