r"""Tables as CSV that a spreadsheet opens without obeying what strangers wrote.

A cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line end is a formula to a spreadsheet
(CWE-1236). Text that does so gets an apostrophe in front, as OWASP advises, and control characters leave
it; numbers of our own stay numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from evolution_lab.display import strip_controls
from evolution_lab.export.facts import target_name
from evolution_lab.records import IntentSignal, SpecSuggestion

_FORMULA: Final = frozenset("=+-@\uff1d\uff0b\uff0d\uff20|%'")
"""Beginnings of formulas, their full-width forms, and what some programs take for one."""


def safe_cell(value: object) -> str:
    r"""Return one cell: text that no spreadsheet takes for a formula.

    Examples:
        >>> safe_cell("=HYPERLINK(1)"), safe_cell(-1.5), safe_cell(" @SUM(A1)"), safe_cell(None)
        ("'=HYPERLINK(1)", '-1.5', "' @SUM(A1)", '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat()
    text = strip_controls(str(value))
    # Some programs pass over blanks before they look for a formula.
    return f"'{text}" if text.lstrip()[:1] in _FORMULA and text.strip() else text


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    r"""Return a CSV of some columns, every cell quoted and safe.

    Examples:
        >>> csv_text(["a"], [{"a": "x"}])
        '"a"\r\n"x"\r\n'
    """
    target = io.StringIO()
    writer = csv.writer(target, quoting=csv.QUOTE_ALL)
    writer.writerow([safe_cell(name) for name in columns])
    writer.writerows([safe_cell(row.get(name)) for name in columns] for row in rows)
    return target.getvalue()


def signals_csv(signals: Iterable[IntentSignal]) -> str:
    """Return all signals as CSV: one row a signal, durations in nanoseconds, times ISO 8601 in UTC."""
    rows = [
        {
            "id": s.id,
            "incident": s.incident_id,
            "kind": s.kind,
            "severity": s.severity,
            "state": s.state,
            "service": s.operation.service,
            "operation": s.operation.key,
            "version": s.operation.version,
            "tenant": s.operation.tenant_id,
            "detected_at": s.detected_at,
            "window_start": s.window_start,
            "window_end": s.window_end,
            "observed": s.observed,
            "baseline": s.baseline,
            "unit": s.unit,
            "effect": s.effect,
            "effect_low": s.effect_interval[0] if s.effect_interval else None,
            "effect_high": s.effect_interval[1] if s.effect_interval else None,
            "p_value": s.p_value,
            "confidence": s.confidence,
            "n": s.sample_size,
        }
        for s in signals
    ]
    return csv_text(list(rows[0]) if rows else ["id"], rows)


def suggestions_csv(suggestions: Iterable[SpecSuggestion]) -> str:
    """Return all suggestions as CSV: one row a suggestion, with the last decision on it."""
    rows = []
    for s in suggestions:
        last = s.approvals[-1] if s.approvals else None
        rows.append(
            {
                "id": s.id,
                "status": s.status,
                "priority": s.priority,
                "risk": s.risk,
                "confidence": s.confidence,
                "operation": target_name(s),
                "change_type": s.proposal.change_type,
                "summary": s.proposal.summary,
                "revision": s.revision,
                "created_at": s.created_at,
                "reviewer": last.reviewer if last else None,
                "decided_at": last.decided_at if last else None,
                "notes": last.notes if last else None,
            }
        )
    return csv_text(list(rows[0]) if rows else ["id"], rows)
