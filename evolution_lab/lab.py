"""``Lab``: the one object a notebook needs. Every method is one call into a folder of the line."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb
import polars as pl

from evolution_lab import __version__
from evolution_lab.approval import (
    DuckDBSpecSuggestionRepository,
    SpecSuggestionOrchestrator,
    Submissions,
)
from evolution_lab.config import EvolutionConfig, format_timedelta, load_config, parse_duration
from evolution_lab.contracts import BoundSpecs, OpenApiDocument, bind_specs
from evolution_lab.errors import EmptyLakeError, InputError, UnknownNameError
from evolution_lab.export import (
    FileSystemSuggestionWriter,
    Provenance,
    ReportFiles,
    write_report,
)
from evolution_lab.export.envelopes import envelope_name
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
    NOT_REAL,
    SignalLabel,
    calibrate_on_labels,
    map_in_force,
    read_labels,
    store_label,
)
from evolution_lab.intents.plugins import DetectorFunction
from evolution_lab.records import DetectionResult, SpecSuggestion, SuggestionStatus
from evolution_lab.schemas import EDGES, SAMPLES, empty
from evolution_lab.suggestions import Analysis, SpecAnalyzer, SpecGenerator
from evolution_lab.telemetry import Lake, LandingReport, land
from evolution_lab.telemetry.state import STATE_FILE, open_state
from evolution_lab.windows import (
    SpanTree,
    aggregate,
    call_depth,
    call_edges,
    operation_samples,
    operation_sequences,
    read_windows,
    span_tree,
    trace_companions,
)

T = TypeVar("T")
Progress = Callable[[int, int], None]

_STATE_TABLES: Final = ("intent_snapshots", "spec_suggestions", "suggestion_decisions")
_EMPTY_LAKE: Final = (
    "there is no telemetry in {data} yet; land some: evolution-lab land PATH… --data {data}"
)


class Lab:
    """A lab directory, and all that can be asked of it.

    Args:
        data: The lab directory; made by the first landing.
        config: A settings file or ready settings; looked for in ``data`` and the current directory
            otherwise.
        reports: Where reports and envelopes of approved suggestions are written.
        **settings: Single settings that win over the file and the environment.

    Raises:
        ConfigError: A setting is unknown or breaks its rule.
        PathNotFoundError: ``config`` names a file that does not exist.

    Examples:
        >>> import tempfile
        >>> from evolution_lab.datasets import sample_path
        >>> lab = Lab(tempfile.mkdtemp(), config=sample_path() / "evolution_lab.toml")
        >>> lab.land(sample_path()).rows_added > 10_000
        True
        >>> sorted({signal.kind for signal in lab.detect().signals})
        ['error-spike', 'latency-regression', 'throughput-drop']
    """

    def __init__(
        self,
        data: str | Path = "data",
        *,
        config: str | Path | EvolutionConfig | None = None,
        reports: str | Path = "reports",
        **settings: Any,
    ) -> None:
        self.data = Path(data)
        self.reports = Path(reports)
        if isinstance(config, EvolutionConfig):
            if settings:
                raise InputError("pass either ready settings or single ones, not both.")
            self.config = config
        else:
            path = Path(config) if config is not None else None
            self.config = load_config(path=path, data_dir=self.data, **settings)
        self.lake = Lake(self.data)
        self._kept: dict[tuple[object, ...], Any] = {}

    def __repr__(self) -> str:
        return f"Lab({str(self.data)!r})"

    def land(
        self,
        *sources: object,
        format: str = "auto",  # noqa: A002 (the command line's name for it)
        mapping: Iterable[str] | Mapping[str, str] = (),
        tz: str | None = None,
        service: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> LandingReport:
        """Land telemetry: files, folders, or polars, pandas, Arrow and DuckDB tables.

        Args:
            *sources: Paths or tables.
            format: A reader's name, or ``auto``.
            mapping: For tables, ``ROLE=COLUMN[:UNIT]`` each.
            tz: Zone of timestamps that carry none.
            service: Service of rows that name none.
            dry_run: Read and check, write nothing.
            progress: Called with (done, total) sources.

        Raises:
            InputError: A source, format or mapping cannot be used; the message says which.
            LakeError: The lab directory cannot be written.
        """
        report = land(
            self.lake,
            sources,
            config=self.config,
            format=format,
            mapping=mapping,
            tz=tz,
            service=service,
            dry_run=dry_run,
            progress=progress,
        )
        self._kept.clear()
        return report

    def samples(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> pl.LazyFrame:
        """Return landed samples (``schemas.SAMPLES``), times in UTC."""
        return self.lake.samples(since=since, until=until)

    def windows(
        self,
        *,
        every: str | timedelta | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        as_of: datetime | None = None,
        operation: str | None = None,
        latency_bins: bool = False,
    ) -> pl.DataFrame:
        """Return windows (``schemas.WINDOWS``) of the landed samples.

        Args:
            every: Window length; the setting ``window`` without it.
            since: Samples from here on, UTC.
            until: Samples before this, UTC.
            as_of: Close windows as of this moment; the newest sample without it.
            operation: Only this one: its key in telemetry, or its name in a document of ``specs``.
            latency_bins: Add latency histograms.

        Raises:
            EmptyLakeError: Nothing has been landed.
            UnknownNameError: Neither telemetry nor a document has the operation.
            ConfigError: The length does not divide a day.
        """
        window = self._window(every)
        frame = self._once(
            ("windows", window, since, until, as_of, latency_bins),
            lambda: aggregate(
                self._landed(since, until),
                window=window,
                as_of=as_of,
                allowed_lateness=self.config.allowed_lateness,
                latency_bins=latency_bins,
                exclude=self.config.exclude,
            ),
        )
        if operation is None:
            return frame
        return frame.filter(
            pl.any_horizontal(
                pl.col("service").eq_missing(pl.lit(service)) & (pl.col("operation_key") == key)
                for service, key in self.specs().keys_of(operation)
            )
        )

    def specs(self) -> BoundSpecs:
        """Return the OpenAPI documents of the setting ``specs``, bound to the operations seen.

        Its frame lists every operation under both names, unmatched ones included.

        Raises:
            PathNotFoundError: A document does not exist.
            InvalidDocumentError: One is no OpenAPI 3 document.
        """
        return self._once(("specs",), self._bind_specs)

    def sequences(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> pl.DataFrame:
        """Return operation sequences per trace and per actor session (``schemas.SEQUENCES``)."""
        return self._once(
            ("sequences", since, until),
            lambda: operation_sequences(
                self._spans(since, until), session_gap=self.config.session_gap
            ),
        )

    def edges(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> pl.DataFrame:
        """Return who calls whom (``schemas.EDGES``)."""
        return self._once(("edges", since, until), lambda: call_edges(self._spans(since, until)))

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
            return detector.detect(frame)
        key = (self.lake.digest(), "detection", self._window(every), since, until, as_of)
        if detectors is None and key in self._kept:
            return self._kept[key]  # type: ignore[no-any-return]
        samples = self._landed(since, until)
        frame = self.windows(every=every, since=since, until=until, as_of=as_of, latency_bins=True)
        edges = self.edges(since=since, until=until)
        spans = self._spans(since, until)
        newest = samples.select(pl.col("timestamp").max()).collect().item()
        result = detector.detect(
            frame,
            Surroundings(
                samples=samples,
                sequences=self.sequences(since=since, until=until),
                edges=edges,
                companions=empty(EDGES) if edges.height else trace_companions(spans),
                depths=call_depth(spans),
                operations=self.lake.operations(),
                as_of=as_of or newest,
            ),
        )
        store_snapshots(self.data, result.signals)
        if detectors is None:
            self._kept[key] = result
        return result

    def analyze(self, *, every: str | timedelta | None = None) -> Analysis:
        """Return usage, anomalies and optimisation hints per operation."""
        return SpecAnalyzer(self.config).analyze(
            self.windows(every=every), self.detect(every=every), specs=self.specs()
        )

    def suggest(
        self, *, every: str | timedelta | None = None, output: str | Path | None = None
    ) -> Submissions:
        """Turn what detection says into suggestions and submit them; nothing is said twice."""
        generated = SpecGenerator(self.config).generate(
            self.detect(every=every), windows=self.windows(every=every), specs=self.specs()
        )
        return self._orchestrator(output).submit_all(generated)

    def suggestions(self, status: SuggestionStatus | None = None) -> tuple[SpecSuggestion, ...]:
        """Return the suggestions of a status (all without)."""
        if not (self.data / STATE_FILE).exists():
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

    def calibrate(self) -> ConfidenceMap:
        """Refit confidence on the labels of this lab.

        Raises:
            InputError: There are too few labels; the message says how many are missing.
        """
        fitted = calibrate_on_labels(self.data)
        self._kept.clear()
        return fitted

    def report(
        self,
        output: str | Path | None = None,
        *,
        every: str | timedelta | None = None,
        command: str | None = None,
    ) -> ReportFiles:
        """Write the report: ``suggestions.html``, ``.md`` and ``.json``.

        Args:
            output: Where to; ``reports`` without it.
            every: Window length.
            command: The command that gives the report again; made up from the arguments without it.
        """
        window = format_timedelta(self._window(every))
        return write_report(
            Path(output) if output is not None else self.reports,
            detection=self.detect(every=every),
            windows=self.windows(every=every),
            suggestions=self.suggestions(),
            provenance=Provenance(
                command=command or f"evolution-lab report --data {self.data} --every {window}",
                data_digest=self.lake.digest(),
                package_version=__version__,
            ),
        )

    def sql(self, query: str) -> pl.DataFrame:
        """Answer SQL over the lab, in memory: nobody is blocked and nothing can be changed.

        Tables: ``samples``, ``operations``, ``windows`` (at the setting's length), and copies of
        ``intent_snapshots``, ``spec_suggestions`` and ``suggestion_decisions``. Times are UTC.

        Raises:
            InputError: The query is not valid; DuckDB's words are passed on.
        """
        connection = duckdb.connect()
        connection.execute("SET autoinstall_known_extensions = false; SET TimeZone = 'UTC'")
        files = [str(path) for path in self.lake.live_files("samples")]
        if files:
            listed = ", ".join(f"'{file.replace(chr(39), chr(39) * 2)}'" for file in files)
            connection.execute(
                f"CREATE VIEW samples AS SELECT * FROM read_parquet([{listed}], union_by_name=true)"  # noqa: S608 (file names of our own, quoted)
            )
            connection.register("operations", self.lake.operations().to_arrow())
            if re.search(r"\bwindows\b", query, re.IGNORECASE):
                connection.register("windows", self.windows().to_arrow())
        for name, table in self._state_tables().items():
            connection.register(name, table)
        try:
            return pl.DataFrame(connection.sql(query).to_arrow_table())
        except duckdb.Error as error:
            raise InputError(f"the query cannot be answered: {error}") from None
        finally:
            connection.close()

    def _state_tables(self) -> dict[str, Any]:
        if not (self.data / STATE_FILE).exists():
            return {}
        with open_state(self.data) as state:
            present = {row[0] for row in state.execute("SHOW TABLES").fetchall()}
            return {
                name: state.sql(f"SELECT * FROM {name}").to_arrow_table()  # noqa: S608 (fixed names)
                for name in _STATE_TABLES
                if name in present
            }

    def _bind_specs(self) -> BoundSpecs:
        documents = []
        for entry in self.config.specs:
            service, _, file = entry.rpartition("=")
            documents.append((service or None, OpenApiDocument.load(file)))
        names = ["service", "operation_key"]
        seen = (
            operation_samples(self.samples(), exclude=self.config.exclude)
            .select(names)
            .unique()
            .collect()
            if self.lake.live_files("samples")
            else empty(SAMPLES).select(names)
        )
        return bind_specs(documents, seen.iter_rows())

    def _landed(self, since: datetime | None, until: datetime | None) -> pl.LazyFrame:
        if not self.lake.live_files("samples"):
            raise EmptyLakeError(_EMPTY_LAKE.format(data=self.data))
        return self.samples(since=since, until=until)

    def _spans(self, since: datetime | None, until: datetime | None) -> SpanTree:
        return self._once(
            ("spans", since, until),
            lambda: span_tree(self._landed(since, until), exclude=self.config.exclude),
        )

    def _window(self, every: str | timedelta | None) -> timedelta:
        if every is None:
            return self.config.window
        return load_config(environment={}, window=parse_duration(every)).window

    def _orchestrator(self, output: str | Path | None = None) -> SpecSuggestionOrchestrator:
        return SpecSuggestionOrchestrator(
            DuckDBSpecSuggestionRepository(self.data),
            writer=FileSystemSuggestionWriter(self._envelopes(output)),
            config=self.config,
        )

    def _envelopes(self, output: str | Path | None) -> Path:
        return Path(output) if output is not None else self.reports / "generated"

    def _once(self, key: tuple[object, ...], compute: Callable[[], T]) -> T:
        """Keep a result until something is landed: notebooks ask for the same thing often."""
        key = (self.lake.digest(), *key)
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]  # type: ignore[no-any-return]
