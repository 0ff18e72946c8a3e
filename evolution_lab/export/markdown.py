"""The report as Markdown for a pull request: summary, incidents, suggestions, what gives it again.

All text from traffic is escaped, and code blocks have fences longer than any run of backticks in
them. Long parts stand in ``<details>``, which GitHub and GitLab fold.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from evolution_lab.display import escape_markdown, format_value, strip_controls
from evolution_lab.export import facts
from evolution_lab.export.content import IncidentContent, ReportContent, SignalContent
from evolution_lab.export.rollouts import HEADINGS
from evolution_lab.export.sparkline import sparkline_text
from evolution_lab.intents.silences import HEADINGS as SILENCE_HEADINGS
from evolution_lab.records import SpecSuggestion, Workflow
from evolution_lab.suggestions.identity import json_ready
from evolution_lab.suggestions.wording import name_of

MOST_VERDICTS: Final = 20
"""Verdicts of thin traffic listed by metric; the JSON file has all."""
_LONGEST_TEXT: Final = 1_000


def render_markdown(content: ReportContent) -> str:
    """Return the report as GitHub-flavoured Markdown.

    Args:
        content: What the report says.
    """
    parts = [
        f"# {_text(content.headline)}",
        _text(content.looked_at),
        *(f"> {_text(note)}" for note in content.detection.notes),
        _signal_table(content.signals),
        _again(content),
        "## Incidents",
        *(_incident(incident) for incident in content.incidents),
        *([] if content.incidents else ["No incident."]),
        "## Suggestions",
        *(_suggestion(suggestion) for suggestion in content.suggestions),
        *([] if content.suggestions else ["No suggestion yet."]),
        *_rollouts(content),
        *_silences(content),
        "## Repeated workflows",
        *(_workflow(workflow) for workflow in content.workflows),
        *([] if content.workflows else ["None beyond chance."]),
        *_thin_traffic(content),
        _folded("Effective settings", _settings(content)),
        _again(content),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _rollouts(content: ReportContent) -> list[str]:
    if not content.rollouts:
        return []
    return ["## Rollouts", _table(HEADINGS, [each.row() for each in content.rollouts])]


def _silences(content: ReportContent) -> list[str]:
    rows = content.silences.rows()
    return ["## Mutes and maintenance", _table(SILENCE_HEADINGS, rows)] if rows else []


def _signal_table(signals: Sequence[SignalContent]) -> str:
    if not signals:
        return ""
    rows = []
    for part in signals:
        signal = part.signal
        rows.append(
            (
                format_value(signal.detected_at),
                signal.severity,
                facts.signal_title(signal),
                name_of(signal.operation),
                facts.quantity_text(signal.baseline, signal),
                facts.quantity_text(signal.observed, signal),
                format_value(signal.p_value),
                sparkline_text(part.series.lines[0].values) if part.series else "",
            )
        )
    names = (
        "Detected (UTC)",
        "Severity",
        "What",
        "Operation",
        "Baseline",
        "Observed",
        "p",
        "Trend",
    )
    return _table(names, rows)


def _incident(part: IncidentContent) -> str:
    incident = part.incident
    if incident is None:
        head = "### Signals outside of incidents"
    else:
        head = (
            f"### {_text(name_of(incident.origin))}\n\n"
            f"{incident.severity}, {incident.state}, "
            f"{facts.period(incident.window_start, incident.window_end)}, "
            f"{facts.counted(len(part.signals), 'signal')}"
        )
        if incident.p_value is not None:
            head += f", combined p {_text(format_value(incident.p_value))}"
    return "\n\n".join([head, *(_signal(signal) for signal in part.signals)])


def _signal(part: SignalContent) -> str:
    signal = part.signal
    pairs = [*facts.signal_facts(signal), *facts.attribution_facts(signal.attribution)]
    title = f"{_text(facts.signal_title(signal))}: {_text(name_of(signal.operation))}"
    lines = [
        f"**{title}** ({signal.severity}, {signal.state})",
        "",
        "; ".join(f"{_text(label)} **{_text(value)}**" for label, value in pairs),
        "",
        *(f"- {_text(item.description)}" for item in signal.evidence),
    ]
    if part.query is not None:
        lines += ["", _folded("The numbers again", _fenced(part.query, "sql"))]
    return "\n".join(lines)


def _suggestion(suggestion: SpecSuggestion) -> str:
    proposal = suggestion.proposal
    parts = [
        f"### {_text(proposal.summary)}",
        f"**{suggestion.status}**, {suggestion.priority} priority",
        _text(proposal.rationale),
        "; ".join(
            f"{_text(label)} {_text(value)}" for label, value in facts.suggestion_facts(suggestion)
        ),
    ]
    if proposal.diff:
        parts.append(_fenced(proposal.diff, "diff"))
    elif proposal.spec:
        text = json.dumps(json_ready(proposal.spec), indent=2, ensure_ascii=False)
        parts.append(_fenced(text, "json"))
    actions = facts.suggestion_actions(suggestion)
    if actions:
        parts.append("\n".join(["Recommended:", "", *(f"- {_text(a)}" for a in actions)]))
    if suggestion.evidence:
        listed = "\n".join(f"- {_text(item.description)}" for item in suggestion.evidence)
        title = f"Evidence: {facts.counted(len(suggestion.evidence), 'fact')}"
        parts.append(_folded(title, listed))
    if suggestion.approvals:
        rows = [
            (
                format_value(decision.decided_at),
                decision.status,
                decision.reviewer,
                str(decision.revision),
                decision.notes or "",
            )
            for decision in suggestion.approvals
        ]
        names = ("Decided (UTC)", "Decision", "Reviewer", "Revision", "Notes")
        parts.append(_table(names, rows))
    return "\n\n".join(part for part in parts if part)


def _workflow(workflow: Workflow) -> str:
    chain = " → ".join(_text(name_of(step)) for step in workflow.steps)
    told = "; ".join(
        f"{_text(label)} {_text(value)}" for label, value in facts.workflow_facts(workflow)
    )
    return f"- {chain}  \n  {told}"


def _thin_traffic(content: ReportContent) -> list[str]:
    parts = ["## Where traffic is too thin to tell"] if content.insufficient else []
    for metric, verdicts in content.insufficient.items():
        rows = [
            (
                name_of(verdict.operation),
                format_value(verdict.windows),
                format_value(verdict.calls_per_window),
                verdict.reason,
            )
            for verdict in verdicts[:MOST_VERDICTS]
        ]
        table = _table(("Operation", "Windows", "Calls a window", "Why"), rows)
        rest = len(verdicts) - len(rows)
        if rest > 0:
            table += f"\n\n{facts.counted(rest, 'more operation')} in suggestions.json."
        title = f"{metric}: {facts.counted(len(verdicts), 'operation')}"
        parts.append(_folded(title, table))
    return parts


def _settings(content: ReportContent) -> str:
    rows = [
        (name, json.dumps(json_ready(value), ensure_ascii=False))
        for name, value in content.settings.items()
    ]
    return _table(("Setting", "Value"), rows)


def _again(content: ReportContent) -> str:
    provenance = content.provenance
    when = ""
    if provenance.generated_at is not None:
        when = f", written {format_value(provenance.generated_at)} UTC"
    return (
        f"{_code(provenance.command)} gives these numbers again from data "
        f"{_code(provenance.data_digest)} (evolution\\_lab {_text(provenance.package_version)}{when})."
    )


def _text(text: str) -> str:
    r"""Return text as Markdown shows it: escaped, on one line, without mentions and bare links.

    Forges look for ``@name``, ``#123`` and addresses after Markdown is rendered, where a backslash
    no longer helps; a space of no width does.

    Examples:
        >>> _text("ask @everyone at https://x.test")
        'ask @\u200beveryone at https:\u200b//x.test'
    """
    if len(text) > _LONGEST_TEXT:
        text = text[: _LONGEST_TEXT - 1] + "…"
    escaped = escape_markdown(text).replace("&", r"\&")
    escaped = re.sub(r"[@#](?=\w)", lambda m: f"{m[0]}\u200b", escaped)
    return re.sub(r":(?=//)|(?i:(?<=www))(?=\.)", lambda m: f"{m[0]}\u200b", escaped)


def _code(text: str) -> str:
    """Return text as inline code, whatever backticks are in it."""
    text = strip_controls(text)
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _fenced(text: str, language: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    body = "\n".join(strip_controls(line) for line in text.rstrip("\n").split("\n"))
    return f"{fence}{language}\n{body}\n{fence}"


def _folded(title: str, body: str) -> str:
    return (
        f"<details><summary>{html.escape(title)}</summary>\n\n{body}\n\n</details>" if body else ""
    )


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(names)} |", "|" + " --- |" * len(names)]
    lines += [f"| {' | '.join(_text(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) if len(lines) > 2 else ""
