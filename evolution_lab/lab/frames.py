"""What is in a lab: landing, samples, windows, sequences, edges, and the names of operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import polars as pl

from evolution_lab.config import EvolutionConfig, load_config, parse_duration
from evolution_lab.contracts import BoundSpecs, OpenApiDocument, bind_specs
from evolution_lab.display import Progress, notebook_progress
from evolution_lab.errors import CorruptFileError, EmptyLakeError, InputError, LakeError
from evolution_lab.schemas import SAMPLES, empty
from evolution_lab.telemetry import Lake, LandingReport, land
from evolution_lab.telemetry.verifying import verify
from evolution_lab.windows import (
    SpanTree,
    aggregate_landed,
    aggregate_on,
    call_edges,
    operation_samples,
    operation_sequences,
    span_tree,
)
from evolution_lab.windows.engines import engine_name
from evolution_lab.windows.kept_windows import kept_windows
from evolution_lab.windows.revisions import with_revisions
from evolution_lab.windows.spark_engine import LOCAL_MASTER, spark_engine
from evolution_lab.windows.stored_windows import folder_of_length

T = TypeVar("T")

_EMPTY_LAKE: Final = (
    "there is no telemetry in {data} yet; land some: evolution-lab land PATH… --data {data}"
)


class LabFrames:
    """The frames of a lab directory; see ``Lab``."""

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

    def land(  # noqa: PLR0913 - one keyword for each flag of the command
        self,
        *sources: object,
        format: str = "auto",  # noqa: A002 (the command line's name for it)
        mapping: Iterable[str] | Mapping[str, str] = (),
        tz: str | None = None,
        service: str | None = None,
        dry_run: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        share: float = 1.0,
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> LandingReport:
        """Land telemetry: files, folders, or polars, pandas, Arrow and DuckDB tables.

        Args:
            *sources: Paths or tables.
            format: A reader's name, or ``auto``.
            mapping: For tables, ``ROLE=COLUMN[:UNIT]`` each.
            tz: Zone of timestamps that carry none.
            service: Service of rows that name none.
            dry_run: Read and check, write nothing; the report's ``preview`` shows what would be
                landed and warns of units that can hardly be right.
            since: Land only events from here on; aware.
            until: Land only events before this; aware.
            share: Land only this share of the traces, each row weighing ``1 / share``.
            workers: Processes that parse large files of OTLP JSON; by their size without it.
            progress: Called with (bytes read, bytes in all); a notebook shows a bar without it.

        Raises:
            InputError: A source, format or mapping cannot be used; the message says which.
            LakeError: The lab directory cannot be written.
        """
        with notebook_progress("landing", progress) as tell:
            report = land(
                self.lake,
                sources,
                config=self.config,
                format=format,
                mapping=mapping,
                tz=tz,
                service=service,
                dry_run=dry_run,
                since=since,
                until=until,
                share=share,
                workers=workers,
                progress=tell,
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
        engine: str = "polars",
        master: str | None = None,
        progress: Progress | None = None,
    ) -> pl.DataFrame:
        """Return windows (``schemas.WINDOWS``) of the landed samples.

        Args:
            every: Window length; the setting ``window`` without it.
            since: Samples from here on, UTC.
            until: Samples before this, UTC.
            as_of: Close windows as of this moment; the newest sample without it.
            operation: Only this one: its key in telemetry, or its name in a document of ``specs``.
            latency_bins: Add latency histograms; by polars only.
            engine: What computes them: ``polars`` here, or ``spark``. The windows are the same.
            master: Of Spark, such as ``spark://HOST:7077``; this machine without it.
            progress: Called with (done, total); in a notebook a bar is shown without it.

        Raises:
            EmptyLakeError: Nothing has been landed.
            EngineError: Spark, or its cluster, cannot do it.
            MissingExtraError: PySpark is not installed.
            InputError: There is no such engine, or it counts no histograms.
            UnknownNameError: Neither telemetry nor a document has the operation.
            ConfigError: The length does not divide a day.
        """
        window = self._window(every)
        name = engine_name(engine, latency_bins=latency_bins)
        lateness, exclude = self.config.allowed_lateness, self.config.exclude

        def here(tell: Progress | None) -> pl.DataFrame:
            whole = since is until is as_of is None
            if whole and (self.data / "lake" / folder_of_length(window)).is_dir():
                stored = self._stored_windows(window, as_of=None, latency_bins=latency_bins)
                if stored is not None:
                    return stored
            return aggregate_landed(
                self._landed_lake(),
                window=window,
                since=since,
                until=until,
                as_of=as_of,
                allowed_lateness=lateness,
                latency_bins=latency_bins,
                exclude=exclude,
                progress=tell,
            ).frame

        def on_spark() -> pl.DataFrame:
            lake = self._landed_lake()
            with spark_engine(master or LOCAL_MASTER) as spark:
                return aggregate_on(
                    spark,
                    lake,
                    window=window,
                    since=since,
                    until=until,
                    as_of=as_of,
                    allowed_lateness=lateness,
                    exclude=exclude,
                )

        def with_history() -> pl.DataFrame:
            with notebook_progress("windows", progress) as tell:
                frame = on_spark() if name == "spark" else here(tell)
            return with_revisions(frame, self.lake, window=window, allowed_lateness=lateness)

        frame = self._once(
            ("windows", name, window, since, until, as_of, latency_bins), with_history
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

    def _landed_lake(self) -> Lake:
        if not self.lake.live_files("samples"):
            raise EmptyLakeError(_EMPTY_LAKE.format(data=self.data))
        return self.lake

    def _landed(self, since: datetime | None, until: datetime | None) -> pl.LazyFrame:
        return self._landed_lake().samples(since=since, until=until)

    def _spans(self, since: datetime | None, until: datetime | None) -> SpanTree:
        return self._once(
            ("spans", since, until),
            lambda: span_tree(self._landed(since, until), exclude=self.config.exclude),
        )

    def _stored_windows(
        self, window: timedelta, *, as_of: datetime | None, latency_bins: bool
    ) -> pl.DataFrame | None:
        """Return the windows that the lake keeps; None where it cannot keep them (read-only, locked)."""
        if window % timedelta(minutes=1):
            return None
        try:
            return kept_windows(
                self._landed_lake(),
                window=window,
                as_of=as_of,
                allowed_lateness=self.config.allowed_lateness,
                latency_bins=latency_bins,
                exclude=self.config.exclude,
            )
        except (LakeError, OSError, pl.exceptions.PolarsError):
            return None  # Read anew: what is wrong with the samples themselves is said then.

    def _window(self, every: str | timedelta | None) -> timedelta:
        if every is None:
            return self.config.window
        return load_config(environment={}, window=parse_duration(every)).window

    def _once(self, key: tuple[object, ...], compute: Callable[[], T]) -> T:
        """Keep a result until something is landed: notebooks ask for the same thing often."""
        key = (self.lake.digest(), *key)
        if key not in self._kept:
            try:
                self._kept[key] = compute()
            except pl.exceptions.PolarsError as error:
                raise self._damage(error) from error
        return self._kept[key]  # type: ignore[no-any-return]

    def _damage(self, error: Exception) -> Exception:
        """Return what says which file of the lake is damaged; the error itself where none is."""
        found = next((each for each in verify(self.lake).findings if each.harmful), None)
        if found is None:
            return error
        return CorruptFileError(
            f"{self.lake.root / found.path}: {found.problem} evolution-lab lake verify lists all that "
            "is damaged; put the file back, or take its landing back (lake forget) and land it again."
        )
