"""The numbers of a signal and a suggestion in words, the same in HTML and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from evolution_lab.display import format_duration, format_quantity, format_value
from evolution_lab.export.series import SignalSeries, metric_label, metric_of
from evolution_lab.records import IntentSignal, SpecSuggestion, Workflow
from evolution_lab.suggestions.wording import name_of

Fact = tuple[str, str]
"""What it is, and its value; the value may hold text from traffic."""

_DIMENSIONS: Final = {
    "payloadBytes": "payload",
    "tenantId": "tenant",
    "version": "version",
    "errorCode": "error code",
    "channel": "channel",
    "slowOperation": "slow callee",
}


def effect_text(signal: IntentSignal) -> str:
    """Return the effect of a signal with its 95 % interval.

    Rates are compared by difference, latency by ratio, numbers of calls by relative change.

    Examples:
        >>> from datetime import UTC, datetime
        >>> from evolution_lab.records import OperationRef
        >>> day = datetime(2026, 3, 2, tzinfo=UTC)
        >>> slow = IntentSignal(
        ...     id="1", kind="latency-regression", severity="high", operation=OperationRef("a"),
        ...     window_start=day, window_end=day, detected_at=day, state="open", observed=3e9,
        ...     baseline=1e9, effect=3.0, effect_interval=(2.5, 3.6), unit="ns", sample_size=90,
        ...     detector="latency-regression",
        ... )
        >>> effect_text(slow)
        '× 3 (95 % interval 2.5 to 3.6)'
    """
    if signal.effect is None:
        return "–"
    interval = signal.effect_interval
    if signal.unit == "fraction":
        text = f"{signal.effect * 100:+.3g} points"
        ends = None if interval is None else [f"{end * 100:+.3g}" for end in interval]
    elif signal.unit == "calls":
        text = f"{(signal.effect - 1) * 100:+.3g} %"
        ends = None if interval is None else [f"{(end - 1) * 100:+.3g}" for end in interval]
    else:
        text = f"× {signal.effect:.3g}"
        ends = None if interval is None else [f"{end:.3g}" for end in interval]
    return text if ends is None else f"{text} (95 % interval {ends[0]} to {ends[1]})"


def signal_title(signal: IntentSignal) -> str:
    """Return a signal's kind in words, with what it was judged by."""
    if signal.kind == "error-spike":
        return "Client errors rose" if signal.error_class == "client" else "Errors rose"
    if signal.kind == "latency-regression":
        return "Slower" if metric_of(signal) == "latency-tail" else "Slower in the median"
    if signal.kind == "throughput-drop":
        return "Calls stopped" if signal.observed == 0 else "Calls dropped"
    return signal.kind.replace("-", " ").capitalize()


def signal_facts(signal: IntentSignal) -> tuple[Fact, ...]:
    """Return what a signal claims: observed, baseline, effect, test, sample size, time."""
    test: Fact = ("p", format_value(signal.p_value))
    if signal.p_value is None and signal.e_value is not None:
        test = ("e", format_value(signal.e_value))
    facts = [
        ("observed", quantity_text(signal.observed, signal)),
        ("baseline", quantity_text(signal.baseline, signal)),
        ("effect", effect_text(signal)),
        test,
        ("n", format_value(signal.sample_size)),
        ("metric", metric_label(metric_of(signal))),
        ("detected", f"{format_value(signal.detected_at)} UTC"),
        ("episode", period(signal.window_start, signal.window_end)),
    ]
    if signal.confidence is not None:
        facts.append(("confidence", format_value(signal.confidence)))
    return tuple(facts)


def attribution_facts(attribution: Mapping[str, Any] | None) -> tuple[Fact, ...]:
    """Return what a change is concentrated in, each with the share of it that is there."""
    facts = []
    for dimension, found in (attribution or {}).items():
        name = _DIMENSIONS.get(dimension, dimension)
        if not isinstance(found, Mapping):
            facts.append((name, format_value(found)))
            continue
        text = format_value(found.get("value"))
        carried = found.get("carried")
        if isinstance(carried, (int, float)):
            whole = "affected calls" if dimension == "payloadBytes" else "excess"
            text += f" ({carried * 100:.3g} % of the {whole})"
        facts.append((name, text))
    return tuple(facts)


def target_name(suggestion: SpecSuggestion) -> str:
    """Return what a suggestion is about: its operation, or the key of the one it drafts."""
    operation = suggestion.target.operation
    if operation is not None:
        return name_of(operation)
    key = (suggestion.proposal.spec or {}).get("key")
    return f"new operation {name_of(str(key))}" if key else "new operation"


def suggestion_facts(suggestion: SpecSuggestion) -> tuple[Fact, ...]:
    """Return what a reviewer weighs: operation, spec, change, risk, confidence, revision, id."""
    return (
        ("for", target_name(suggestion)),
        *_spec_fact(suggestion),
        ("change", suggestion.proposal.change_type),
        ("path", suggestion.target.path),
        ("risk", "–" if suggestion.risk is None else f"{suggestion.risk:.2f} of 1"),
        (
            "confidence",
            "not calibrated yet"
            if suggestion.confidence is None
            else format_value(suggestion.confidence),
        ),
        ("revision", str(suggestion.revision)),
        ("evidence complete", f"{format_value(suggestion.created_at)} UTC"),
        ("id", suggestion.id),
    )


def _spec_fact(suggestion: SpecSuggestion) -> tuple[Fact, ...]:
    """Return where the operation's spec stands, if a document has it."""
    reference = suggestion.proposal.metadata.get("specReference")
    if not isinstance(reference, Mapping):
        return ()
    place = f"{reference.get('document')}#{reference.get('pointer')}"
    name = reference.get("operation_id")
    return (("spec", place if name is None else f"{name} in {place}"),)


def suggestion_actions(suggestion: SpecSuggestion) -> tuple[str, ...]:
    """Return what is recommended to do, one sentence each."""
    actions = suggestion.proposal.metadata.get("recommendedActions", ())
    return tuple(str(action) for action in actions) if isinstance(actions, (list, tuple)) else ()


def workflow_facts(workflow: Workflow) -> tuple[Fact, ...]:
    """Return how often a workflow was seen, how often chance explains it, and how it runs."""
    return (
        ("seen in", f"{workflow.support:,} of {workflow.sequences:,} {workflow.basis}s"),
        ("expected by chance", format_value(workflow.expected)),
        ("lift", f"× {workflow.lift:.3g}"),
        ("p", format_value(workflow.p_value)),
        ("takes", format_duration(workflow.duration_p50_ns)),
        ("runs with a failed step", format_quantity(workflow.error_rate, "fraction")),
    )


def windows_query(signal: IntentSignal, series: SignalSeries) -> str:
    """Return the SQL that gives the numbers of a signal's chart again, for ``Lab.sql``.

    Operations are named by their ids, so that a name from traffic is never part of a query.
    """
    columns = {
        "error-rate": ("calls", "outcomes", "errors"),
        "client-error-rate": ("calls", "client_errors"),
        "latency-median": ("calls", "p50_ns", "p95_ns"),
        "latency-tail": ("calls", "p50_ns", "p95_ns"),
    }.get(metric_of(signal), ("calls",))
    ids = ", ".join(str(op_id) for op_id in series.op_ids)
    return (
        f"SELECT window_start, operation_version, {', '.join(columns)} FROM windows "  # noqa: S608 (ids and times of our own)
        f"WHERE op_id IN ({ids}) AND window_start >= '{series.start.isoformat()}' "
        f"AND window_end <= '{series.end.isoformat()}' ORDER BY ALL"
    )


def period(start: datetime, end: datetime) -> str:
    """Return a span of time in UTC, the date said once where it is the same.

    Examples:
        >>> from datetime import UTC
        >>> period(datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 2, 11, tzinfo=UTC))
        '2026-03-02 09:00 to 11:00 UTC'
    """
    last = format_value(end)
    if start.date() == end.date():
        last = last.split(" ")[1]
    return f"{format_value(start)} to {last} UTC"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun.

    Examples:
        >>> counted(1, "incident"), counted(1200, "signal")
        ('1 incident', '1,200 signals')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them.

    Examples:
        >>> listed(["a", "b", "c"])
        'a, b and c'
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def quantity_text(value: float | None, signal: IntentSignal) -> str:
    """Return a value in the unit of a signal; calls are those of a window, on average."""
    text = format_quantity(value, signal.unit)
    return f"{text} calls" if signal.unit == "calls" and value is not None else text
