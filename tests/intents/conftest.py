"""One small shop recording, aggregated once for all tests of detection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import polars as pl
import pytest

from evolution_lab.config import EvolutionConfig
from evolution_lab.datasets import Recording, shop_recording
from evolution_lab.intents import Surroundings
from evolution_lab.windows import (
    aggregate,
    call_depth,
    call_edges,
    operation_sequences,
    span_tree,
)

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Prepared:
    """A recording and everything detection looks at."""

    recording: Recording
    samples: pl.DataFrame
    windows: pl.DataFrame
    surroundings: Surroundings
    config: EvolutionConfig


def prepare(recording: Recording) -> Prepared:
    samples = recording.samples()
    tree = span_tree(samples)
    return Prepared(
        recording=recording,
        samples=samples,
        windows=aggregate(samples, window=MINUTE, latency_bins=True),
        surroundings=Surroundings(
            samples=samples.lazy(),
            sequences=operation_sequences(tree),
            edges=call_edges(tree),
            depths=call_depth(tree),
            operations=samples.select(
                "op_id", "service", "operation_key", "operation_version"
            ).unique(),
            as_of=samples["timestamp"].max(),  # type: ignore[arg-type]
        ),
        config=EvolutionConfig(window=MINUTE),
    )


@pytest.fixture(scope="session")
def shop() -> Prepared:
    return prepare(shop_recording(seed=20250304))


@pytest.fixture(scope="session")
def quiet_shop() -> Prepared:
    return prepare(shop_recording(seed=7, plan=()))
