"""``review``: the panel as a page of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Every, Reviewer, Spec
from evolution_lab.cli.output import print_text, tell
from evolution_lab.cli.remembering import every_of
from evolution_lab.errors import ConfigError


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(review)


def review(
    data: Data = DEFAULT_DATA,
    reviewer: Reviewer = "",
    every: Every = None,
    spec: Spec = None,
    port: Annotated[int, typer.Option("--port", metavar="N", help="0 takes any free one.")] = 0,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT", help="For a team, behind your own sign-in."),
    ] = None,
    trust_user_header: Annotated[
        str | None,
        typer.Option(
            "--trust-user-header",
            metavar="NAME",
            help="Header in which your sign-in says who asks.",
        ),
    ] = None,
    public_host: Annotated[
        str | None,
        typer.Option(
            "--public-host", metavar="HOST", help="Under which your sign-in is reached, as it asks."
        ),
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = False,
    config: Config = None,
) -> None:
    """Look at suggestions with their evidence, and decide on them, in a browser.

    The page is served on 127.0.0.1 alone; the address that is printed carries a token. For a team,
    --listen puts it behind your own sign-in, whose header says who decides; nothing but that sign-in
    may reach the address, and decisions must be kept in PostgreSQL (setting state_url).

    Example: evolution-lab review --reviewer kim
    """
    import webbrowser

    from evolution_lab.lab import Lab
    from evolution_lab.review.server import ReviewServer, listen_address

    if (listen is None) != (trust_user_header is None):
        raise ConfigError(
            "--listen and --trust-user-header go together: who reaches the page is let in by your "
            "own sign-in, and named by it."
        )
    lab = Lab(data, config=config, specs=spec)
    if listen is not None and lab.config.state_url is None:
        raise ConfigError(
            f"listen == {listen!r} needs a state database that several may write: set state_url to "
            "a PostgreSQL one. Without --listen the page is for this machine."
        )
    board = lab.review_board(reviewer=reviewer, every=every_of(data, every))
    if listen is None:
        server = ReviewServer(board, port=port)
    else:
        host, port = listen_address(listen)
        server = ReviewServer(
            board, host=host, port=port, user_header=trust_user_header, public_host=public_host
        )
    print_text(server.url if listen is None else f"http://{server.address}/")
    tell(
        "Ctrl-C ends it."
        if reviewer or listen is not None
        else "Shown only: --reviewer NAME lets you decide. Ctrl-C ends it."
    )
    if open_page:
        webbrowser.open(server.url)
    try:
        server.serve()
    except KeyboardInterrupt:
        tell("ended")
