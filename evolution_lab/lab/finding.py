"""What changed in a lab: detection, deployments, and what people say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from evolution_lab.display import Progress, notebook_progress, part_of
from evolution_lab.intents import Detector, IntentDetector, Surroundings, store_snapshots
from evolution_lab.intents.confidence import ConfidenceMap
from evolution_lab.intents.deploys import (
    Deployment,
    DeployVerdicts,
    implied_deployments,
    judge_deployments,
    read_deployments,
    store_deployment,
)
from evolution_lab.intents.evaluation import Evaluation, Label, evaluate, read_event_labels
from evolution_lab.intents.labels import (
    SignalLabel,
    calibrate_on_labels,
    map_in_force,
    read_labels,
    store_label,
)
from evolution_lab.intents.plugins import DetectorFunction
from evolution_lab.lab.frames import LabFrames
from evolution_lab.records import DetectionResult
from evolution_lab.schemas import EDGES, empty
from evolution_lab.suggestions import Analysis, SpecAnalyzer
from evolution_lab.windows import (
    call_depth,
    operation_samples,
    read_windows,
    trace_companions,
)


class LabFindings(LabFrames):
    """What a lab says of its telemetry; see ``Lab``."""

    def detect(
        self,
        *,
        every: str | timedelta | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        as_of: datetime | None = None,
        windows: str | Path | pl.DataFrame | None = None,
        mapping: Iterable[str] | Mapping[str, str] = (),
        detectors: Sequence[Detector | DetectorFunction] | None = None,
        progress: Progress | None = None,
    ) -> DetectionResult:
        """Find what changed beyond chance, and keep what was said in ``intent_snapshots``.

        Args:
            every: Window length; the setting ``window`` without it.
            since: Look at samples from here on, UTC.
            until: Look at samples before this, UTC.
            as_of: Close windows as of this moment; the newest sample without it.
            windows: Ready windows (a file or a ``WINDOWS`` frame) instead of the lake.
            mapping: How the columns of a windows file are called.
            detectors: Functions of a view, rather than the package's own detectors.
            progress: Called with (steps done, steps in all); a notebook shows a bar without it.

        Raises:
            EmptyLakeError: Nothing has been landed, and no windows were given.
        """
        detector = IntentDetector(self.config, detectors, map_in_force(self.data))
        if windows is not None:
            frame = (
                windows
                if isinstance(windows, pl.DataFrame)
                else read_windows(Path(windows), mapping)
            )
            with notebook_progress("detecting", progress) as tell:
                return detector.detect(frame, progress=tell)
        key = (self.lake.digest(), "detection", self._window(every), since, until, as_of)
        if detectors is None and key in self._kept:
            return self._kept[key]  # type: ignore[no-any-return]
        with notebook_progress("detecting", progress) as tell:
            stored = None
            if since is until is None:
                stored = self._stored_windows(self._window(every), as_of=as_of, latency_bins=True)
            frame = (
                stored
                if stored is not None
                else self.windows(
                    every=every, since=since, until=until, as_of=as_of, latency_bins=True
                )
            )
            part_of(tell, first=0, of=4)(1, 1)
            around = self._surroundings(since, until, as_of)
            part_of(tell, first=1, of=4)(1, 1)
            rest = part_of(tell, first=1, of=2)
            result = detector.detect(frame, around, progress=rest)
            rest(1, 1)
        store_snapshots(self.data, result.signals)
        if detectors is None:
            self._kept[key] = result
        return result

    def evidence(
        self,
        *,
        every: str | timedelta | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> pl.DataFrame:
        """Return what ``detect`` decides on: how surprising each operation's windows are.

        One row an operation, metric, detector and window: the columns of ``schemas.EVIDENCE`` after
        ``service`` and ``operation_key``. It claims nothing; budgets do, in ``detect``.

        Args:
            every: Window length; the setting ``window`` without it.
            since: Look at samples from here on, UTC.
            until: Look at samples before this, UTC.

        Raises:
            EmptyLakeError: Nothing has been landed.
        """

        def judged() -> pl.DataFrame:
            frame = self.windows(every=every, since=since, until=until, latency_bins=True)
            return IntentDetector(self.config).evidence_of(
                frame, self._surroundings(since, until, None)
            )

        return self._once(("evidence", self._window(every), since, until), judged)

    def _surroundings(
        self, since: datetime | None, until: datetime | None, as_of: datetime | None
    ) -> Surroundings:
        samples = self._landed(since, until)
        edges = self.edges(since=since, until=until)
        spans = self._spans(since, until)
        newest = samples.select(pl.col("timestamp").max()).collect().item()
        return Surroundings(
            samples=samples,
            sequences=self.sequences(since=since, until=until),
            edges=edges,
            companions=empty(EDGES) if edges.height else trace_companions(spans),
            depths=call_depth(spans),
            operations=self.lake.operations(),
            as_of=as_of or newest,
        )

    def analyze(self, *, every: str | timedelta | None = None) -> Analysis:
        """Return usage, anomalies and optimisation hints per operation."""
        return SpecAnalyzer(self.config).analyze(
            self.windows(every=every), self.detect(every=every), specs=self.specs()
        )

    def evaluate(
        self, labels: str | Path | Iterable[Label], *, every: str | timedelta | None = None
    ) -> Evaluation:
        """Hold detection against labels: recall, precision, delay, alarms where nothing was wrong.

        Args:
            labels: A CSV with ``start``, ``end`` and perhaps ``operation``, a ``faults.json``, a
                folder with either, or labels.
            every: Window length.

        Raises:
            InputError: A label cannot be read.
            EmptyLakeError: Nothing has been landed.
        """
        known = (
            read_event_labels(Path(labels)) if isinstance(labels, (str, Path)) else tuple(labels)
        )
        return evaluate(self.detect(every=every), known, self.windows(every=every))

    def label(
        self, signal_id: str, *, truth: bool, why: str | None = None, labelled_by: str = "somebody"
    ) -> SignalLabel:
        """Say whether a signal was true; ``calibrate`` learns from it.

        Args:
            signal_id: Its id, or an unambiguous beginning of it.
            truth: Whether what it claims is true.
            why: The reason.
            labelled_by: Who says so.

        Raises:
            UnknownNameError: No signal said so far has this id.
        """
        return store_label(self.data, signal_id, truth=truth, why=why, labelled_by=labelled_by)

    def labels(self) -> tuple[SignalLabel, ...]:
        """Return what people said of signals, the newest label of each."""
        return read_labels(self.data)

    def calibrate(self) -> ConfidenceMap:
        """Refit confidence on the labels of this lab.

        Raises:
            InputError: There are too few labels; the message says how many are missing.
        """
        fitted = calibrate_on_labels(self.data)
        self._kept.clear()
        return fitted

    def add_deployment(
        self, *, version: str, at: datetime, service: str | None = None
    ) -> Deployment:
        """Tell of a deployment; versions in telemetry imply theirs.

        Raises:
            TimeZoneRequiredError: ``at`` carries no zone.
        """
        return store_deployment(self.data, service=service, version=version, at=at)

    def deploys(self, *, every: str | timedelta | None = None) -> DeployVerdicts:
        """Return all deployments, told and implied, with what can be said of each at any time.

        Raises:
            EmptyLakeError: Nothing has been landed.
        """
        samples = operation_samples(self._landed(None, None), exclude=self.config.exclude)
        told = read_deployments(self.data)
        named = {(d.service, d.version) for d in told}
        implied = [d for d in implied_deployments(samples) if (d.service, d.version) not in named]
        return judge_deployments(
            samples, [*told, *implied], window=self._window(every), alpha=self.config.alpha
        )
