"""Sentences about signals and workflows, for people; names from traffic are made harmless."""

from __future__ import annotations

from typing import Final

from evolution_lab.display import format_quantity, format_value, strip_controls
from evolution_lab.records import IntentSignal, OperationRef, Workflow

_LONGEST_NAME: Final = 120


def name_of(operation: OperationRef | str) -> str:
    r"""Return an operation's name for a sentence: on one line, at most 120 characters.

    Examples:
        >>> name_of(OperationRef("GET /a\nb", service="shop"))
        'shop · GET /a b'
    """
    text = strip_controls(str(operation))
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


def describe_signal(signal: IntentSignal) -> str:
    """Say what a signal claims, with its numbers, in one sentence."""
    subject = {
        "error-spike": "client errors" if signal.error_class == "client" else "errors",
        "latency-regression": "latency",
        "throughput-drop": "calls per window",
    }.get(signal.kind, signal.kind)
    fell = signal.kind == "throughput-drop"
    change = (
        f"{name_of(signal.operation)}: {subject} {'fell' if fell else 'rose'} "
        f"from {format_quantity(signal.baseline, signal.unit)} "
        f"to {format_quantity(signal.observed, signal.unit)}"
    )
    span = f"{format_value(signal.window_start)} and {format_value(signal.window_end)} UTC"
    numbers = [f"n = {format_value(signal.sample_size)}"]
    if signal.p_value is not None:
        numbers.append(f"p = {format_value(signal.p_value)}")
    elif signal.e_value is not None:
        numbers.append(f"e = {format_value(signal.e_value)}")
    return f"{change} between {span} ({', '.join(numbers)}; {signal.state})."


def describe_workflow(workflow: Workflow) -> str:
    """Say how often a workflow was seen and how often chance explains it, in one sentence."""
    chain = " → ".join(name_of(step) for step in workflow.steps)
    return (
        f"{chain}: in {format_value(workflow.support)} of {format_value(workflow.sequences)} "
        f"{workflow.basis}s, {format_value(workflow.expected)} expected by chance "
        f"(lift {format_value(workflow.lift)}, p = {format_value(workflow.p_value)})."
    )
