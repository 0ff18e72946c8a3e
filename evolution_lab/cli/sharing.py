"""``lab``: hand a lab on to a colleague, and look at one that was handed on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Every, Json
from evolution_lab.cli.output import print_json, print_table, print_text, tell
from evolution_lab.cli.remembering import every_of

File = Annotated[Path, typer.Argument(metavar="FILE", help="The exported lab.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    group = typer.Typer(help="Hand a lab on to a colleague, without anybody's data.")
    group.command("export")(export_lab)
    group.command("open")(open_lab)
    app.add_typer(group, name="lab", no_args_is_help=True)


def export_lab(
    file: File,
    data: Data = DEFAULT_DATA,
    every: Every = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write windows, signals, suggestions and decisions to one file, sanitised, to look at.

    Samples and recorded calls stay: the file names no actor, session or trace.

    Example: evolution-lab lab export shop.lab.zip
    """
    from evolution_lab.lab import Lab

    written = Lab(data, config=config).export(file, every=every_of(data, every))
    about = Lab.open_export(written).about
    if as_json:
        print_json({"file": str(written), "bytes": written.stat().st_size, **about})
        return
    print_text(written)
    tell(
        f"{about['windows']} windows, {about['signals']} signals, {about['suggestions']} "
        f"suggestions, {about['decisions']} decisions. To look at it: evolution-lab lab open FILE"
    )


def open_lab(
    file: File,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", help="Write its report there."),
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Serve its review panel on this machine, to look at.")
    ] = False,
    port: Annotated[int, typer.Option("--port", metavar="N", help="0 takes any free one.")] = 0,
    as_json: Json = False,
) -> None:
    """Look at a lab that was handed on: its suggestions, its report, its panel. Read only.

    Example: evolution-lab lab open shop.lab.zip --page
    """
    from evolution_lab.lab import Lab
    from evolution_lab.records import to_python

    lab = Lab.open_export(file)
    written = lab.report(report).paths if report is not None else ()
    if as_json:
        print_json(
            {
                **lab.about,
                "report": [str(path) for path in written],
                "suggestionList": [to_python(each) for each in lab.suggestions()],
            }
        )
        return
    columns = ["suggestion", "status", "priority", "summary"]
    rows = [[s.id[:8], s.status, s.priority, s.proposal.summary] for s in lab.suggestions()]
    print_table("Suggestions (read only)", columns, rows)
    for path in written:
        tell(f"wrote {path}")
    if page:
        from evolution_lab.review.server import ReviewServer

        server = ReviewServer(lab.review_board(), port=port)
        print_text(server.url)
        tell("Shown only: decisions are taken in the lab it came from. Ctrl-C ends it.")
        try:
            server.serve()
        except KeyboardInterrupt:
            tell("ended")
