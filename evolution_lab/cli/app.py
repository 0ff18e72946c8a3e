"""The command tree, and the one place where errors become exit codes."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from evolution_lab import __version__
from evolution_lab.cli import (
    deciding,
    every_night,
    first_hour,
    lake_care,
    landing,
    learning,
    looking,
    measuring,
    reading,
    recording,
    reviewing,
    rolling_out,
    running_rollouts,
    sharing,
    silencing,
    simulating,
    testing,
    watching,
)
from evolution_lab.errors import EvolutionLabError

CANNOT_RUN = 2

app = typer.Typer(
    name="evolution-lab",
    help="Turn an API's production telemetry into spec changes that can be trusted.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Turn an API's production telemetry into spec changes that can be trusted."""


first_hour.add_commands(app)
every_night.add_commands(app)
landing.add_commands(app)
lake_care.add_commands(app)
recording.add_commands(app)
looking.add_commands(app)
learning.add_commands(app)
deciding.add_commands(app)
reviewing.add_commands(app)
sharing.add_commands(app)
rolling_out.add_commands(app)
simulating.add_commands(app)
running_rollouts.add_commands(app)
testing.add_commands(app)
measuring.add_commands(app)
reading.add_commands(app)
watching.add_commands(app)
silencing.add_commands(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: Without the program's name; ``sys.argv`` unless given.
    """
    command = typer.main.get_command(app)
    try:
        typed = list(arguments) if arguments is not None else sys.argv[1:]
        # Commands that name the line to type next find there what was typed.
        command.main(args=typed, prog_name="evolution-lab", obj=typed)
    except EvolutionLabError as error:
        return _refuse(str(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _refuse(_of_the_system(error))
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    return 0


def _of_the_system(error: OSError) -> str:
    """Say what the system refused, and what to do."""
    where = f"{error.filename}: " if error.filename else ""
    advice = {
        errno.ENOSPC: "Make room on the disk, then do it again: nothing from before is lost.",
        errno.EDQUOT: "Make room in the quota, then do it again: nothing from before is lost.",
        errno.EACCES: "Give yourself the permission, or name another folder.",
        errno.EPERM: "Give yourself the permission, or name another folder.",
        errno.EROFS: "Name a folder that can be written to.",
    }.get(error.errno or 0, "")
    return f"{where}{error.strerror or error}. {advice}".rstrip()


def _refuse(message: str) -> int:
    print(f"evolution-lab: {message}", file=sys.stderr)  # noqa: T201
    return CANNOT_RUN
