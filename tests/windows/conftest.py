"""Samples that the tests of this folder start from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.windows import sample_frame

START = datetime(2025, 3, 4, 9, tzinfo=UTC)


@pytest.fixture(scope="session")
def start() -> datetime:
    return START


@pytest.fixture(scope="session")
def call() -> Callable[..., TelemetrySample]:
    """Make a sample: operation key, seconds after the start, anything else by name."""

    def make(key: str, seconds: float = 0.0, **fields: Any) -> TelemetrySample:
        operation = OperationRef(key, fields.pop("service", None), fields.pop("version", None))
        return TelemetrySample(
            operation=operation,
            timestamp=START + timedelta(seconds=seconds),
            **{"duration_ns": 1_000_000, **fields},
        )

    return make


@pytest.fixture(scope="session")
def frame() -> Callable[..., pl.DataFrame]:
    """Lay samples out as the lake does."""

    def make(*samples: TelemetrySample) -> pl.DataFrame:
        return sample_frame(samples)

    return make
