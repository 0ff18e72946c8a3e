"""The report as three files: HTML and Markdown for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import polars as pl

from evolution_lab.display import ResultMixin
from evolution_lab.export.content import Provenance, report_content
from evolution_lab.export.csv_tables import signals_csv, suggestions_csv
from evolution_lab.export.html import render_html
from evolution_lab.export.markdown import render_markdown
from evolution_lab.export.rollouts import RolloutContent
from evolution_lab.intents.silences import Silences
from evolution_lab.records import DetectionResult, SpecSuggestion, to_python
from evolution_lab.schemas import WINDOWS, check
from evolution_lab.suggestions.identity import json_ready
from evolution_lab.telemetry.publishing import make_folder, publish_bytes

REPORT_FORMAT_VERSION: Final = 1
_NAME: Final = "suggestions"


@dataclass(frozen=True, kw_only=True)
class ReportFiles(ResultMixin):
    """Where a report was written.

    Attributes:
        html: One self-contained page.
        markdown: The same for a pull request.
        json: The same for programs, see ``report_document``.
        tables: ``signals.csv`` and ``suggestions.csv``, where they were asked for.
    """

    _title: ClassVar[str] = "Report"

    html: Path
    markdown: Path
    json: Path
    tables: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files written."""
        return (self.html, self.markdown, self.json, *self.tables)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row a file: ``format``, ``path`` and ``bytes``."""
        return [
            {"format": name, "path": str(path), "bytes": path.stat().st_size}
            for name, path in (
                ("html", self.html),
                ("markdown", self.markdown),
                ("json", self.json),
                *(("csv", path) for path in self.tables),
            )
        ]


def write_report(  # noqa: PLR0913 - each part of a report is an argument
    output: Path,
    *,
    detection: DetectionResult,
    windows: pl.DataFrame,
    suggestions: Sequence[SpecSuggestion],
    provenance: Provenance,
    rollouts: Sequence[RolloutContent] = (),
    silences: Silences | None = None,
    light: bool = False,
    tables: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ReportFiles:
    """Write ``suggestions.html``, ``suggestions.md`` and ``suggestions.json`` into a folder.

    Each file appears whole or not at all. The same arguments give the same bytes: no clock and no
    order of rows goes in.

    Args:
        output: The folder; created when absent.
        detection: What was found.
        windows: The ``schemas.WINDOWS`` frame it was found in, all windows of one length.
        suggestions: All suggestions, of any status.
        provenance: What gives the numbers again.
        rollouts: Experiments with what was decided of them.
        silences: Of which operations nobody wanted to be told: mutes and maintenance windows.
        light: Leave plotly out of the HTML: small trends in place of charts.
        tables: Write ``signals.csv`` and ``suggestions.csv`` too, safe for spreadsheets.
        progress: Called with (figures done, figures in all).

    Returns:
        The paths of the files.

    Raises:
        FrameContractError: ``windows`` breaks its contract.
        OSError: The folder cannot be written to.
    """
    check(windows, WINDOWS)
    content = report_content(
        detection=detection,
        windows=windows,
        suggestions=suggestions,
        provenance=provenance,
        rollouts=rollouts,
        silences=silences,
    )
    document = report_document(
        detection=detection,
        suggestions=content.suggestions,
        provenance=provenance,
        rollouts=rollouts,
        silences=content.silences,
    )
    written = ReportFiles(
        html=output / f"{_NAME}.html",
        markdown=output / f"{_NAME}.md",
        json=output / f"{_NAME}.json",
        tables=(output / "signals.csv", output / "suggestions.csv") if tables else (),
    )
    make_folder(output)
    publish_bytes(written.html, _utf8(render_html(content, light=light, progress=progress)))
    publish_bytes(written.markdown, _utf8(render_markdown(content)))
    publish_bytes(written.json, _utf8(json.dumps(document, indent=2, allow_nan=False) + "\n"))
    if tables:
        texts = (signals_csv(detection.signals), suggestions_csv(content.suggestions))
        for path, text in zip(written.tables, texts, strict=True):
            publish_bytes(path, _utf8(text))
    return written


def report_document(
    *,
    detection: DetectionResult,
    suggestions: Sequence[SpecSuggestion],
    provenance: Provenance,
    rollouts: Sequence[RolloutContent] = (),
    silences: Silences | None = None,
) -> Mapping[str, Any]:
    """Return the report as JSON-ready values with camelCase names.

    The members are ``formatVersion``, ``provenance``, ``detection`` (as ``detect --json`` prints
    it), ``suggestions``, ``rollouts`` and ``silences``. NaN and infinities, which JSON cannot say, are null.
    """
    written = {
        "command": provenance.command,
        "dataDigest": provenance.data_digest,
        "packageVersion": provenance.package_version,
        "generatedAt": provenance.generated_at,
    }
    document = {
        "formatVersion": REPORT_FORMAT_VERSION,
        "provenance": written,
        "detection": to_python(detection),
        "suggestions": [to_python(suggestion) for suggestion in suggestions],
        "rollouts": [rollout.document() for rollout in rollouts],
        "silences": [to_python(silence) for silence in (silences or Silences()).silences],
    }
    return {name: json_ready(value) for name, value in document.items()}


def _utf8(text: str) -> bytes:
    """Encode a file; what no encoding can say (a lone surrogate from a stranger) becomes ``?``."""
    return text.encode("utf-8", "replace")
