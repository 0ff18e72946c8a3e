"""The report as one HTML file that opens offline: plotly once, figures as data, nothing fetched.

Text from traffic reaches the page in three ways only: through Jinja's autoescaping, as JSON in a
data block in which ``<`` is escaped, and through ``figure_text`` inside figures. A content security
policy allows the two scripts by their hashes and no network at all.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from markupsafe import Markup

from evolution_lab.display import format_value, plotly_template, strip_controls
from evolution_lab.export import facts
from evolution_lab.export.content import ReportContent, SignalContent
from evolution_lab.export.figures import overview_figure, series_figure
from evolution_lab.export.rollouts import HEADINGS
from evolution_lab.export.sparkline import sparkline_symbol, sparkline_use
from evolution_lab.intents.silences import HEADINGS as SILENCE_HEADINGS
from evolution_lab.suggestions.identity import json_ready
from evolution_lab.suggestions.wording import describe_workflow, name_of

MOST_FIGURES: Final = 60
"""Signals with a plotly chart, the gravest first; further ones show their sparkline."""
MOST_VERDICTS: Final = 100
"""Verdicts of thin traffic listed by metric; the JSON file has all."""
MANY_CARDS: Final = 150
"""From here on the browser lays out only what is on the screen."""
MOST_TRENDS: Final = 4
"""Signals whose trend stands beside a suggestion."""
_NO_SCRIPT: Final = "'none'"
_LONGEST_TEXT: Final = 4_000
_GRAVITY: Final = {"high": 0, "medium": 1, "low": 2}
_TEMPLATES: Final = "evolution_lab.export"


def render_html(
    content: ReportContent,
    *,
    light: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Return the report as one self-contained HTML document, about 2 MB for an ordinary lab.

    Args:
        content: What the report says.
        light: Leave plotly out: small trends for charts, no script at all, under 300 KB for an
            ordinary lab.
        progress: Called with (figures done, figures in all).
    """
    figures = {} if light else _figures(content, progress)
    plotly_js, report_js = ("", "") if light else (_plotly_js(), _asset("report.js"))
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            content=content,
            figures=frozenset(figures),
            figures_json=Markup(_data_block({"templates": _themes(), "figures": figures})),  # noqa: S704
            css=Markup(_asset("report.css")),  # noqa: S704 (our own file)
            plotly_packed=_packed(plotly_js),
            report_js=Markup(report_js),  # noqa: S704 (our own file)
            policy=_policy() if light else _policy(plotly_js, report_js),
            light=light,
            many=MANY_CARDS,
            most_verdicts=MOST_VERDICTS,
            most_trends=MOST_TRENDS,
            signals={part.signal.id: part for part in content.signals},
            suggestions={suggestion.id: suggestion for suggestion in content.suggestions},
        )
    )


def _figures(
    content: ReportContent, progress: Callable[[int, int], None] | None
) -> dict[str, dict[str, Any]]:
    drawable = [c for c in content.signals if c.series is not None]
    gravest = sorted(drawable, key=lambda c: _GRAVITY[c.signal.severity])[:MOST_FIGURES]
    total = len(gravest) + 1
    figures = {"overview": _bare(overview_figure(content.detection, content.windows))}
    for number, drawn in enumerate(gravest, start=2):
        assert drawn.series is not None
        figures[drawn.signal.id] = _bare(series_figure(drawn.signal, drawn.series))
        if progress is not None:
            progress(number, total)
    return figures


def _bare(figure: Any) -> dict[str, Any]:
    """Return a figure without its template: the page has one for light and one for dark."""
    document: dict[str, Any] = json.loads(figure.to_json(remove_uids=True))
    document["layout"].pop("template", None)
    return document


def _themes() -> dict[str, Any]:
    import plotly.io as pio

    plotly_template()
    themes = {}
    for theme, base in (("light", "plotly_white"), ("dark", "plotly_dark")):
        merged = pio.templates.merge_templates(base, "evolution_lab").to_plotly_json()
        layout = {**merged["layout"], "paper_bgcolor": "rgba(0,0,0,0)"}
        layout["plot_bgcolor"] = "rgba(0,0,0,0)"
        layout["modebar"] = {
            "bgcolor": "rgba(0,0,0,0)",
            "color": "#7b8794",
            "activecolor": "#2f6fb2",
        }
        if theme == "dark":
            layout["font"] = {**layout["font"], "color": "#c9d1d9"}
            layout["hoverlabel"] = {"bgcolor": "#262e36", "bordercolor": "#3a4550"}
        themes[theme] = {"layout": layout}
    return themes


def _data_block(value: Mapping[str, Any]) -> str:
    r"""Return JSON that no HTML parser can leave early and no JavaScript parser can trip over.

    Examples:
        >>> _data_block({"name": "</script>\u2028"})
        '{"name":"\\u003c/script\\u003e\\u2028"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _policy(*scripts: str) -> str:
    """Return the content security policy: these scripts, styles of the page, nothing from outside.

    Plotly writes style attributes and a style sheet at run time, hence ``unsafe-inline`` for styles.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes or _NO_SCRIPT}; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    return script


@cache
def _packed(script: str) -> str:
    """Return a script as the page carries it, a third of its size; ``report.js`` unpacks it."""
    return base64.b64encode(gzip.compress(script.encode(), 9, mtime=0)).decode()


@cache
def _asset(name: str) -> str:
    return (files(_TEMPLATES) / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "value": format_value,
        "name": name_of,
        "prose": _prose,
        "pretty": _pretty,
        "lines": _lines,
        "setting": _setting,
        "moment": _moment,
        "sparkline": _sparkline,
        "trend": _trend,
        "describe_workflow": describe_workflow,
    }
    environment.globals |= {
        "facts": facts,
        "rollout_headings": HEADINGS,
        "silence_headings": SILENCE_HEADINGS,
    }
    return environment


def _prose(text: str | None) -> str:
    """Return text from a record on one line, at a length that a page can bear."""
    plain = strip_controls(text or "")
    return plain if len(plain) <= _LONGEST_TEXT else plain[: _LONGEST_TEXT - 1] + "…"


def _lines(text: str) -> list[tuple[str, str]]:
    """Return the lines of a unified diff, each with the element that shows its kind."""
    kinds = {"+": "ins", "-": "del", "@": "b"}
    return [
        ("i" if line.startswith(("+++", "---")) else kinds.get(line[:1], "span"), _prose(line))
        for line in text.split("\n")
    ]


def _pretty(value: Mapping[str, Any]) -> str:
    text = json.dumps(json_ready(value), indent=2, ensure_ascii=False)
    return "\n".join(_prose(line) for line in text.split("\n"))


def _setting(value: object) -> str:
    if isinstance(value, Mapping):
        return _prose(json.dumps(json_ready(value), ensure_ascii=False)) if value else "none"
    if isinstance(value, (list, tuple)):
        return _prose(", ".join(str(item) for item in value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return _prose(str(value))


def _moment(value: datetime) -> str:
    return f"{format_value(value)} UTC"


def _sparkline(content: SignalContent) -> Markup:
    """Return a place that shows the trend of a signal."""
    series = content.series
    if series is None or not series.lines:
        return Markup("")
    label = f"{series.label}, {facts.period(series.start, series.end)}"
    return Markup(sparkline_use(f"trend-{content.signal.id}", label=label))  # noqa: S704 (escaped)


def _trend(content: SignalContent) -> Markup:
    """Return the trend of a signal, drawn once however often the page shows it."""
    series, signal = content.series, content.signal
    if series is None or not series.lines:
        return Markup("")
    marked = (series.position(signal.window_start), series.position(signal.window_end) - 1)
    symbol = sparkline_symbol(
        f"trend-{signal.id}", series.lines[0].values, marked=(marked[0], max(marked))
    )
    return Markup(symbol)  # noqa: S704 (numbers, and an id that was escaped)
