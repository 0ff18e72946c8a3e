"""A lab that a colleague handed on as one file: all of it can be looked at, nothing changed."""

from __future__ import annotations

import shlex
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import duckdb
import polars as pl

from evolution_lab.approval import SpecSuggestionOrchestrator
from evolution_lab.approval.read_only import ReadOnlySpecSuggestionRepository
from evolution_lab.config import parse_duration
from evolution_lab.errors import InputError, ReadOnlyLabError
from evolution_lab.export import Provenance, ReportFiles, write_report
from evolution_lab.export.lab_file import read_lab_file
from evolution_lab.export.series import signals_behind
from evolution_lab.records import DetectionResult, SpecSuggestion, SuggestionStatus
from evolution_lab.review import ReviewBoard, review_panel
from evolution_lab.windows import roll_up

if TYPE_CHECKING:
    from anywidget import AnyWidget


class OpenedLab:
    """What ``Lab.open_export`` gives: the reading half of a ``Lab``.

    Every method that would land, propose or decide something is there and refuses with the reason.

    Args:
        file: What ``Lab.export`` wrote.

    Raises:
        PathNotFoundError: There is no such file.
        CorruptFileError: It is no exported lab, or is damaged.
        FormatVersionError: A newer version of the package wrote it.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        self._contents = read_lab_file(self.file)
        repository = ReadOnlySpecSuggestionRepository(self._contents.suggestions, self._refusal)
        self._orchestrator = SpecSuggestionOrchestrator(repository)

    def __repr__(self) -> str:
        return f"OpenedLab({str(self.file)!r})"

    @property
    def about(self) -> dict[str, Any]:
        """What the file says of itself: times, counts, version and the digest of its lake."""
        return self._contents.about()

    def windows(self, *, operation: str | None = None, latency_bins: bool = False) -> pl.DataFrame:
        """Return the windows (``schemas.WINDOWS``), of the length they were exported with.

        Args:
            operation: Only those of this operation key.
            latency_bins: Keep the latency histograms.
        """
        frame = self._contents.windows
        if not latency_bins:
            frame = frame.drop("latency_bins", strict=False)
        return frame if operation is None else frame.filter(pl.col("operation_key") == operation)

    def roll_up(
        self, *, every: str | timedelta = "1h", operation: str | None = None
    ) -> pl.DataFrame:
        """Return hours or days of the windows, from their histograms; see ``Lab.roll_up``.

        Args:
            every: Length of the merged windows.
            operation: Only those of this operation key.

        Raises:
            FrameContractError: The lab was exported without histograms.
            InputError: The exported windows do not fit into the longer ones.
        """
        windows = self.windows(operation=operation, latency_bins=True)
        return roll_up(windows, every=parse_duration(every))

    def detect(self) -> DetectionResult:
        """Return what was found when the lab was exported; nothing is computed anew."""
        return self._contents.detection

    def suggestions(self, status: SuggestionStatus | None = None) -> tuple[SpecSuggestion, ...]:
        """Return the suggestions of a status (all without), with the decisions on them."""
        return self._orchestrator.list(status)

    def suggestion(self, suggestion_id: str) -> SpecSuggestion:
        """Return one suggestion by its id or an unambiguous beginning of it.

        Raises:
            UnknownNameError: No suggestion has this id.
        """
        return self._orchestrator.get(suggestion_id)

    def review_board(self) -> ReviewBoard:
        """Return what the review panel shows of this lab; it lets nobody decide."""
        signals, windows = self._contents.detection.signals, self.windows()
        return ReviewBoard(
            self._orchestrator,
            evidence=lambda suggestion: signals_behind(suggestion, signals, windows),
        )

    def review(self) -> AnyWidget:
        """Return the review panel as a widget, for a notebook."""
        return review_panel(self.review_board())

    def report(self, output: str | Path = "reports", *, command: str | None = None) -> ReportFiles:
        """Write the report: ``suggestions.html``, ``.md`` and ``.json``.

        Args:
            output: Where to.
            command: The command that gives the report again; made up without it.
        """
        again = f"evolution-lab lab open {shlex.quote(self.file.name)} --report reports"
        return write_report(
            Path(output),
            detection=self._contents.detection,
            windows=self.windows(),
            suggestions=self.suggestions(),
            provenance=Provenance(
                command=command or again,
                suggestion_command=again,
                data_digest=self._contents.data_digest,
                package_version=self._contents.package_version,
            ),
        )

    def sql(self, query: str) -> pl.DataFrame:
        """Answer SQL over the tables ``windows`` and ``signals``, in memory.

        Raises:
            InputError: The query is not valid; DuckDB's words are passed on.
        """
        connection = duckdb.connect()
        connection.execute("SET autoinstall_known_extensions = false; SET TimeZone = 'UTC'")
        connection.register("windows", self.windows(latency_bins=True).to_arrow())
        signals = pl.DataFrame(self._contents.detection.to_dicts())
        if signals.width:
            connection.register("signals", signals.to_arrow())
        try:
            return pl.DataFrame(connection.sql(query).to_arrow_table())
        except duckdb.Error as error:
            raise InputError(f"the query cannot be answered: {error}") from None
        finally:
            connection.close()

    def land(self, *_: object, **__: object) -> NoReturn:
        """Refuse: nothing can be landed here."""
        raise self._refusal("land telemetry")

    def import_traffic(self, *_: object, **__: object) -> NoReturn:
        """Refuse: no recordings can be brought in here."""
        raise self._refusal("import traffic")

    def suggest(self, **_: object) -> NoReturn:
        """Refuse: nothing new is proposed here."""
        raise self._refusal("submit suggestions")

    def approve(self, *_: object, **__: object) -> NoReturn:
        """Refuse: decisions are taken in the lab this came from."""
        raise self._refusal("approve a suggestion")

    def reject(self, *_: object, **__: object) -> NoReturn:
        """Refuse: decisions are taken in the lab this came from."""
        raise self._refusal("reject a suggestion")

    def reopen(self, *_: object, **__: object) -> NoReturn:
        """Refuse: decisions are taken in the lab this came from."""
        raise self._refusal("reopen a suggestion")

    def register_experiment(self, *_: object, **__: object) -> NoReturn:
        """Refuse: experiments are registered in the lab this came from."""
        raise self._refusal("register an experiment")

    def label(self, *_: object, **__: object) -> NoReturn:
        """Refuse: signals are labelled in the lab this came from."""
        raise self._refusal("label a signal")

    def calibrate(self) -> NoReturn:
        """Refuse: confidence is refitted in the lab this came from."""
        raise self._refusal("refit confidence")

    def add_deployment(self, **_: object) -> NoReturn:
        """Refuse: deployments are told to the lab this came from."""
        raise self._refusal("add a deployment")

    def _refusal(self, step: str) -> ReadOnlyLabError:
        return ReadOnlyLabError(self.file, step)
