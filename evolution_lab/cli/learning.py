"""Learning from people: ``signals list|label``, ``deploys add|list`` and ``calibrate``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Every, Json, Reviewer
from evolution_lab.cli.output import (
    print_json,
    print_table,
    print_text,
    progress_bar,
    tell,
    utc,
)
from evolution_lab.cli.remembering import every_of
from evolution_lab.errors import ConfigError, did_you_mean

TRUTHS = {"true": True, "false": False}


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    group = typer.Typer(help="Say which signals were right.", no_args_is_help=True)
    group.command("list")(list_signals)
    group.command("label")(label)
    app.add_typer(group, name="signals")
    deploys = typer.Typer(help="Tell of deployments, and see which did harm.", no_args_is_help=True)
    deploys.command("add")(add_deployment)
    deploys.command("list")(list_deployments)
    app.add_typer(deploys, name="deploys")
    app.command()(calibrate)


def list_signals(data: Data = DEFAULT_DATA, config: Config = None, as_json: Json = False) -> None:
    """List what was said so far, with what people said of it.

    Example: evolution-lab signals list
    """
    from evolution_lab.display import format_value
    from evolution_lab.intents import standing_snapshots
    from evolution_lab.lab import Lab

    lab = Lab(data, config=config)
    labels = {found.signal_id: found for found in lab.labels()}
    rows = [
        {
            "id": row["id"],
            "detectedAt": row["detected_at"],
            "service": row["service"],
            "operation": row["operation_name"],
            "confidence": row["confidence"],
            "label": labels[row["id"]].truth if row["id"] in labels else None,
            "why": labels[row["id"]].why if row["id"] in labels else None,
        }
        for row in standing_snapshots(lab.data).iter_rows(named=True)
    ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        print_text("No signal was said yet: evolution-lab detect")
        return
    columns = ["signal", "detected", "operation", "confidence", "label", "why"]
    table = [
        [
            row["id"][:8],
            f"{row['detectedAt']:%m-%d %H:%M}",
            str(row["operation"]),
            format_value(row["confidence"]),
            format_value(row["label"]),
            format_value(row["why"]),
        ]
        for row in rows
    ]
    print_table("Signals", columns, table)


def label(
    signal_id: Annotated[
        str, typer.Argument(metavar="ID", help="The signal's id, or the beginning of it.")
    ],
    truth: Annotated[str, typer.Argument(metavar="true|false", help="Whether it was right.")],
    data: Data = DEFAULT_DATA,
    why: Annotated[str | None, typer.Option("--why", help="The reason.")] = None,
    reviewer: Reviewer = "somebody",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say whether a signal was right; calibrate learns from it.

    Example: evolution-lab signals label 3f9c false --why 'load test'
    """
    from evolution_lab.lab import Lab
    from evolution_lab.records import to_python

    if truth not in TRUTHS:
        raise ConfigError(
            f"{truth!r} is no label, must be true or false.{did_you_mean(truth, TRUTHS)}"
        )
    said = Lab(data, config=config).label(
        signal_id, truth=TRUTHS[truth], why=why, labelled_by=reviewer
    )
    if as_json:
        print_json(to_python(said))
        return
    print_text(f"Signal {said.signal_id[:8]} is labelled {truth}.")
    tell(f"Learn from labels: evolution-lab calibrate --data {data}")


def add_deployment(
    at: Annotated[datetime, typer.Option("--at", metavar="TIME", help="When it went live, UTC.")],
    version: Annotated[str, typer.Option("--version", metavar="V", help="What went live.")],
    service: Annotated[
        str | None, typer.Option("--service", metavar="S", help="Of which service.")
    ] = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tell of a deployment; versions in telemetry imply theirs.

    Example: evolution-lab deploys add --at 2026-11-23T04:21 --service shop --version 2.5.0
    """
    from evolution_lab.lab import Lab
    from evolution_lab.records import to_python

    when = utc(at)
    assert when is not None
    told = Lab(data, config=config).add_deployment(service=service, version=version, at=when)
    if as_json:
        print_json(to_python(told))
        return
    print_text(
        f"{told.service or 'A service'} {told.version} went live at {told.at:%Y-%m-%d %H:%M} UTC."
    )


def list_deployments(
    data: Data = DEFAULT_DATA, every: Every = None, config: Config = None, as_json: Json = False
) -> None:
    """List deployments, told and implied, with what can be said of each.

    Example: evolution-lab deploys list
    """
    from evolution_lab.display import format_quantity, format_value
    from evolution_lab.lab import Lab

    found = Lab(data, config=config).deploys(every=every_of(data, every))
    if as_json:
        print_json(found.to_dicts())
        return
    if not found.verdicts:
        print_text(
            "No deployment is known: telemetry names one version a service, nobody told of one."
        )
        return
    rows = [
        [
            f"{v.deployment.at:%m-%d %H:%M}",
            format_value(v.deployment.service),
            v.deployment.version,
            v.verdict,
            format_value(v.metric),
            f"{format_quantity(v.before, 'fraction')} → {format_quantity(v.after, 'fraction')}",
            format_value(v.calls),
        ]
        for v in found.verdicts
    ]
    columns = ["at (UTC)", "service", "version", "verdict", "by", "failed or slow", "calls"]
    print_table("Deployments", columns, rows)


def calibrate(
    data: Data = DEFAULT_DATA,
    planted: Annotated[
        bool, typer.Option("--planted", help="Fit anew on planted labs, not on this lab's labels.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="With --planted: where the map is written."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Refit confidence on what people said of signals.

    Example: evolution-lab calibrate
    """
    from evolution_lab.records import to_json, to_python

    if planted:
        from evolution_lab.intents.calibration import FITTED_SEEDS, fit_map, planted_cases

        with progress_bar("planted labs") as progress:
            cases = planted_cases(FITTED_SEEDS, progress=progress)
        seeds = f"{FITTED_SEEDS[0]} to {FITTED_SEEDS[-1]}"
        fitted = fit_map(cases, provenance={"what": "planted labs", "seeds": seeds})
    else:
        from evolution_lab.lab import Lab

        fitted = Lab(data, config=config).calibrate()
    if output is not None:
        output.write_bytes(to_json(fitted, indent=2) + b"\n")
        tell(f"Wrote {output}")
    if as_json:
        print_json(to_python(fitted))
        return
    print_text(
        "Confidence is fitted on "
        + ", ".join(
            f"{name} {value}"
            for name, value in fitted.provenance.items()
            if name in {"labels", "true", "cases", "seeds"}
        )
        + "."
    )
