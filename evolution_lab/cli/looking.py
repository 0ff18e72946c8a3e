"""Looking: ``operations``, ``windows`` and ``detect``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution_lab.cli.options import (
    DEFAULT_DATA,
    Config,
    Data,
    Every,
    Json,
    Operation,
    Since,
    Spec,
    Until,
)
from evolution_lab.cli.output import print_json, print_table, print_text, progress_bar, tell, utc
from evolution_lab.cli.remembering import every_of, remember_every

if TYPE_CHECKING:
    from evolution_lab.records import DetectionResult, IntentSignal

WORDS = {
    "error-spike": "errors up",
    "latency-regression": "slower",
    "throughput-drop": "calls down",
}
"""Kinds of signals in the words of a narrow table."""
FIRST_ROWS = 15
Table = tuple[list[str], list[list[str]]]


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(operations)
    app.command()(windows)
    app.command()(detect)


def operations(
    data: Data = DEFAULT_DATA,
    spec: Spec = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List operations by the names that telemetry and their OpenAPI document have for them.

    What only one side has is listed too.

    Example: evolution-lab operations --spec shop=openapi.json
    """
    from evolution_lab.lab import Lab

    bound = Lab(data, config=config, specs=spec).specs()
    if as_json:
        print_json(bound.to_dicts())
        return
    rows = [[row[name] or "–" for name in row] for row in bound.to_dicts()]
    print_table("Operations", ["service", "seen as", "operationId", "spec"], rows)
    if bound.documents:
        tell(
            f"{len(bound.unseen)} of the documents' operations were never seen; "
            f"{len(bound.undocumented)} operations are in no document."
        )
    else:
        tell("No document: name one with --spec [SERVICE=]FILE, or as specs in the settings.")


def windows(
    data: Data = DEFAULT_DATA,
    every: Every = None,
    since: Since = None,
    until: Until = None,
    operation: Operation = None,
    spec: Spec = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write all as Parquet or CSV.")
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="polars, or spark (an extra).")
    ] = "polars",
    master: Annotated[
        str | None, typer.Option("--master", metavar="URL", help="Of Spark; this machine without.")
    ] = None,
    from_bins: Annotated[
        bool, typer.Option("--from-bins", help="Hours, or --every, from latency histograms.")
    ] = False,
    merge: Annotated[
        list[Path] | None,
        typer.Option(
            "--merge", metavar="FILE", help="Of --from-bins --output elsewhere; repeatable."
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show calls, errors and latency per operation and window.

    Example: evolution-lab windows --every 5m --operation 'GET /users/{id}'

    Example: evolution-lab windows --every 1d --merge eu.parquet --merge us.parquet
    """
    from evolution_lab.errors import InputError
    from evolution_lab.export.csv_tables import csv_text
    from evolution_lab.lab import Lab

    lab = Lab(data, config=config, specs=spec)
    start, end = utc(since), utc(until)
    with progress_bar("windows") as progress:
        if from_bins or merge:
            frame = lab.roll_up(
                every=every or "1h", since=start, until=end, operation=operation, merge=merge or ()
            )
        else:
            frame = lab.windows(
                every=every_of(data, every),
                since=start,
                until=end,
                operation=operation,
                engine=engine,
                master=master,
                progress=progress,
            )
    if output is not None:
        if output.suffix not in {".parquet", ".csv"}:
            raise InputError(f"--output == {str(output)!r}, must end in .parquet or .csv.")
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.suffix == ".parquet":
            frame.write_parquet(output)
        else:
            plain = frame.drop("top_errors", "latency_bins", strict=False)
            output.write_text(
                csv_text(plain.columns, plain.iter_rows(named=True)), "utf-8", newline=""
            )
        tell(f"Wrote {frame.height} windows to {output}")
        return
    if as_json:
        print_json(frame.drop("latency_bins", strict=False).to_dicts())
        return
    print_table("Windows", *_window_rows(frame.to_dicts()))


def detect(
    data: Data = DEFAULT_DATA,
    every: Every = None,
    since: Since = None,
    until: Until = None,
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", metavar="TIME", help="Close windows as of this time, UTC."),
    ] = None,
    windows: Annotated[
        Path | None,
        typer.Option("--windows", metavar="FILE", help="A table of ready windows, not the lake."),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="ROLE=COLUMN[:UNIT]", help="For --windows; repeatable."),
    ] = None,
    operation: Operation = None,
    spec: Spec = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every row, not the first of each table.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Find what changed beyond chance: incidents, their signals, workflows.

    Exit code 0 whatever was found.

    Example: evolution-lab detect --every 1m --json
    """
    from evolution_lab.lab import Lab
    from evolution_lab.records import to_python

    lab = Lab(data, config=config, specs=spec)
    every = every if windows is not None else every_of(data, every)
    with progress_bar("detect") as progress:
        result = lab.detect(
            every=every,
            since=utc(since),
            until=utc(until),
            as_of=utc(as_of),
            windows=windows,
            mapping=mapping or (),
            progress=progress,
        )
    if windows is None:
        remember_every(data, every)
    if operation is not None:
        result = result.concerning(lab.specs().keys_of(operation))
    if as_json:
        print_json(to_python(result))
        return
    for note in result.notes:
        tell(note)
    if result.signals:
        _print_first("Incidents", _incident_rows(result), everything=everything)
        _print_first("Signals", signal_rows(result), everything=everything)
    elif result.notes:
        print_text("No signal, but there was too little to judge.")
    else:
        print_text("No signal: nothing changed beyond chance.")
    if result.workflows:
        _print_first("Workflows", workflow_rows(result), everything=everything)
    thin = sum(len(verdicts) for verdicts in result.insufficient.values())
    tell(f"{result.operation_windows:,} operation-windows judged; {thin} verdicts of thin traffic.")
    if windows is None and (result.signals or result.workflows):
        tell(f"Next: evolution-lab suggest --data {data}")


def _print_first(title: str, table: Table, *, everything: bool) -> None:
    columns, rows = table
    shown = rows if everything else rows[:FIRST_ROWS]
    print_table(title, columns, shown)
    if len(shown) < len(rows):
        print_text(f"… {len(rows) - len(shown)} more {title.lower()}: --all shows them.\n")


def signal_rows(result: DetectionResult) -> Table:
    """Return columns and rows of the table of signals."""
    columns = ["signal", "detected", "severity", "what", "operation", "change"]
    return columns, [_signal_row(signal) for signal in result.signals]


def _signal_row(signal: IntentSignal) -> list[str]:
    from evolution_lab.display import format_quantity

    before = format_quantity(signal.baseline, signal.unit)
    after = format_quantity(signal.observed, signal.unit)
    return [
        signal.id[:8],
        f"{signal.detected_at:%m-%d %H:%M}",
        signal.severity,
        "4xx up" if signal.error_class == "client" else WORDS.get(signal.kind, signal.kind),
        str(signal.operation),
        f"{before} → {after}",
    ]


def _incident_rows(result: DetectionResult) -> Table:
    rows = [
        [
            incident.id[:8],
            f"{incident.window_start:%m-%d %H:%M}",
            f"{incident.window_end:%m-%d %H:%M}",
            incident.state,
            incident.severity,
            str(incident.origin),
            str(len(incident.signal_ids)),
        ]
        for incident in result.incidents
    ]
    return ["incident", "from (UTC)", "to", "state", "severity", "likely origin", "signals"], rows


def workflow_rows(result: DetectionResult) -> Table:
    """Return columns and rows of the table of workflows."""
    rows = [
        [
            " > ".join(step.key for step in workflow.steps),
            workflow.basis,
            f"{workflow.support:,} of {workflow.sequences:,}",
            f"{workflow.lift:.1f}x",
        ]
        for workflow in result.workflows
    ]
    return ["workflow", "per", "seen in", "chance"], rows


def _window_rows(rows: list[dict[str, object]]) -> Table:
    from evolution_lab.display import format_duration, format_quantity, format_value

    names = [
        "window (UTC)",
        "service",
        "operation",
        "version",
        "calls",
        "error rate",
        "p50",
        "p95",
        "p99",
    ]
    table = [
        [
            format_value(row["window_start"]),
            format_value(row["service"]),
            str(row["operation_key"]),
            format_value(row["operation_version"]),
            format_value(row["calls"]),
            format_quantity(row["error_rate"], "fraction"),  # type: ignore[arg-type]
            *(format_duration(row[name]) for name in ("p50_ns", "p95_ns", "p99_ns")),  # type: ignore[arg-type]
        ]
        for row in rows
    ]
    return names, table
