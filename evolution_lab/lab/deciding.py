"""What a lab proposes: suggestions, decisions, the report."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from evolution_lab import __version__
from evolution_lab.approval import (
    DuckDBSpecSuggestionRepository,
    PostgresSpecSuggestionRepository,
    SpecSuggestionOrchestrator,
    SpecSuggestionRepository,
    Submissions,
)
from evolution_lab.config import format_timedelta
from evolution_lab.display import Progress, notebook_progress, part_of
from evolution_lab.errors import AlreadyDecidedError, InputError, UnknownNameError
from evolution_lab.experiments import SpecExperimentRegistry, replay
from evolution_lab.export import (
    FileSystemSuggestionWriter,
    Provenance,
    ReportFiles,
    write_report,
)
from evolution_lab.export.envelopes import envelope_name
from evolution_lab.export.rollouts import RolloutContent
from evolution_lab.golden.importing import ImportReport, import_traffic
from evolution_lab.golden.store_lake import LakeTrafficStore
from evolution_lab.intents.labels import (
    NOT_REAL,
)
from evolution_lab.intents.silences import Silences
from evolution_lab.lab.shown_evidence import Judged, ShownEvidence
from evolution_lab.lab.silencing import LabSilences
from evolution_lab.records import DetectionResult, SpecSuggestion, SuggestionStatus
from evolution_lab.review import ReviewBoard, review_panel
from evolution_lab.suggestions import SpecGenerator, TrafficReading, read_traffic
from evolution_lab.suggestions.quiet import gone_quiet
from evolution_lab.telemetry.state import STATE_FILE

if TYPE_CHECKING:
    from anywidget import AnyWidget


class LabDecisions(LabSilences):
    """What a lab proposes and people decide; see ``Lab``."""

    def suggest(
        self,
        *,
        every: str | timedelta | None = None,
        traffic: str | Path | Sequence[str | Path] = (),
        output: str | Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Submissions:
        """Turn what detection and recorded traffic say into suggestions and submit them.

        Nothing is said twice: new evidence adds a revision. Operational suggestions whose effect
        has not been seen for long enough expire.

        Args:
            every: Window length; the setting ``window`` without it.
            traffic: Recordings (HAR and others) to bring into the lab first.
            output: Where envelopes of approved suggestions go.
            progress: Called with (steps done, steps in all); a notebook shows a bar without it.

        Raises:
            EmptyLakeError: No telemetry has been landed.
        """
        given = (traffic,) if isinstance(traffic, str | Path) else tuple(traffic)
        if given:
            self.import_traffic(*given)
        with notebook_progress("suggesting", progress) as tell:
            generated = SpecGenerator(self.config).generate(
                self.detect(every=every, progress=part_of(tell, first=0, of=2)),
                windows=self.windows(every=every),
                specs=self.specs(),
                traffic=self.traffic_reading(every=every, progress=part_of(tell, first=1, of=2)),
            )
        orchestrator = self._orchestrator(output)
        submitted = orchestrator.submit_all(generated)
        quiet = gone_quiet(
            orchestrator.list("pending"),
            self.detect(every=every).signals,
            self.windows(every=every),
        )
        for suggestion_id, why in quiet.items():
            # Somebody may have decided on it in between, and that stands.
            with contextlib.suppress(AlreadyDecidedError):
                orchestrator.expire(suggestion_id, why=why)
        return submitted

    def import_traffic(self, *paths: str | Path) -> ImportReport:
        """Bring recordings into the lab; operations are named by its one OpenAPI document.

        Raises:
            PathNotFoundError: A path does not exist.
            UnknownFormatError: No format fits a named file.
        """
        documents = self.specs().documents
        only = documents[0] if len(documents) == 1 else None
        service = only.services[0] if only is not None and len(only.services) == 1 else None
        report = import_traffic(
            *paths,
            data=self.data,
            document=None if only is None else only.names.document,
            service=service,
        )
        self._kept.clear()
        return report

    def traffic_reading(
        self,
        *,
        every: str | timedelta | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> TrafficReading:
        """Return what the lab's recorded calls say about its specs; empty without any.

        Args:
            every: Window length of detection, whose workflows and falls are looked into.
            progress: Called with (steps done, steps in all).

        Raises:
            EmptyLakeError: No telemetry has been landed.
        """
        return self._once(
            ("traffic", self._window(every)),
            lambda: read_traffic(
                LakeTrafficStore(self.data).snapshots(),
                self.specs(),
                samples=self.samples(),
                detection=self.detect(every=every),
                progress=progress,
            ),
        )

    def suggestions(self, status: SuggestionStatus | None = None) -> tuple[SpecSuggestion, ...]:
        """Return the suggestions of a status (all without)."""
        if self.config.state_url is None and not (self.data / STATE_FILE).exists():
            return ()
        return self._orchestrator().list(status)

    def suggestion(self, suggestion_id: str) -> SpecSuggestion:
        """Return one suggestion by its id or an unambiguous beginning of it.

        Raises:
            UnknownNameError: No suggestion has this id.
        """
        return self._orchestrator().get(suggestion_id)

    def approve(
        self,
        suggestion_id: str,
        *,
        reviewer: str,
        notes: str | None = None,
        revision: int | None = None,
        output: str | Path | None = None,
    ) -> SpecSuggestion:
        """Approve a suggestion; its envelope is written to ``reports/generated`` (or ``output``).

        Raises:
            DecisionError: It cannot be decided: no reviewer, decided before, or a newer revision.
            UnknownNameError: No suggestion has this id.
        """
        return self._orchestrator(output).approve(
            suggestion_id, reviewer=reviewer, notes=notes, revision=revision
        )

    def envelope_of(self, suggestion: SpecSuggestion, output: str | Path | None = None) -> Path:
        """Return where the envelope of an approved suggestion is written."""
        return self._envelopes(output) / envelope_name(suggestion)

    def reject(
        self,
        suggestion_id: str,
        *,
        reviewer: str,
        notes: str,
        revision: int | None = None,
        reason: str | None = None,
    ) -> SpecSuggestion:
        """Reject a suggestion; the notes say why.

        Args:
            suggestion_id: The suggestion.
            reviewer: Who decides.
            notes: Why, in words.
            revision: The revision that was seen.
            reason: ``not-real`` says that what was claimed is not true: the signals behind it are
                labelled so, and confidence learns from it.

        Raises:
            DecisionError: It cannot be decided: no reviewer or notes, decided before, or a newer
                revision.
            UnknownNameError: No suggestion has this id.
        """
        if reason not in {None, NOT_REAL}:
            raise InputError(f"reason == {reason!r}, must be {NOT_REAL!r} or nothing.")
        rejected = self._orchestrator().reject(
            suggestion_id, reviewer=reviewer, notes=notes, revision=revision
        )
        if reason == NOT_REAL:
            for signal_id in rejected.signal_ids:
                with contextlib.suppress(UnknownNameError):  # A workflow is no signal.
                    self.label(signal_id, truth=False, why=notes, labelled_by=reviewer)
        return rejected

    def reopen(
        self, suggestion_id: str, *, reviewer: str, why: str, output: str | Path | None = None
    ) -> SpecSuggestion:
        """Take the decision on a suggestion back: it is pending again, its envelope ``withdrawn``.

        Raises:
            DecisionError: It was not decided, or ``reviewer`` or ``why`` is blank.
            UnknownNameError: No suggestion has this id.
        """
        return self._orchestrator(output).reopen(suggestion_id, reviewer=reviewer, why=why)

    def review_board(
        self, *, reviewer: str = "", every: str | timedelta | None = None
    ) -> ReviewBoard:
        """Return what the review panel shows of this lab, and who decides.

        Args:
            reviewer: In whose name decisions are taken; blank only shows.
            every: Window length of the charts.
        """

        def judge() -> Judged | None:
            if not self.lake.live_files("samples"):
                return None
            return self.detect(every=every).signals, self.windows(every=every)

        return ReviewBoard(self._orchestrator(), reviewer=reviewer, evidence=ShownEvidence(judge))

    def review(self, *, reviewer: str = "", every: str | timedelta | None = None) -> AnyWidget:
        """Return the review panel as a widget, for a notebook.

        Args:
            reviewer: In whose name decisions are taken; blank only shows.
            every: Window length of the charts.
        """
        return review_panel(self.review_board(reviewer=reviewer, every=every))

    def report(
        self,
        output: str | Path | None = None,
        *,
        every: str | timedelta | None = None,
        light: bool = False,
        tables: bool = False,
        command: str | None = None,
        progress: Progress | None = None,
    ) -> ReportFiles:
        """Write the report: ``suggestions.html``, ``.md`` and ``.json``.

        Args:
            output: Where to; ``reports`` without it.
            every: Window length.
            light: Leave plotly out of the HTML: small trends in place of charts, under 300 KB.
            tables: Write ``signals.csv`` and ``suggestions.csv`` too.
            command: The command that gives the report again; made up from the arguments without it.
            progress: Called with (steps done, steps in all); a notebook shows a bar without it.
        """
        window = format_timedelta(self._window(every))
        lab = shlex.quote(str(self.data))
        with notebook_progress("reporting", progress) as tell:
            detection = self.detect(every=every, progress=part_of(tell, first=0, of=2))
            windows = self.windows(every=every)
            written = write_report(
                Path(output) if output is not None else self.reports,
                detection=self._with_deployments(detection, every),
                windows=windows,
                suggestions=self.suggestions(),
                rollouts=self._rollouts(),
                silences=self._silences_of(windows),
                light=light,
                tables=tables,
                provenance=Provenance(
                    command=command or f"evolution-lab report --data {lab} --every {window}",
                    suggestion_command=f"evolution-lab suggestions show {{id}} --data {lab}",
                    data_digest=self.lake.digest(),
                    package_version=__version__,
                ),
                progress=part_of(tell, first=1, of=2),
            )
            part_of(tell, first=1, of=2)(1, 1)
            return written

    def _silences_of(self, windows: pl.DataFrame) -> Silences:
        """Return the mutes and maintenance windows of the time that windows cover, or later."""
        if self.config.state_url is None and not (self.data / STATE_FILE).exists():
            return Silences()
        first = windows["window_start"].min()
        return self.silences().at(first) if isinstance(first, datetime) else self.silences()

    def _rollouts(self) -> tuple[RolloutContent, ...]:
        if self.config.state_url is None and not (self.data / STATE_FILE).exists():
            return ()
        registry = SpecExperimentRegistry.in_lab(self.data, state_url=self.config.state_url)
        return tuple(
            RolloutContent(
                experiment=each,
                decisions=replay(each.definition, registry.looks(key, version=version)),
            )
            for each in registry.list()
            for key, version in [each.identity]
        )

    def _with_deployments(
        self, detection: DetectionResult, every: str | timedelta | None
    ) -> DetectionResult:
        """Add a sentence for each deployment that something can be said of."""
        sentences = [verdict.sentence for verdict in self.deploys(every=every).verdicts]
        told = [sentence for sentence in sentences if sentence is not None]
        return replace(detection, notes=(*detection.notes, *told))

    def _orchestrator(self, output: str | Path | None = None) -> SpecSuggestionOrchestrator:
        return SpecSuggestionOrchestrator(
            self._repository(),
            writer=FileSystemSuggestionWriter(
                self._envelopes(output), specs=self.specs() if self.config.specs else None
            ),
            config=self.config,
        )

    def _repository(self) -> SpecSuggestionRepository:
        if self.config.state_url is not None:
            return PostgresSpecSuggestionRepository(self.config.state_url)
        return DuckDBSpecSuggestionRepository(self.data)

    def _envelopes(self, output: str | Path | None) -> Path:
        return Path(output) if output is not None else self.reports / "generated"
