"""How results show themselves: one mixin, one set of formats, one plotly template.

Rounding happens here and only here; results keep the numbers they computed.
"""

from __future__ import annotations

import html
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import polars as pl

Progress = Callable[[int, int], None]
"""Told how far long work has come: (done, total)."""

WORTH_A_BAR = 2.0
"""Seconds that work may take before a notebook shows a bar unasked."""

COLORS: dict[str, str] = {
    "ink": "#1f2933",
    "muted": "#7b8794",
    "any": "#6b7682",
    "line": "#2f6fb2",
    "band": "rgba(47,111,178,0.16)",
    "high": "#c0392b",
    "medium": "#d68910",
    "low": "#2f6fb2",
    "good": "#2e8b57",
}
"""The palette of figures, reports and the panel; readable on white and on dark grey."""
_HAIR = "rgba(128,128,128,0.25)"


def format_value(value: object) -> str:
    """Format one value for people: four significant digits, ISO times, an en dash for None.

    Examples:
        >>> [format_value(v) for v in (0.123456, 1234567, None, True, 3.2e-9)]
        ['0.1235', '1,234,567', '–', 'yes', '3.2e-09']
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "–"
        if value == 0 or 1e-3 <= abs(value) < 1e6:
            return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
        return f"{value:.3g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S") if value.second else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, (list, tuple)):
        return ", ".join(format_value(item) for item in value)
    return str(value)


def format_duration(duration_ns: float | None) -> str:
    """Format nanoseconds in the unit a person would choose.

    Examples:
        >>> [format_duration(v) for v in (850, 1_500_000, 2_340_000_000, None)]
        ['850 ns', '1.5 ms', '2.34 s', '–']
    """
    if duration_ns is None or not math.isfinite(duration_ns):
        return "–"
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if abs(duration_ns) >= size:
            return f"{duration_ns / size:.3g} {unit}"
    return f"{duration_ns:.3g} ns"


def format_quantity(value: float | None, unit: str) -> str:
    """Format a value of a signal in its unit: ``fraction``, ``ns`` or ``calls``.

    Examples:
        >>> format_quantity(0.0512, "fraction"), format_quantity(2e9, "ns")
        ('5.12 %', '2 s')
    """
    if value is None:
        return "–"
    if unit == "fraction":
        return f"{value * 100:.3g} %"
    if unit == "ns":
        return format_duration(value)
    return format_value(value)


_MARKDOWN_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>#|~!"})


def escape_markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is: on one line, with no markup and no HTML.

    Examples:
        >>> escape_markdown("<img src=x> | [a](b)")
        '\\<img src=x\\> \\| \\[a\\](b)'
    """
    return strip_controls(text).translate(_MARKDOWN_SPECIAL)


def strip_controls(text: str) -> str:
    r"""Replace control characters (line breaks, ANSI escapes, bidi overrides) by a space.

    Names and messages come from strangers; a terminal or a table must not obey them.

    Examples:
        >>> strip_controls("a\x1b[31mb\nc")
        'a [31mb c'
    """
    return "".join(c if c.isprintable() or c == " " else " " for c in text)


class ResultMixin:
    """Gives a result its table forms; a subclass says its rows in ``to_dicts``.

    A subclass may set ``_title`` and ``_columns`` (the columns shown in tables; all without it).
    """

    _title: ClassVar[str] = ""
    _columns: ClassVar[Sequence[str] | None] = None

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the result as one dict a row."""
        raise NotImplementedError

    def to_polars(self) -> pl.DataFrame:
        """Return the result as a polars frame, one row a dict of ``to_dicts``."""
        import polars as pl

        return pl.DataFrame(self.to_dicts(), infer_schema_length=None)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = self.to_dicts()
        names = list(self._columns or (rows[0] if rows else ()))
        return names, [[strip_controls(format_value(row.get(n))) for n in names] for row in rows]

    def to_markdown(self) -> str:
        """Return the result as a Markdown table; text from traffic is escaped."""
        names, rows = self._table()
        if not rows:
            return "(nothing to show)\n"
        lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
        lines += ["| " + " | ".join(escape_markdown(cell) for cell in row) + " |" for row in rows]
        return "\n".join(lines) + "\n"

    def __str__(self) -> str:
        names, rows = self._table()
        title = f"{self._title}\n" if self._title else ""
        if not rows:
            return f"{title}(nothing to show)"
        widths = [max(len(n), *(len(r[i]) for r in rows)) for i, n in enumerate(names)]
        lines = ["  ".join(n.ljust(w) for n, w in zip(names, widths, strict=True)).rstrip()]
        lines += [
            "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows
        ]
        return title + "\n".join(lines)

    def _repr_html_(self) -> str:
        names, rows = self._table()
        title = f"<caption>{html.escape(self._title)}</caption>" if self._title else ""
        if not rows:
            return f"<table>{title}<tr><td>(nothing to show)</td></tr></table>"
        head = "".join(f"<th>{html.escape(n)}</th>" for n in names)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows
        )
        return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def plotly_template() -> Any:
    """Return the plotly template ``evolution_lab``, registering it at the first call.

    It says colours and fonts only, so that it can stand on a light or a dark base:
    ``template="plotly_white+evolution_lab"``. ``evolution_lab_any_ground``, registered with it, makes
    a figure stand on whatever is behind it, such as a notebook whose theme changes.
    """
    import plotly.graph_objects as go
    import plotly.io as pio

    if "evolution_lab" not in pio.templates:
        order = [COLORS[name] for name in ("line", "high", "good", "medium", "muted")]
        layout: Mapping[str, Any] = {
            "colorway": order,
            "font": {"family": "system-ui, sans-serif", "size": 13},
            "margin": {"l": 56, "r": 16, "t": 40, "b": 40},
            "hovermode": "x unified",
            "legend": {"orientation": "h", "y": 1.08, "x": 0},
        }
        pio.templates["evolution_lab"] = go.layout.Template(layout=layout)
        axis = {"gridcolor": _HAIR, "linecolor": _HAIR, "zerolinecolor": _HAIR}
        pio.templates["evolution_lab_any_ground"] = go.layout.Template(
            layout={
                "paper_bgcolor": "rgba(0,0,0,0)",
                "plot_bgcolor": "rgba(0,0,0,0)",
                "font": {"color": COLORS["any"]},
                "xaxis": axis,
                "yaxis": axis,
                "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": COLORS["any"]},
            }
        )
    return pio.templates["evolution_lab"]


@contextmanager
def progress_bar(description: str, *, after: float = 0.0) -> Iterator[Progress]:
    """Show a bar with the time left, on stderr of a terminal or in a notebook; nothing elsewhere.

    Args:
        description: What is done, a word or two.
        after: Seconds of work before it is shown.

    Examples:
        >>> with progress_bar("counting") as progress:
        ...     for done in range(3):
        ...         progress(done + 1, 3)
    """
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        """The share done and the time left; the time passed while nothing is known of the rest."""

        def render(self, task: Task) -> Text:
            if task.total is None:
                return Text(f"{_clock(task.elapsed)} so far")
            left = "…" if task.time_remaining is None else _clock(task.time_remaining)
            return Text(f"{task.percentage:3.0f} %, {left} left")

    console = Console(stderr=True)
    begun = time.monotonic()
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeLeft(),
        console=console,
        transient=True,
        disable=not (console.is_terminal or console.is_jupyter),
    )
    task = bar.add_task(strip_controls(description), total=None)

    def tell(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        if not bar.live.is_started and time.monotonic() - begun >= after:
            bar.start()

    if not after:
        bar.start()
    try:
        yield tell
    finally:
        bar.stop()


@contextmanager
def notebook_progress(description: str, given: Progress | None) -> Iterator[Progress | None]:
    """Yield what the caller gave; in a notebook that gave nothing, a bar for work of some length.

    Args:
        description: What is done, a word or two.
        given: The caller's own ``progress``.
    """
    if given is not None or not _in_notebook():
        yield given
        return
    with progress_bar(description, after=WORTH_A_BAR) as tell:
        yield tell


def part_of(progress: Progress | None, *, first: int, of: int) -> Progress:
    """Return the progress of a part that is one step of a whole.

    Args:
        progress: Of the whole; None for nobody to tell.
        first: Steps of the whole that are done before the part begins.
        of: Steps of the whole.

    Examples:
        >>> part_of(lambda done, total: print(f"{done} of {total}"), first=1, of=4)(5, 10)
        150 of 400
    """

    def tell(done: int, total: int) -> None:
        if progress is not None:
            share = done / total if total else 1.0
            progress(round(100 * (first + min(share, 1.0))), 100 * of)

    return tell


def _clock(seconds: float | None) -> str:
    minutes, rest = divmod(round(seconds or 0.0), 60)
    return f"{minutes}:{rest:02d}"


def _in_notebook() -> bool:
    """Say whether this is a Jupyter kernel, without loading IPython to find out."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")
