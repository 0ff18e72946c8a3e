"""The seam of detection: what a detector gets, and the evidence frame it returns.

A detector is a function of a ``DetectionView`` that returns an ``EVIDENCE`` frame: how surprising
each operation's window is, and how large the change looks. It decides nothing and knows no budget;
``decide`` does, for all detectors together. Adding a detector adds one file like ``error_spike``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from evolution_lab.intents.view import DetectionView
from evolution_lab.records import IntentKind
from evolution_lab.schemas import EVIDENCE, check, polars_schema

Floats = npt.NDArray[np.float64]

KINDS: Final[Mapping[str, IntentKind]] = {
    "error-rate": "error-spike",
    "client-error-rate": "error-spike",
    "latency-median": "latency-regression",
    "latency-tail": "latency-regression",
    "throughput": "throughput-drop",
}
"""The kind of signal that evidence on a metric can become."""

UNITS: Final[Mapping[str, str]] = {
    "error-rate": "fraction",
    "client-error-rate": "fraction",
    "latency-median": "ns",
    "latency-tail": "ns",
    "throughput": "calls",
}
"""The unit of ``observed`` and ``baseline`` by metric."""


class Detector(Protocol):
    """A function from windows to evidence, with a name that signals and ids carry."""

    @property
    def name(self) -> str:
        """The detector's name, unique among those that run together."""

    def __call__(self, view: DetectionView) -> pl.DataFrame:
        """Return an ``EVIDENCE`` frame: one row an operation and window that could be judged."""


def evidence_frame(
    view: DetectionView, *, detector: str, metric: str, columns: Mapping[str, Floats]
) -> pl.DataFrame:
    """Turn arrays over (window, operation) into an evidence frame; untested windows are left out.

    Args:
        view: Where operations and windows come from.
        detector: The detector's name.
        metric: What was tested.
        columns: Arrays of shape ``(T, m)`` by evidence column; ``p_value`` is required and NaN
            where nothing was tested, other NaN become null.

    Raises:
        FrameContractError: A value breaks the evidence contract.
    """
    t, i = np.nonzero(~np.isnan(columns["p_value"]))
    op_ids = np.array([operation.op_id for operation in view.operations], dtype=np.int64)
    starts = pl.Series("window_start", view.starts, dtype=pl.Datetime("us", "UTC"))
    schema = polars_schema(EVIDENCE)
    data: dict[str, pl.Series] = {
        "op_id": pl.Series(op_ids[i] if len(op_ids) else [], dtype=pl.Int64),
        "window_start": starts.gather(t),
    }
    for name, dtype in schema.items():
        if name in columns:
            values = columns[name][t, i]
            series = pl.Series(name, values)
            data[name] = (
                series.fill_nan(None).cast(dtype) if dtype.is_float() else series.cast(dtype)
            )
    frame = pl.DataFrame(data).with_columns(
        window_end=pl.col("window_start") + view.window,
        metric=pl.lit(metric),
        detector=pl.lit(detector),
    )
    missing = [
        pl.lit(None, dtype=dtype).alias(n) for n, dtype in schema.items() if n not in frame.columns
    ]
    return check(frame.with_columns(missing).select(list(schema)), EVIDENCE)
