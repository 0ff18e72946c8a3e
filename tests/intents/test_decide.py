"""Spending the budget: gates, groups, episodes that are said once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import FrameContractError
from evolution_lab.intents.connections import Connections
from evolution_lab.intents.decide import decide, gate_level
from evolution_lab.intents.view import DetectionView
from evolution_lab.records import OperationRef
from evolution_lab.schemas import EVIDENCE, polars_schema

START = datetime(2025, 3, 4, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CONFIG = EvolutionConfig(window=MINUTE)


def view(operations: int, windows: int) -> DetectionView:
    shape = (windows, operations)
    return DetectionView(
        operations=tuple(OperationRef(f"op{i}") for i in range(operations)),
        starts=tuple(START + MINUTE * t for t in range(windows)),
        window=MINUTE,
        complete=np.ones(windows, dtype=bool),
        live=np.ones(shape, dtype=bool),
        calls=np.full(shape, 50.0),
        outcomes=np.full(shape, 50.0),
        errors=np.zeros(shape),
        client_errors=np.zeros(shape),
        bins=(),
        values={},
    )


def evidence(seen: DetectionView, p_values: np.ndarray, horizon: int = 1) -> pl.DataFrame:
    """Evidence on the error rate: one row an operation and window."""
    rows = [
        {
            "op_id": operation.op_id,
            "metric": "error-rate",
            "detector": "error-spike",
            "window_start": start,
            "window_end": start + MINUTE,
            "n_obs": 50,
            "p_value": float(p_values[t, i]),
            "observed": 0.5,
            "baseline": 0.01,
            "effect": 0.49,
            "horizon": horizon,
        }
        for t, start in enumerate(seen.starts)
        for i, operation in enumerate(seen.operations)
    ]
    return pl.DataFrame(rows, schema_overrides=polars_schema(EVIDENCE)).select(
        *(
            pl.col(name) if name in rows[0] else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in polars_schema(EVIDENCE).items()
        )
    )


def alone(count: int) -> Connections:
    return Connections({}, [f"service {i}" for i in range(count)], [0.0] * count)


def chain(count: int) -> Connections:
    near = {i: frozenset({i - 1, i + 1} & set(range(count))) for i in range(count)}
    return Connections(near, [None] * count, [float(i) for i in range(count)])


def test_the_gate_keeps_both_budgets():
    week = timedelta(weeks=1) / MINUTE
    per_week = [gate_level(CONFIG, operations=m, windows_per_week=week) * week for m in (1, 5_000)]
    assert per_week[0] <= CONFIG.false_alarms_per_operation_week
    assert per_week[1] == pytest.approx(CONFIG.false_incidents_per_week)


def test_one_operation_has_to_stand_up_against_the_whole_lab():
    seen = view(200, 1)
    p = np.full((1, 200), 0.5)
    p[0, 3] = 1e-5
    assert decide(evidence(seen, p), seen, connections=alone(200), config=CONFIG) == []
    p[0, 3] = 1e-8
    (episode,) = decide(evidence(seen, p), seen, connections=alone(200), config=CONFIG)
    assert episode.operation == 3


def test_neighbours_carry_each_other_and_strangers_do_not():
    seen = view(200, 1)
    p = np.full((1, 200), 0.5)
    p[0, :20] = 5e-6
    together = decide(evidence(seen, p), seen, connections=chain(200), config=CONFIG)
    assert [episode.operation for episode in together] == list(range(20))
    assert {episode.incident for episode in together} == {0}
    assert decide(evidence(seen, p), seen, connections=alone(200), config=CONFIG) == []


def test_an_episode_is_said_once_and_recovers():
    seen = view(1, 30)
    seen.errors[10:15, 0] = 25.0
    p = np.full((30, 1), 0.5)
    p[10:15, 0] = 1e-12
    (episode,) = decide(evidence(seen, p), seen, connections=alone(1), config=CONFIG)
    assert (episode.opened, episode.last, episode.closed) == (10, 14, True)


def test_a_level_that_lasts_keeps_the_episode_open_when_the_baseline_has_learnt_it():
    seen = view(1, 60)
    seen.errors[10:, 0] = 25.0
    p = np.full((60, 1), 0.5)
    p[10:20, 0] = 1e-12
    (episode,) = decide(evidence(seen, p), seen, connections=alone(1), config=CONFIG)
    assert (episode.opened, episode.last, episode.closed) == (10, 59, False)


def test_a_second_episode_is_a_second_entry_of_another_incident():
    seen = view(1, 60)
    p = np.full((60, 1), 0.5)
    for t in (10, 40):
        p[t, 0] = 1e-12
        seen.errors[t, 0] = 25.0
    first, second = decide(evidence(seen, p), seen, connections=alone(1), config=CONFIG)
    assert (first.opened, second.opened) == (10, 40)
    assert first.incident != second.incident


def test_a_longer_horizon_does_not_say_again_what_is_over():
    seen = view(1, 40)
    p = np.full((40, 1), 0.5)
    p[10:14, 0] = 1e-12
    seen.errors[10, 0] = 25.0
    episodes = decide(evidence(seen, p, horizon=4), seen, connections=alone(1), config=CONFIG)
    assert [episode.opened for episode in episodes] == [10]


def test_later_data_changes_nothing_that_was_said():
    rng = np.random.default_rng(3)
    seen = view(5, 80)
    p = rng.uniform(size=(80, 5))
    p[20:24, 2] = 1e-10
    seen.errors[20:24, 2] = 25.0
    p[60:63, 4] = 1e-10
    everything = decide(evidence(seen, p), seen, connections=chain(5), config=CONFIG)
    for end in (21, 23, 40, 62):
        early_view = view(5, end)
        early_view.errors[:] = seen.errors[:end]
        early = decide(
            evidence(early_view, p[:end]), early_view, connections=chain(5), config=CONFIG
        )
        assert [(e.operation, e.opened, e.incident) for e in early] == [
            (e.operation, e.opened, e.incident) for e in everything if e.opened < end
        ]


def test_evidence_that_breaks_its_contract_is_refused():
    seen = view(1, 1)
    broken = evidence(seen, np.full((1, 1), 0.5)).with_columns(p_value=pl.lit(1.5))
    with pytest.raises(FrameContractError, match="p_value"):
        decide(broken, seen, connections=alone(1), config=CONFIG)


def test_where_nothing_is_known_what_changes_together_is_one_incident():
    seen = view(4, 10)
    p = np.full((10, 4), 0.5)
    p[5, 0] = p[5, 3] = p[6, 1] = 1e-12
    unknown = Connections({}, [None] * 4, [0.0] * 4)
    episodes = decide(evidence(seen, p), seen, connections=unknown, config=CONFIG)
    assert [(e.operation, e.incident) for e in episodes] == [(0, 0), (3, 0), (1, 0)]


def test_a_change_that_lasts_does_not_swallow_what_goes_wrong_later():
    seen = view(2, 60)
    seen.errors[10:, 0] = 25.0
    seen.errors[40, 1] = 25.0
    p = np.full((60, 2), 0.5)
    p[10:, 0] = 1e-12
    p[40, 1] = 1e-12
    first, second = decide(evidence(seen, p), seen, connections=chain(2), config=CONFIG)
    assert (first.incident, second.incident) == (0, 1)


@pytest.mark.parametrize(("later", "incidents"), [(1, 1), (2, 2)])
def test_what_begins_a_window_later_belongs_to_the_same_incident(later: int, incidents: int):
    seen = view(2, 30)
    p = np.full((30, 2), 0.5)
    p[20, 0] = p[20 + later, 1] = 1e-12
    found = decide(evidence(seen, p), seen, connections=alone(2), config=CONFIG)
    assert len(found) == 2
    assert len({episode.incident for episode in found}) == incidents
