"""When an operational suggestion has nothing behind it any more: its effect was not seen again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from evolution_lab.records import IntentSignal, OperationRef, SpecSuggestion
from evolution_lab.suggestions.causes import windows_of
from evolution_lab.suggestions.identity import subject_of

OPERATIONAL: Final = frozenset({"error-spike", "latency-regression", "throughput-drop"})
"""What a release or a repair ends. A gap in a spec stays until somebody closes it."""
QUIET_FOR: Final = timedelta(days=7)
"""What comes with a day of the week has come again by then."""
QUIET_WINDOWS: Final = 20
"""Windows that would each have shown the effect at least as well as not: 1 in a million by chance."""


def gone_quiet(
    suggestions: Iterable[SpecSuggestion],
    signals: Sequence[IntentSignal],
    windows: pl.DataFrame,
) -> dict[str, str]:
    """Return the operational suggestions whose effect is gone, by id, with the reason in words.

    A window has the power to show an effect when it has at least as many calls as those in which
    the effect was found had in the median. A suggestion has gone quiet when all signals behind it
    have recovered, nothing else was signalled of its operation since, and since the last of them at
    least ``QUIET_WINDOWS`` such windows within at least ``QUIET_FOR`` were seen.

    Args:
        suggestions: Pending ones; those that are not operational are passed over.
        signals: Of the latest detection.
        windows: Frame of ``schemas.WINDOWS``, of the same detection.
    """
    found: dict[str, str] = {}
    by_id = {signal.id: signal for signal in signals}
    for suggestion in suggestions:
        subject = subject_of(suggestion)
        if suggestion.intent not in OPERATIONAL or subject is None:
            continue
        behind = [by_id[each] for each in suggestion.signal_ids if each in by_id]
        if not behind or any(signal.state == "open" for signal in behind):
            continue
        reason = _quiet_since(subject, behind, signals, windows)
        if reason is not None:
            found[suggestion.id] = reason
    return found


def _quiet_since(
    subject: OperationRef,
    behind: Sequence[IntentSignal],
    signals: Sequence[IntentSignal],
    windows: pl.DataFrame,
) -> str | None:
    own = windows_of(windows, OperationRef(subject.key, service=subject.service))
    own = own.group_by("window_start", "window_end").agg(pl.col("calls").sum())
    end = max(signal.window_end for signal in behind)
    if any(_about(signal, subject) and signal.window_end > end for signal in signals):
        return None
    within = [
        (pl.col("window_start") >= signal.window_start)
        & (pl.col("window_end") <= signal.window_end)
        for signal in behind
    ]
    calls = own.filter(pl.any_horizontal(within))["calls"].median()
    if not isinstance(calls, int | float):
        return None
    later = own.filter((pl.col("window_start") >= end) & (pl.col("calls") >= calls))
    last = later["window_end"].max()
    if not isinstance(last, datetime) or later.height < QUIET_WINDOWS or last - end < QUIET_FOR:
        return None
    return (
        f"The effect was last seen on {end:%Y-%m-%d %H:%M} UTC; none of {later.height} windows "
        f"since then, with at least {calls:.0f} calls each, shows it."
    )


def _about(signal: IntentSignal, subject: OperationRef) -> bool:
    operation = signal.operation
    return (operation.key, operation.service) == (subject.key, subject.service)
