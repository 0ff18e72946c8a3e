"""Which signals were told of, so that each is told once, and once more when it has recovered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from evolution_lab.records import IntentSignal, OperationRef


@dataclass(eq=False)
class SaidSignals:
    """Signals as they were last told of, by id.

    Detection judges from all windows held, and with the days it knows more operations and other
    beginnings: what it says of windows judged long ago may change a little. What was said stays said
    under its id, and nothing is said of the past in hindsight.
    """

    _said: dict[str, IntentSignal] = field(default_factory=dict, init=False)

    def news(
        self, signals: Sequence[IntentSignal], *, judged_until: datetime | None
    ) -> list[IntentSignal]:
        """Return the signals to tell of: first seen now, or recovered since they were told.

        Args:
            signals: All that detection says at present.
            judged_until: Up to where windows had been judged before; None the first time.
        """
        present = {signal.id for signal in signals}
        lost = {
            _change(said): said
            for said in self._said.values()
            if said.state == "open" and said.id not in present
        }
        news = []
        for signal in signals:
            said = self._said.get(signal.id) or lost.get(_change(signal))
            if said is None:
                if judged_until is not None and signal.detected_at <= judged_until:
                    continue
            elif said.id != signal.id:
                signal = replace(  # noqa: PLW2901 - the same change, told of under its first id
                    signal,
                    id=said.id,
                    window_start=said.window_start,
                    detected_at=said.detected_at,
                    incident_id=said.incident_id,
                )
            if said is None or (said.state == "open" and signal.state == "recovered"):
                news.append(signal)
            self._said[signal.id] = signal
        return news

    def forget(self, before: datetime) -> None:
        """Let go of signals that ended before a moment no window reaches back to."""
        self._said = {i: said for i, said in self._said.items() if said.window_end >= before}


def _change(signal: IntentSignal) -> tuple[str, OperationRef, str | None]:
    return (signal.kind, signal.operation, signal.error_class)
