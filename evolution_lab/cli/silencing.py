"""What nobody wants to be told of: ``mute``, ``unmute`` and ``maintenance add|list|remove``."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Json
from evolution_lab.cli.output import print_json, print_result, print_text, tell, utc

if TYPE_CHECKING:
    from evolution_lab.intents.silences import Silence
    from evolution_lab.lab import Lab

Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason; others will see it.")]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who says so; you without it.")
]


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(mute)
    app.command()(unmute)
    group = typer.Typer(help="Times in which nobody is to be alerted.", no_args_is_help=True)
    group.command("add")(add)
    group.command("list")(list_maintenance)
    group.command("remove")(remove)
    app.add_typer(group, name="maintenance")


def mute(
    operation: Annotated[
        str | None,
        typer.Argument(metavar="[OPERATION]", help="Its key, or a glob; what is muted without it."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="A time (UTC), or a length such as 2h."),
    ] = None,
    why: Why = "",
    by: By = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Silence an operation for a while: it alerts nobody and fails no nightly run.

    Reports and signals still show it, with who muted it, why and until when. Without an operation it
    lists the mutes that are in force.

    Example: evolution-lab mute 'GET /orders/{id}' --until 2h --why 'known, fixed in release 41'
    """
    from evolution_lab.errors import InputError

    if operation is None:
        _list(data, config, "mute", as_json=as_json)
        return
    if until is None:
        raise InputError("a mute has an end: --until 2h, or --until 2026-05-04T12:00.")
    lab = _lab(data, config)
    silence = lab.mute(operation, until=_moment(until), why=why, by=_person(by))
    _hint(data, config, operation)
    _show([silence], as_json=as_json, what="Muted")


def unmute(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The operation, or the mute's id.")],
    by: By = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """End a mute early.

    Example: evolution-lab unmute 'GET /orders/{id}'
    """
    lifted = _lab(data, config).unmute(name, by=_person(by))
    _show(lifted, as_json=as_json, what="Ended")


def add(
    begins: Annotated[str, typer.Argument(metavar="FROM", help="From this time on, UTC.")],
    ends: Annotated[
        str, typer.Argument(metavar="TO", help="A time (UTC), or a length such as 2h.")
    ],
    operations: Annotated[
        str, typer.Option("--operations", metavar="GLOB", help="A key, or a glob; all without it.")
    ] = "*",
    why: Why = "",
    by: By = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tell of maintenance: meanwhile nobody is alerted and no nightly run fails.

    Example: evolution-lab maintenance add 2026-12-05T22:00 2h --operations 'billing.*' --why 'new disks'
    """
    begin = _moment(begins)
    silence = _lab(data, config).add_maintenance(
        begins_at=begin,
        ends_at=_moment(ends, after=begin),
        why=why,
        operations=operations,
        by=_person(by),
    )
    _show([silence], as_json=as_json, what="Added")


def list_maintenance(
    data: Data = DEFAULT_DATA, config: Config = None, as_json: Json = False
) -> None:
    """List the maintenance that is under way or to come.

    Example: evolution-lab maintenance list
    """
    _list(data, config, "maintenance", as_json=as_json)


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its id, or its operations.")],
    by: By = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """End maintenance early, or call it off.

    Example: evolution-lab maintenance remove 1f2e3d4c
    """
    lifted = _lab(data, config).remove_maintenance(name, by=_person(by))
    _show(lifted, as_json=as_json, what="Ended")


def _lab(data: Path, config: Path | None) -> Lab:
    from evolution_lab.lab import Lab

    return Lab(data, config=config)


def _list(data: Path, config: Path | None, kind: str, *, as_json: bool) -> None:
    from evolution_lab.intents.silences import Silences
    from evolution_lab.records import to_python

    found = _lab(data, config).silences().at(datetime.now(UTC))
    shown = Silences(tuple(s for s in found.silences if s.kind == kind))
    if as_json:
        print_json([to_python(silence) for silence in shown.silences])
    elif shown.silences:
        print_result(shown, "Mutes" if kind == "mute" else "Maintenance")
    elif kind == "mute":
        print_text("Nothing is muted: evolution-lab mute OPERATION --until 2h --why TEXT")
    else:
        print_text("No maintenance is to come: evolution-lab maintenance add FROM TO --why TEXT")


def _show(silences: tuple[Silence, ...] | list[Silence], *, as_json: bool, what: str) -> None:
    from evolution_lab.display import strip_controls
    from evolution_lab.lab.watching import silenced
    from evolution_lab.records import to_python

    if as_json:
        print_json([to_python(silence) for silence in silences])
        return
    for silence in silences:
        print_text(f"{what}: {strip_controls(silenced(silence))}")


def _hint(data: Path, config: Path | None, operation: str) -> None:
    """Say so where no operation seen so far is meant: it may be misspelt."""
    import fnmatch

    from evolution_lab.errors import did_you_mean

    keys = _lab(data, config).lake.operations()["operation_key"].to_list()
    if operation in keys or any(fnmatch.fnmatchcase(key, operation) for key in keys):
        return
    tell(f"No operation seen so far is called {operation!r}.{did_you_mean(operation, keys)}")


def _moment(text: str, *, after: datetime | None = None) -> datetime:
    from evolution_lab.config import parse_duration
    from evolution_lab.errors import ConfigError, InputError

    try:
        return (after or datetime.now(UTC)) + parse_duration(text)
    except ConfigError:
        pass
    try:
        moment = utc(datetime.fromisoformat(text))
    except ValueError:
        raise InputError(
            f"time == {text!r}, must be a time such as 2026-05-04T12:00 or a length such as 2h."
        ) from None
    assert moment is not None
    return moment


def _person(by: str | None) -> str:
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # A container may have no name for its user.
        return "somebody"
