"""A recording of the synthetic shop: its spans and the labels of what was planted in them."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import orjson
import polars as pl

from evolution_lab.datasets.faults import (
    FORMAT_VERSION,
    PLANNED_MINUTES,
    Fault,
    PlannedFault,
    default_plan,
    unknown_names,
    workflow_label,
)
from evolution_lab.datasets.otlp_lines import otlp_lines
from evolution_lab.datasets.shop import WORKFLOW_SHARE
from evolution_lab.datasets.span_samples import span_samples
from evolution_lab.datasets.traffic import draw_spans
from evolution_lab.display import ResultMixin
from evolution_lab.errors import InputError
from evolution_lab.records import to_python
from evolution_lab.schemas import TIME

DEFAULT_SEED: Final = 20250304
DEFAULT_START: Final = datetime(2025, 3, 4, 9, 0, tzinfo=UTC)
SPANS_FILE: Final = "spans.jsonl.gz"
FAULTS_FILE: Final = "faults.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording(ResultMixin):
    """Spans of the shop with the labels of their faults; shows itself as the table of faults.

    Attributes:
        spans: One row a span, in the order in which they ended: ``service``, ``version``,
            ``trace_id``, ``span_id``, ``parent_span_id``, ``link_trace_id``, ``link_span_id``,
            ``kind``, ``key`` (operation key of the span), ``start`` (UTC), ``start_us`` and
            ``duration_us`` (whole microseconds), ``path``, ``peer``, ``status`` (HTTP), ``failed``,
            ``error_type``, ``message``, ``tenant_id``, ``user_id``, ``session_id``.
        faults: The labels, in order of their start; the workflow first.
        seed: The seed it was drawn from.
        start: Its beginning, UTC.
        minutes: Its length.
    """

    _title: ClassVar[str] = "Planted faults"
    _columns: ClassVar[Sequence[str]] = ("name", "kind", "operation", "start", "end")

    spans: pl.DataFrame
    faults: tuple[Fault, ...]
    seed: int
    start: datetime
    minutes: int

    @property
    def end(self) -> datetime:
        """The end of the recording, UTC."""
        return self.start + timedelta(minutes=self.minutes)

    @property
    def quiet_until(self) -> datetime:
        """Before this moment nothing is wrong, UTC: the start of the first planted fault."""
        wrong = (f.start for f in self.faults if f.kind != "missing-operation")
        return min(wrong, default=self.end)

    def samples(self) -> pl.DataFrame:
        """Return the spans as landing would give them, but for redaction (``schemas.SAMPLES``)."""
        return span_samples(self.spans)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the labels, one dict a fault."""
        return [
            {
                "name": fault.name,
                "kind": fault.kind,
                "operation": str(fault.operation),
                "start": fault.start,
                "end": fault.end,
                "description": fault.description,
            }
            for fault in self.faults
        ]

    def faults_json(self) -> bytes:
        """Return the labels as the JSON document that ``read_faults`` reads."""
        document = {
            "format_version": FORMAT_VERSION,
            "seed": self.seed,
            "start": _iso(self.start),
            "end": _iso(self.end),
            "quietUntil": _iso(self.quiet_until),
            "faults": [to_python(fault) for fault in self.faults],
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def write_otlp(self, directory: str | Path) -> tuple[Path, Path]:
        """Write the spans as gzipped OTLP JSON lines, and the labels beside them.

        The bytes depend on the recording alone: the gzip header carries no time and no name.

        Returns:
            The paths of ``spans.jsonl.gz`` and ``faults.json``.
        """
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        spans, faults = folder / SPANS_FILE, folder / FAULTS_FILE
        text = b"".join(line + b"\n" for line in otlp_lines(self.spans, self.start))
        spans.write_bytes(gzip.compress(text, compresslevel=9, mtime=0))
        faults.write_bytes(self.faults_json())
        return spans, faults


def shop_recording(
    *,
    seed: int = DEFAULT_SEED,
    start: datetime = DEFAULT_START,
    minutes: int = PLANNED_MINUTES,
    calls_per_minute: float = 112.0,
    plan: Sequence[PlannedFault] | None = None,
) -> Recording:
    """Draw a recording of the shop: ordinary traffic, a repeated workflow, planted faults.

    Args:
        seed: Equal seeds and arguments give equal recordings.
        start: Beginning, a whole second, timezone-aware.
        minutes: Length; the built-in plan is scaled to it.
        calls_per_minute: Mean calls of clients per minute at the peak of the day (14:00 UTC).
        plan: What goes wrong; ``()`` for nothing. The built-in plan without it.

    Raises:
        InputError: A number is out of its range, or the plan names what the shop does not have.

    Examples:
        >>> recording = shop_recording(minutes=6, plan=())
        >>> [fault.name for fault in recording.faults]
        ['repeated-workflow']
        >>> sorted(recording.spans["service"].unique())
        ['billing', 'cart', 'catalog', 'shipping', 'storefront']
    """
    if minutes < 1:
        raise InputError(f"minutes == {minutes}, must be at least 1.")
    if not calls_per_minute > 0:
        raise InputError(f"calls_per_minute == {calls_per_minute}, must be > 0.")
    if start.tzinfo is None or start.microsecond:
        raise InputError(f"start == {start}, must be a whole second with a time zone.")
    start = start.astimezone(UTC)
    plan = default_plan(minutes) if plan is None else tuple(plan)
    if unknown := unknown_names(plan):
        raise InputError(f"the plan names {', '.join(unknown)}, which the shop does not have.")
    spans = draw_spans(
        np.random.default_rng(seed),
        minutes=minutes,
        first_minute=start.hour * 60 + start.minute,
        calls_per_minute=calls_per_minute,
        plan=plan,
    )
    labels = (
        workflow_label(start, minutes, WORKFLOW_SHARE),
        *(fault.label(start, minutes) for fault in plan),
    )
    moments = pl.lit(start).cast(TIME) + pl.duration(microseconds=pl.col("start_us"))
    return Recording(
        spans=spans.with_columns(start=moments),
        faults=tuple(sorted(labels, key=lambda fault: (fault.start, fault.name))),
        seed=seed,
        start=start,
        minutes=minutes,
    )


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
