"""Sanitisers that a writer process imports by name."""

from __future__ import annotations

from dataclasses import replace

from evolution_lab.records import TrafficSnapshot


def without_notes(snapshot: TrafficSnapshot) -> TrafficSnapshot | None:
    if snapshot.input.get("private"):
        return None
    return replace(snapshot, input={k: v for k, v in snapshot.input.items() if k != "note"})


def failing(snapshot: TrafficSnapshot) -> TrafficSnapshot:
    raise RuntimeError(f"cannot clean {snapshot.id}")
