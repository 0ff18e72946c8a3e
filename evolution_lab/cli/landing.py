"""Landing: ``land``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Json
from evolution_lab.cli.output import print_json, print_result, print_text, progress_bar, tell


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(land)


def land(
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
        bool, typer.Option("--dry-run", help="Read and check, write nothing.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Land telemetry: OTLP, Jaeger, Zipkin, HAR, CSV, Parquet, access logs; plain, gzip or zstd.

    Landing twice lands once. What cannot be read is quarantined with its reason.

    Example: evolution-lab land spans.jsonl --data data

    Example: evolution-lab land calls.csv --map operation=Name --map timestamp=Start:ns --map duration=Took:us
    """
    from evolution_lab.errors import InputError
    from evolution_lab.lab import Lab

    lab = Lab(data, config=config)
    with progress_bar("landing") as progress:
        report = lab.land(
            *paths,
            format=format,
            mapping=mapping or (),
            tz=tz,
            service=service,
            dry_run=dry_run,
            progress=progress,
        )
    if not report.sources:
        raise InputError(
            f"{', '.join(map(str, paths))}: no file is there to land. Name a file, or a folder with files."
        )
    if as_json:
        print_json(report.to_document())
        return
    print_result(report, "Landing")
    print_text(report.summary)
    for note in report.notes:
        if note != report.summary:
            tell(note)
    if not (report.rows_added or report.duplicates):
        tell(
            "Nothing was landed. Are the columns and units right? --dry-run shows without writing."
        )
    elif not dry_run:
        tell(f"Next: evolution-lab detect --data {data}")
