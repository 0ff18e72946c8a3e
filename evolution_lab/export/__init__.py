"""Export: takes signals, suggestions and decisions, gives files for people and for tools.

``write_report`` writes what was found as HTML, Markdown and JSON; ``signal_figure`` and
``overview_figure`` are its charts for a notebook; ``FileSystemSuggestionWriter`` writes approved
suggestions as envelopes.
"""

from evolution_lab.export.comparison import ReportComparison, compare_reports, read_report
from evolution_lab.export.content import Provenance
from evolution_lab.export.envelopes import FileSystemSuggestionWriter
from evolution_lab.export.figures import overview_figure, signal_figure
from evolution_lab.export.report import ReportFiles, report_document, write_report
from evolution_lab.export.sparkline import sparkline_svg, sparkline_text

__all__ = [
    "FileSystemSuggestionWriter",
    "Provenance",
    "ReportComparison",
    "ReportFiles",
    "compare_reports",
    "overview_figure",
    "read_report",
    "report_document",
    "signal_figure",
    "sparkline_svg",
    "sparkline_text",
    "write_report",
]
