"""From windows to signals, incidents, workflows and verdicts: ``IntentDetector``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from evolution_lab.config import EvolutionConfig, format_timedelta
from evolution_lab.display import Progress, part_of
from evolution_lab.errors import FrameContractError
from evolution_lab.intents.attribution import Question, attribute
from evolution_lab.intents.baseline import MINIMUM
from evolution_lab.intents.confidence import ConfidenceMap, bundled_map
from evolution_lab.intents.connections import callers_of, connections
from evolution_lab.intents.decide import Episode, decide, gate_level
from evolution_lab.intents.describe import signal_from, signal_id
from evolution_lab.intents.error_spike import ErrorSpikeDetector
from evolution_lab.intents.evidence import Detector
from evolution_lab.intents.incidents import fold_incidents, incident_ids
from evolution_lab.intents.latency_regression import (
    SMALLEST_SLOWDOWN,
    LatencyRegressionDetector,
)
from evolution_lab.intents.latency_values import LatencyValuesDetector
from evolution_lab.intents.plugins import DetectorFunction, as_detector, with_registered
from evolution_lab.intents.thin_traffic import insufficient_evidence
from evolution_lab.intents.throughput_drop import ThroughputDropDetector
from evolution_lab.intents.view import DetectionView, detection_view
from evolution_lab.intents.workflows import find_workflows
from evolution_lab.records import DetectionResult, OperationRef
from evolution_lab.schemas import EDGES, EVIDENCE, OPERATIONS, SEQUENCES, empty, polars_schema

WINDOWS_WORTH_LOOKING_AT: Final = 30
"""A recording of fewer windows says little: a dozen make a baseline."""
_DEPTHS: Final = {"op_id": pl.Int64(), "depth": pl.Int32()}


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What detection may use beside the windows; every part may be left out.

    Attributes:
        samples: A ``SAMPLES`` frame, for attribution.
        sequences: A ``SEQUENCES`` frame, for workflows.
        edges: An ``EDGES`` frame: who calls whom.
        companions: An ``EDGES`` frame: which operations share traces, where nothing says who calls
            whom.
        depths: Columns ``op_id`` and ``depth``: how deep an operation is called.
        operations: An ``OPERATIONS`` frame: what each op_id is.
        as_of: The newest moment the recording covers, UTC.
    """

    samples: pl.LazyFrame | None = None
    sequences: pl.DataFrame = field(default_factory=lambda: empty(SEQUENCES))
    edges: pl.DataFrame = field(default_factory=lambda: empty(EDGES))
    companions: pl.DataFrame = field(default_factory=lambda: empty(EDGES))
    depths: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_DEPTHS))
    operations: pl.DataFrame = field(default_factory=lambda: empty(OPERATIONS))
    as_of: datetime | None = None


@dataclass(frozen=True)
class IntentDetector:
    """Finds what changed beyond chance, within the budgets of its settings.

    Attributes:
        config: The settings; budgets and boundaries are used.
        detectors: What produces evidence: functions of a view; the package's own, and those that
            installed packages register, unless given.
        confidence: From evidence to the probability that it is true.

    Examples:
        >>> from evolution_lab.schemas import WINDOWS, empty
        >>> IntentDetector().detect(empty(WINDOWS)).signals
        ()
    """

    config: EvolutionConfig = field(default_factory=EvolutionConfig)
    detectors: Sequence[Detector | DetectorFunction] | None = None
    confidence: ConfidenceMap = field(default_factory=bundled_map)

    def detect(
        self,
        windows: pl.DataFrame,
        surroundings: Surroundings | None = None,
        *,
        progress: Progress | None = None,
    ) -> DetectionResult:
        """Judge windows and say what changed.

        Args:
            windows: A ``WINDOWS`` frame, all windows of one length; latency is judged exactly where
                it carries ``latency_bins``, on ready-made percentiles otherwise.
            surroundings: Traces, sequences and samples, where there are any.
            progress: Called with (steps done, steps in all): the detectors, the decision, the rest.

        Raises:
            FrameContractError: A frame breaks its contract.
        """
        around = surroundings or Surroundings()
        known = pl.concat([around.operations, _known(windows)]).unique("op_id").sort("op_id")
        view = _view(windows, around, known)
        evidence = self.evidence(view, progress=part_of(progress, first=0, of=3))
        links = connections(
            view.operations,
            edges=pl.concat([around.edges, around.companions]),
            depths=around.depths,
            known=known,
        )
        episodes = decide(evidence, view, connections=links, config=self.config)
        part_of(progress, first=1, of=3)(1, 1)
        ids = [
            signal_id(
                view.operations[e.operation], e.kind, view.starts[e.opened], e.rows[0].detector
            )
            for e in episodes
        ]
        incidents = incident_ids(episodes, ids)
        signals = tuple(
            signal_from(
                episode,
                view,
                incident_id=incidents[episode.incident],
                attribution=attribution,
                config=self.config,
                confidence=self.confidence,
            )
            for episode, attribution in zip(
                episodes, _attributions(episodes, view, around.samples), strict=True
            )
        )
        gate = gate_level(
            self.config, operations=len(view.operations), windows_per_week=view.windows_per_week
        )
        return DetectionResult(
            signals=signals,
            incidents=fold_incidents(episodes, signals, connections=links),
            workflows=find_workflows(
                around.sequences,
                edges=around.edges,
                operations=_operations(around.operations),
                min_length=self.config.min_sequence_length,
            ),
            insufficient=insufficient_evidence(view, evidence, level=gate) if view.starts else {},
            operation_windows=int(view.live.sum()),
            settings=self._settings(view),
            notes=tuple(_notes(view)),
        )

    def evidence_of(
        self, windows: pl.DataFrame, surroundings: Surroundings | None = None
    ) -> pl.DataFrame:
        """Return the evidence that ``detect`` decides on, with the names of the operations.

        Args:
            windows: As for ``detect``.
            surroundings: As for ``detect``.

        Returns:
            The columns of ``EVIDENCE`` after ``service`` and ``operation_key``.

        Raises:
            FrameContractError: A frame breaks its contract.
        """
        around = surroundings or Surroundings()
        known = pl.concat([around.operations, _known(windows)]).unique("op_id").sort("op_id")
        view = _view(windows, around, known)
        names = pl.DataFrame(
            [(o.op_id, o.service, o.key) for o in view.operations],
            schema={"op_id": pl.Int64, "service": pl.String, "operation_key": pl.String},
            orient="row",
        )
        named = self.evidence(view).join(names, on="op_id", how="inner", maintain_order="left")
        return named.select("service", "operation_key", *polars_schema(EVIDENCE))

    def evidence(self, view: DetectionView, *, progress: Progress | None = None) -> pl.DataFrame:
        """Return the evidence of all detectors, one frame.

        Args:
            view: What they see.
            progress: Called with (detectors done, detectors in all).

        Raises:
            FrameContractError: Two detectors have one name, or one breaks the contract.
        """
        frames = [empty(EVIDENCE)]
        names: list[str] = []
        detectors = (
            [as_detector(given) for given in self.detectors]
            if self.detectors is not None
            else with_registered(self.default_detectors(view))
        )
        for detector in detectors:
            if detector.name in names:
                raise FrameContractError(f"two detectors are called {detector.name!r}.")
            names.append(detector.name)
            frames.append(detector(view))
            if progress is not None:
                progress(len(names), len(detectors))
        return pl.concat(frames)

    def default_detectors(self, view: DetectionView) -> tuple[Detector, ...]:
        """Return the package's detectors, with the settings of each operation."""
        drops = tuple(
            (o.key, self.config.for_operation(o.key).throughput_drop) for o in view.operations
        )
        latency: Detector = (
            LatencyRegressionDetector() if view.has_bins else LatencyValuesDetector()
        )
        return (
            ErrorSpikeDetector(),
            latency,
            ThroughputDropDetector(default_drop=self.config.throughput_drop, drops=drops),
        )

    def _settings(self, view: DetectionView) -> dict[str, Any]:
        looked_at: dict[str, Any] = {
            "operations": len(view.operations),
            "windows": len(view.starts),
        }
        if view.starts:
            looked_at["since"] = view.starts[0].isoformat()
            looked_at["until"] = view.window_end(len(view.starts) - 1).isoformat()
        return {
            **self.config.to_settings(),
            "window": format_timedelta(view.window),
            "smallest_slowdown": SMALLEST_SLOWDOWN,
            "confidence": self.confidence.fitted_on,
            "looked_at": looked_at,
        }


def _attributions(
    episodes: Sequence[Episode], view: DetectionView, samples: pl.LazyFrame | None
) -> list[dict[str, Any] | None]:
    if samples is None:
        return [None] * len(episodes)
    return attribute(samples, [_question(episode, view) for episode in episodes])


def _question(episode: Episode, view: DetectionView) -> Question:
    row = episode.strongest
    threshold = None
    if row.metric.startswith("latency") and row.baseline is not None:
        threshold = row.baseline * SMALLEST_SLOWDOWN
    return Question(
        operation=view.operations[episode.operation],
        metric=row.metric,
        start=view.starts[episode.opened],
        onset=view.starts[max(episode.opened - episode.rows[0].horizon + 1, 0)],
        end=view.window_end(episode.last),
        window=view.window,
        threshold_ns=threshold,
    )


def _view(windows: pl.DataFrame, around: Surroundings, known: pl.DataFrame) -> DetectionView:
    view = detection_view(windows, as_of=around.as_of)
    callers = callers_of(
        view.operations,
        calls=np.nansum(view.calls, axis=0).tolist(),
        edges=around.edges,
        known=known,
    )
    return replace(view, callers=callers)


def _known(windows: pl.DataFrame) -> pl.DataFrame:
    return windows.select("op_id", "service", "operation_key", "operation_version").unique()


def _operations(frame: pl.DataFrame) -> dict[int, OperationRef]:
    return {
        op_id: OperationRef(key, service=service, version=version)
        for op_id, service, key, version in frame.select(
            "op_id", "service", "operation_key", "operation_version"
        )
        .sort("op_id")
        .iter_rows()
    }


def _notes(view: DetectionView) -> list[str]:
    if not view.starts:
        return ["There are no windows to look at; land telemetry first: evolution-lab land PATH…"]
    count = len(view.starts)
    if count >= WINDOWS_WORTH_LOOKING_AT:
        return _warming_up(view)
    span = view.window_end(count - 1) - view.starts[0]
    shorter = _window_that_fits(span)
    advice = (
        f" Windows of {format_timedelta(shorter)} would say something: --every {format_timedelta(shorter)}."
        if shorter is not None and shorter < view.window
        else " Land a longer recording."
    )
    covers = (
        f"The recording covers {count} windows of {format_timedelta(view.window)}; detection needs "
        f"about {WINDOWS_WORTH_LOOKING_AT}."
    )
    return [covers + advice]


def _warming_up(view: DetectionView) -> list[str]:
    """Say how much history young operations still need."""
    ages = view.live.sum(axis=0)
    young = [int(age) for age in ages if age <= MINIMUM]
    if not young:
        return []
    most = (MINIMUM + 1 - min(young)) * view.window
    of = "1 operation has" if len(young) == 1 else f"{len(young)} operations have"
    note = (
        f"{of} {MINIMUM} windows of history or fewer: nothing is said of them yet; the youngest "
        f"needs {format_timedelta(most)} more."
    )
    return [note]


def _window_that_fits(span: timedelta) -> timedelta | None:
    """Return the longest usual window length of which a recording has enough."""
    for minutes in (60, 30, 15, 10, 5, 2, 1):
        if span / timedelta(minutes=minutes) >= 2 * WINDOWS_WORTH_LOOKING_AT:
            return timedelta(minutes=minutes)
    seconds = timedelta(seconds=10)
    return seconds if span / seconds >= 2 * WINDOWS_WORTH_LOOKING_AT else None
