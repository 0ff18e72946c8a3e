"""``lake``: landings listed and taken back, files joined, old days and people removed, all checked."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Json
from evolution_lab.cli.output import (
    print_json,
    print_result,
    print_text,
    progress_bar,
    tell,
    utc,
)

UNSOUND = 1
Grace = Annotated[
    str,
    typer.Option("--grace", metavar="LENGTH", help="How long replaced files stay for readers."),
]


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    group = typer.Typer(help="Look after the lake.")
    group.command("batches")(batches)
    group.command("forget")(forget)
    group.command("compact")(compact)
    group.command("retain")(retain)
    group.command("erase")(erase)
    group.command("verify")(verify)
    app.add_typer(group, name="lake", no_args_is_help=True)


def batches(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """List what was landed, with the id that takes it back.

    Example: evolution-lab lake batches
    """
    from evolution_lab.records import to_python
    from evolution_lab.telemetry import Lake
    from evolution_lab.telemetry.forgetting import landings

    found = landings(_lake(Lake, data))
    if as_json:
        print_json([to_python(each) for each in found.landings])
        return
    print_result(found, "Landings")
    if not found.landings:
        tell(f"Nothing was landed yet: evolution-lab land PATH… --data {data}")


def forget(
    batch: Annotated[
        str, typer.Argument(metavar="BATCH", help="An id that 'lake batches' lists, or its start.")
    ],
    with_dependents: Annotated[
        bool,
        typer.Option("--with-dependents", help="Also landings that left out rows of this one."),
    ] = False,
    data: Data = DEFAULT_DATA,
    grace: Grace = "15m",
    as_json: Json = False,
) -> None:
    """Take a landing back, with all that was derived from it; its source can be landed again.

    Example: evolution-lab lake forget 3fa94c12
    """
    from evolution_lab.lab.caring import take_back

    _existing(data)
    with progress_bar("taking back") as progress:
        done = take_back(
            data, batch, with_dependents=with_dependents, grace=_length(grace), progress=progress
        )
    forgotten = done.forgotten
    if as_json:
        print_json(
            {
                "rows": forgotten.rows,
                "batches": [name for each in forgotten.landings for name in each.batches],
                "sources": [each.source for each in forgotten.landings],
                "landAgain": list(forgotten.land_again),
                "withdrawnSignals": list(done.withdrawn),
                "expiredSuggestions": list(done.expired),
            }
        )
        return
    print_result(forgotten, "Taken back")
    print_text(f"{forgotten.rows:,} rows count no more.")
    for source in forgotten.land_again:
        tell(f"Land {source} again: it has rows that were only kept once.")
    if done.withdrawn:
        tell(
            f"{len(done.withdrawn)} signals rested on them and are withdrawn, "
            f"{len(done.expired)} pending suggestions expired."
        )


def compact(data: Data = DEFAULT_DATA, grace: Grace = "15m", as_json: Json = False) -> None:
    """Join many small files to few, and delete those that were replaced a while ago.

    Readers and landings go on meanwhile, and see each row once.

    Example: evolution-lab lake compact
    """
    from evolution_lab.records import to_python
    from evolution_lab.telemetry import Lake
    from evolution_lab.telemetry.compaction import compact as join

    with progress_bar("compacting") as progress:
        report = join(_lake(Lake, data), grace=_length(grace), progress=progress)
    if as_json:
        print_json(to_python(report))
        return
    print_result(report, "Compaction")
    before, after = (sum(getattr(f, n) for f in report.folders) for n in ("before", "after"))
    print_text(
        f"{before} files became {after}; {report.deleted} replaced files deleted, "
        f"{report.waiting} wait for the end of their grace."
    )


def retain(
    days: Annotated[int, typer.Option("--days", metavar="N", help="Whole days to keep.")],
    data: Data = DEFAULT_DATA,
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", metavar="TIME", help="Today; now without it.")
    ] = None,
    grace: Grace = "15m",
    as_json: Json = False,
) -> None:
    """Remove the days that ended more than N days ago.

    Example: evolution-lab lake retain --days 90
    """
    from evolution_lab.lab.caring import retain as keep

    _existing(data)
    with progress_bar("removing") as progress:
        kept = keep(data, days=days, as_of=utc(as_of), grace=_length(grace), progress=progress)
    report = kept.removal
    if as_json:
        print_json({"rows": report.rows, "removed": report.to_dicts(), "findings": kept.findings})
        return
    print_result(report, "Removed")
    print_text(f"{report.rows:,} rows and {kept.findings:,} old findings removed.")


def erase(
    actor: Annotated[
        str | None, typer.Option("--actor", metavar="ID", help="As telemetry names them.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="ID", help="As telemetry names it.")
    ] = None,
    exported: Annotated[
        list[Path] | None,
        typer.Option(
            "--exported", metavar="PATH", help="Where reports and suites are; repeatable."
        ),
    ] = None,
    data: Data = DEFAULT_DATA,
    grace: Grace = "0s",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Erase one actor or tenant: rows go, findings get a tombstone, exported files are listed.

    Later landings leave them out. A shared state database (setting state_url) is redacted, too.

    Example: evolution-lab lake erase --actor u-1841 --exported reports --exported tests/golden
    """
    from evolution_lab.config import load_config
    from evolution_lab.lab.caring import erase as erase_subject

    _existing(data)
    state_url = load_config(path=config, data_dir=data).state_url
    places = exported or [Path("reports")]
    with progress_bar("erasing") as progress:
        done = erase_subject(
            data,
            actor=actor,
            tenant=tenant,
            exported=places,
            state_url=state_url,
            grace=_length(grace),
            progress=progress,
        )
    if as_json:
        print_json(
            {
                "rows": done.removal.rows,
                "removed": done.removal.to_dicts(),
                "redacted": done.redacted,
                "experiments": list(done.units),
                "files": [str(path) for path in done.files],
            }
        )
        return
    print_result(done.removal, "Removed")
    cells = sum(done.redacted.values())
    print_text(f"{done.removal.rows:,} rows removed, {cells} texts redacted.")
    for path in done.files:
        print_text(f"Still named in {path}")
    if done.files:
        tell("Exported files are yours: write them anew, or delete them.")


def verify(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """Read every file of the lake: is it whole, as its record says, in its day, each row once?

    Exits with 1 where a row is wrong or missing.

    Example: evolution-lab lake verify
    """
    from evolution_lab.telemetry import Lake
    from evolution_lab.telemetry.verifying import verify as check

    with progress_bar("verifying") as progress:
        report = check(_lake(Lake, data), progress=progress)
    if as_json:
        print_json(
            {
                "sound": report.sound,
                "files": report.files,
                "rows": report.rows,
                "findings": report.to_dicts(),
            }
        )
    else:
        print_result(report, "Lake")
        said = "every row is as it was landed" if report.sound else "it is damaged"
        print_text(f"{report.files:,} files, {report.rows:,} rows: {said}.")
    if not report.sound:
        raise typer.Exit(UNSOUND)


def _lake(kind: Any, data: Path) -> Any:
    _existing(data)
    return kind(data)


def _existing(data: Path) -> None:
    from evolution_lab.errors import PathNotFoundError

    if not data.is_dir():
        raise PathNotFoundError(data)


def _length(text: str) -> timedelta:
    from evolution_lab.config import parse_duration

    return parse_duration(text)
