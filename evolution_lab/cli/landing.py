"""Landing: ``land``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Json, Since, Until
from evolution_lab.cli.output import (
    print_json,
    print_result,
    print_table,
    print_text,
    progress_bar,
    tell,
    utc,
)

if TYPE_CHECKING:
    from evolution_lab.telemetry import LandingReport


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(land)


def land(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders.")],
    data: Data = DEFAULT_DATA,
    format: Annotated[  # noqa: A002 (the option's name)
        str, typer.Option("--format", metavar="NAME", help="A reader's name, or auto.")
    ] = "auto",
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="ROLE=COLUMN[:UNIT]", help="For tables; repeatable."),
    ] = None,
    tz: Annotated[
        str | None, typer.Option("--tz", metavar="ZONE", help="Zone of timestamps without one.")
    ] = None,
    service: Annotated[
        str | None,
        typer.Option("--service", metavar="NAME", help="Service of rows that name none."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be landed; write nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Take --map for right, and keep it in the settings file.")
    ] = False,
    since: Since = None,
    until: Until = None,
    share: Annotated[
        float,
        typer.Option("--share", metavar="FRACTION", help="Only this share of the traces, whole."),
    ] = 1.0,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, metavar="N", help="Processes that parse large files."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Land telemetry: OTLP, Jaeger, Zipkin, HAR, CSV, Parquet, access logs; plain, gzip or zstd.

    Landing twice lands once. What cannot be read is quarantined with its reason. --dry-run shows ten
    rows as they would land and warns of units that can hardly be right. A table whose columns do not
    say what they are for is guessed at: at a terminal the guess is shown for a yes, elsewhere the
    command to type is printed. A mapping that you confirm is kept in evolution_lab.toml for the next
    tables with these columns.

    Example: evolution-lab land spans.jsonl --data data

    Example: evolution-lab land calls.csv --map operation=Name --map timestamp=Start:ns --map duration=Took:us --dry-run

    Example: evolution-lab land spans.jsonl --since 2026-11-01 --share 0.05
    """
    from evolution_lab.errors import InputError, MappingError
    from evolution_lab.lab import Lab

    lab = Lab(data, config=config)
    given = tuple(mapping or ())

    def read(*, writes: bool) -> LandingReport:
        with progress_bar("landing") as progress:
            report = lab.land(
                *paths,
                format=format,
                mapping=given,
                tz=tz,
                service=service,
                dry_run=not writes,
                since=utc(since),
                until=utc(until),
                share=share,
                workers=workers,
                progress=progress,
            )
        if not report.sources:
            named = ", ".join(map(str, paths))
            raise InputError(
                f"{named}: no file is there to land. Name a file, or a folder of them."
            )
        return report

    asks = not (yes or as_json) and sys.stdin.isatty()
    try:
        report = read(writes=not (dry_run or (given and asks)))
    except MappingError as error:
        if given or not error.proposal:
            raise
        lines = _to_type(context.obj or sys.argv[1:], error.proposal)
        if as_json or not (asks or dry_run):
            raise MappingError("\n".join((str(error).partition(" Name them")[0], *lines))) from None
        given = error.proposal
        tell(f"The columns do not say what they are for. A guess: {' '.join(given)}")
        report = read(writes=False)
        if dry_run:
            tell(lines[-1])
    if given and asks and not dry_run:
        _ask(report)
        report = read(writes=True)
    if given and (yes or asks) and not dry_run:
        _keep_mapping(report, data, tz, config)
    if as_json:
        print_json(report.to_document())
    else:
        _print_report(report, data)


def _to_type(typed: list[str], proposal: tuple[str, ...]) -> tuple[str, str]:
    """Return the command that was typed, with a mapping: to look at first, and to confirm."""
    from evolution_lab.telemetry.guessing import map_options

    kept = [word for word in typed if word not in {"--dry-run", "--yes"}]
    line = f"{shlex.join(['evolution-lab', *kept])} {map_options(proposal)}"
    return f"A guess, to look at first: {line} --dry-run", f"If it is right: {line} --yes"


def _ask(report: LandingReport) -> None:
    """Show what would be landed, and end here unless it is confirmed."""
    _show_preview(report)
    if not typer.confirm("Land it like this, and keep the mapping?", err=True):
        tell("Nothing was landed.")
        raise typer.Exit(1)


def _keep_mapping(report: LandingReport, data: Path, tz: str | None, config: Path | None) -> None:
    from evolution_lab.lab import keep_mapping

    used = next((source.reading for source in report.sources if source.reading), None)
    if used is not None:
        roles = {role: column for role, column in used.items() if role != "tz"}
        tell(f"The mapping is kept in {keep_mapping(data, roles, tz=tz, file=config)}.")


def _print_report(report: LandingReport, data: Path) -> None:
    _show_preview(report)
    print_result(report, "Landing")
    print_text(report.summary)
    warned = report.preview.warnings if report.preview else ()
    for note in report.notes:
        if note != report.summary and note not in warned:
            tell(note)
    if not (report.rows_added or report.duplicates):
        tell(
            "Nothing was landed. Are the columns and units right? --dry-run shows without writing."
        )
    elif not report.dry_run:
        tell(f"Next: evolution-lab detect --data {data}")


def _show_preview(report: LandingReport) -> None:
    """Print the first rows, what was read of each service, and how columns were read."""
    preview = report.preview
    if preview is None:
        return
    import polars as pl

    from evolution_lab.display import format_value

    if preview.rows.height:
        shown = preview.rows.select(
            "timestamp",
            "service",
            "operation_key",
            (pl.col("duration_ns") / 1e6).alias("duration_ms"),
            "success",
            "status_code",
            "error_code",
            "weight",
        )
        rows = [[format_value(cell) for cell in row] for row in shown.rows()]
        print_table("The first rows as they would land (times in UTC)", shown.columns, rows)
    services = [
        [
            each.service or "",
            f"{each.rows:,}",
            "" if each.median_ns is None else f"{each.median_ns / 1e6:,.3f}",
            format_value(each.first),
            format_value(each.last),
        ]
        for each in preview.services
    ]
    if services:
        columns = ["service", "rows read", "median ms", "first", "last"]
        print_table("What was read", columns, services)
    for name, reading in preview.readings.items():
        zone = reading.get("tz", "none named; times carry theirs, or count from 1970 in UTC")
        roles = ", ".join(f"{role}={column}" for role, column in reading.items() if role != "tz")
        tell(f"{name}: {roles}; time zone: {zone}.")
    for warning in preview.warnings:
        tell(f"Warning: {warning}")
