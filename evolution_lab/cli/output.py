"""How commands speak: one JSON document, or tables; messages and progress on stderr."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from evolution_lab.display import progress_bar

if TYPE_CHECKING:
    from evolution_lab.display import ResultMixin

__all__ = [
    "json_for_terminals",
    "print_json",
    "print_result",
    "print_table",
    "print_text",
    "progress_bar",
    "tell",
    "utc",
]

_WRAPPED = frozenset(
    {
        "operation",
        "likely origin",
        "summary",
        "workflow",
        "source",
        "note",
        "reason",
        "found",
        "advice",
        "about",
        "said",
    }
)
"""Columns that may take several lines; the others are read at a glance."""
_NARROWEST = 24
_UNBOUNDED = 10_000


def print_json(document: object) -> None:
    """Print one JSON document with two spaces of indentation."""
    import orjson

    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
    content = orjson.dumps(document, option=options, default=str)
    sys.stdout.write(json_for_terminals(content) + "\n")


def json_for_terminals(content: bytes) -> str:
    r"""Return JSON in which what a terminal would obey is escaped; it means the same.

    Examples:
        >>> json_for_terminals('"a\u009b31m"'.encode())
        '"a\\u009b31m"'
    """
    text = content.decode()
    if text.isascii():  # JSON escapes those of ASCII itself.
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" if ord(c) < 0x10000 else "\ufffd"
        for c in text
    )


def print_text(text: object) -> None:
    """Print text on stdout, without what a terminal would obey."""
    sys.stdout.write(f"{_harmless(str(text))}\n")


def tell(message: str) -> None:
    """Print a message for people on stderr, without what a terminal would obey."""
    sys.stderr.write(f"{_harmless(message)}\n")


def _harmless(text: str) -> str:
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


def utc(moment: datetime | None) -> datetime | None:
    """Take a time without a zone for UTC."""
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table; cells come from strangers and are shown as they are.

    In a terminal the columns of names fold to its width; numbers and times are never cut. Anywhere
    else (a pipe, a file) every row is one line.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from evolution_lab.display import strip_controls

    cells = [[strip_controls(cell) for cell in row] for row in rows]
    console = Console(file=sys.stdout, highlight=False, emoji=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _UNBOUNDED
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for place, column in enumerate(columns):
        widest = max([len(column), *(len(row[place]) for row in cells)])
        folds = column in _WRAPPED
        table.add_column(
            column,
            overflow="fold",
            no_wrap=not folds,
            min_width=min(widest, _NARROWEST) if folds else widest,
        )
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    with console.capture() as capture:
        console.print(table)
    print_text("\n".join(line.rstrip() for line in capture.get().rstrip().splitlines()) + "\n")


def print_result(result: ResultMixin, title: str) -> None:
    """Print a result as a table of all its columns."""
    from evolution_lab.display import format_value

    rows = result.to_dicts()
    columns = list(rows[0]) if rows else []
    if rows:
        cells = [[format_value(row[column]) for column in columns] for row in rows]
        print_table(title, columns, cells)
