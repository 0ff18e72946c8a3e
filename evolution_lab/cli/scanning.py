"""``test scan``: proves that what was written shows no personal data and no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolution_lab.cli.options import Json
from evolution_lab.cli.output import print_json, print_result, progress_bar, tell


def scan(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders with all below them.")],
    all_kinds: Annotated[
        bool,
        typer.Option("--all", help="Also with recognisers that guess: telephones, random tokens."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Look through suites, or anything, for personal data and secrets.

    Exit 0 where nothing is found, 1 where something is, 2 where a file cannot be read.

    Example: evolution-lab test scan tests/golden data/lake
    """
    from evolution_lab.redaction.scan import scan_paths

    with progress_bar("files") as progress:
        report = scan_paths(paths, all_kinds=all_kinds, progress=progress)
    if as_json:
        print_json(
            {
                "clean": report.clean,
                "files": report.files,
                "kinds": report.by_kind(),
                "leaks": report.to_dicts(),
                "unread": [{"file": file, "reason": reason} for file, reason in report.unread],
            }
        )
    elif report.leaks:
        print_result(report, "Places")
    for file, reason in report.unread:
        tell(f"{file} could not be read: {reason}")
    found = len(report.leaks)
    tell(f"{report.files} files looked through, {found or 'no'} place{'s' * (found != 1)} found")
    if report.unread or report.leaks:
        raise typer.Exit(2 if report.unread else 1)
