"""Signals that belong together, folded into one incident with its likely origin first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evolution_lab.intents.connections import Connections
from evolution_lab.intents.decide import Episode
from evolution_lab.records import Incident, IntentSignal

_RANK = {"low": 0, "medium": 1, "high": 2}


def fold_incidents(
    episodes: Sequence[Episode],
    signals: Sequence[IntentSignal],
    *,
    connections: Connections,
) -> tuple[Incident, ...]:
    """Fold signals into incidents.

    The likely origin is the deepest operation among those that changed in the incident's first
    window: a slow dependency makes its callers slow, not the other way round.

    Args:
        episodes: In the order of ``signals``.
        signals: Their signals.
        connections: Depths of the operations.
    """
    groups: dict[int, list[int]] = {}
    for i, episode in enumerate(episodes):
        groups.setdefault(episode.incident, []).append(i)
    return tuple(_incident(members, episodes, signals, connections) for members in groups.values())


def incident_ids(episodes: Sequence[Episode], ids: Sequence[str]) -> Mapping[int, str]:
    """Return the id of each incident: that of its first signal."""
    first: dict[int, str] = {}
    for episode, signal_id in zip(episodes, ids, strict=True):
        first.setdefault(episode.incident, signal_id)
    return first


def _incident(
    members: Sequence[int],
    episodes: Sequence[Episode],
    signals: Sequence[IntentSignal],
    connections: Connections,
) -> Incident:
    opened = min(episodes[i].opened for i in members)
    ranked = sorted(
        members,
        key=lambda i: (
            episodes[i].opened != opened,
            -connections.depths[episodes[i].operation],
            episodes[i].strongest.p_value,
            signals[i].operation.sort_key,
        ),
    )
    operations = dict.fromkeys(signals[i].operation for i in ranked)
    return Incident(
        id=signals[members[0]].id,
        window_start=min(signals[i].window_start for i in members),
        window_end=max(signals[i].window_end for i in members),
        detected_at=min(signals[i].detected_at for i in members),
        state="open" if any(signals[i].state == "open" for i in members) else "recovered",
        severity=max((signals[i].severity for i in members), key=_RANK.__getitem__),
        origin=signals[ranked[0]].operation,
        operations=tuple(operations),
        signal_ids=tuple(signals[i].id for i in members),
        p_value=min(episodes[i].gate_p_value for i in members),
    )
