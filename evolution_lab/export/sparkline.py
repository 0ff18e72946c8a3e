"""Small charts without plotly: an SVG of a few hundred bytes, and a line of block characters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 160
HEIGHT: Final = 28
_FRAME: Final = f'width="{WIDTH}" height="{HEIGHT}" preserveAspectRatio="none" role="img"'
_MARGIN: Final = 2.0
_MOST_POINTS: Final = 80
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_MOST_BLOCKS: Final = 32


def sparkline_svg(
    values: Sequence[float | None], *, marked: tuple[int, int] | None = None, label: str = ""
) -> str:
    """Return an inline SVG line of the values, from 0 to their highest.

    Colours are the CSS classes ``spark-line`` and ``spark-mark``; gaps stay gaps. Of more than 80
    values each point is the highest of its share, so that no spike is lost.

    Args:
        values: One value a window; None for a gap.
        marked: First and last position of the part to shade, both included.
        label: What a screen reader says; characters with a meaning in XML are escaped.

    Examples:
        >>> sparkline_svg([1, 2], label="<p95>")[:67]
        '<svg class="spark" viewBox="-0.5 0 2 28" width="160" height="28" pr'
    """
    box, drawn = _drawing(values, marked)
    return f'<svg class="spark" {box} {_FRAME} aria-label="{_attribute(label)}">{drawn}</svg>'


def sparkline_symbol(
    name: str, values: Sequence[float | None], *, marked: tuple[int, int] | None = None
) -> str:
    """Return the drawing of ``sparkline_svg`` to be shown in several places of a page.

    Args:
        name: Its id on the page.
        values: One value a window; None for a gap.
        marked: First and last position of the part to shade, both included.
    """
    box, drawn = _drawing(values, marked)
    return f'<symbol id="{_attribute(name)}" {box} preserveAspectRatio="none">{drawn}</symbol>'


def sparkline_use(name: str, *, label: str = "") -> str:
    """Return a place where the drawing of a ``sparkline_symbol`` is shown."""
    return (
        f'<svg class="spark" {_FRAME} aria-label="{_attribute(label)}">'
        f'<use href="#{_attribute(name)}"/></svg>'
    )


def _drawing(values: Sequence[float | None], marked: tuple[int, int] | None) -> tuple[str, str]:
    """Return the view box and what is drawn in it."""
    points = _highest(values, _MOST_POINTS)
    top = max((value for value in points if value is not None), default=0.0) or 1.0
    parts = []
    if marked is not None and values:
        first, last = marked
        scale = len(points) / len(values)
        width = max((last - first + 1) * scale, len(points) / WIDTH)
        parts.append(
            f'<rect class="spark-mark" x="{first * scale - 0.5:.2f}" y="0" '
            f'width="{width:.2f}" height="{HEIGHT}"/>'
        )
    path, pen_down = [], False
    for x, value in enumerate(points):
        if value is not None:
            y = HEIGHT - _MARGIN - max(value, 0.0) / top * (HEIGHT - 2 * _MARGIN)
            path.append(f"{'L' if pen_down else 'M'}{x} {y:.1f}")
        pen_down = value is not None
    parts.append(f'<path class="spark-line" d="{"".join(path)}"/>')
    return f'viewBox="-0.5 0 {max(len(points), 1)} {HEIGHT}"', "".join(parts)


def sparkline_text(values: Sequence[float | None]) -> str:
    """Return at most 32 block characters, each the highest value of its share of the windows.

    Examples:
        >>> sparkline_text([0, 1, None, 4, 8])
        '▁▂ ▅█'
    """
    highest = _highest(values, _MOST_BLOCKS)
    top = max((v for v in highest if v is not None), default=0.0) or 1.0
    return "".join(
        " " if value is None else _BLOCKS[min(round(max(value, 0.0) / top * 7), 7)]
        for value in highest
    )


def _highest(values: Sequence[float | None], most: int) -> list[float | None]:
    """Return at most ``most`` values, each the highest of its share; None where all are gaps."""
    count = min(len(values), most)
    edges = [round(i * len(values) / count) for i in range(count + 1)] if count else []
    return [
        max((v for v in values[low:high] if v is not None and math.isfinite(v)), default=None)
        for low, high in itertools.pairwise(edges)
    ]


def _attribute(text: str) -> str:
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(char, entity)
    return text
