"""How results show themselves: one mixin, one set of formats, one plotly template.

Rounding happens here and only here; results keep the numbers they computed.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import polars as pl

COLORS: dict[str, str] = {
    "ink": "#1f2933",
    "muted": "#7b8794",
    "line": "#2f6fb2",
    "band": "rgba(47,111,178,0.16)",
    "high": "#c0392b",
    "medium": "#d68910",
    "low": "#2f6fb2",
    "good": "#2e8b57",
}
"""The palette of figures, reports and the panel; readable on white and on dark grey."""


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
    ``template="plotly_white+evolution_lab"``.
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
    return pio.templates["evolution_lab"]
