"""Commands of the design that later releases bring: they say so and exit with 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import typer

from evolution_lab.errors import NotYetAvailableError

COMMANDS: Final[dict[str, str]] = {}
GROUPS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {}
_ANY: Final = {"allow_extra_args": True, "ignore_unknown_options": True}


def add_commands_to_come(app: typer.Typer) -> None:
    """Add every command that is to come to the tree."""
    for name, purpose in COMMANDS.items():
        app.command(
            name, help=f"To come: {purpose[0].lower()}{purpose[1:]}", context_settings=_ANY
        )(to_come(name))
    there = {group.name: group.typer_instance for group in app.registered_groups}
    for group, (purpose, names) in GROUPS.items():
        branch = there.get(group)
        if branch is None:
            branch = typer.Typer(
                help=f"To come: {purpose[0].lower()}{purpose[1:]}", no_args_is_help=True
            )
            app.add_typer(branch, name=group)
        for name in names:
            branch.command(name, help="To come.", context_settings=_ANY)(to_come(f"{group} {name}"))


def to_come(name: str) -> Callable[[typer.Context], None]:
    """Return a command that says that it is to come."""

    def refuse(context: typer.Context) -> None:  # noqa: ARG001 (takes whatever it is given)
        raise NotYetAvailableError(f"evolution-lab {name}")

    return refuse
