"""Reading: ``docs``."""

from __future__ import annotations

from typing import Annotated

import typer

from evolution_lab.cli.options import Json
from evolution_lab.cli.output import print_json, print_result, print_text, tell


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(docs)


def docs(
    page: Annotated[
        str | None,
        typer.Argument(metavar="[PAGE]", help="A guide, 'reference', or a public name."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read the guides, or what a public name is for; without PAGE they are listed.

    Example: evolution-lab docs tutorial

    Example: evolution-lab docs Lab.detect
    """
    from evolution_lab.lab.pages import guide_pages, page_text

    if page is not None:
        text = page_text(page)
        if as_json:
            print_json({"page": page, "text": text})
        else:
            print_text(text.rstrip("\n"))
        return
    pages = guide_pages()
    if as_json:
        print_json([*pages.to_dicts(), {"page": "reference", "about": "Reference"}])
        return
    print_result(pages, "Guides")
    tell("One of them: evolution-lab docs PAGE; every public name: evolution-lab docs reference")
