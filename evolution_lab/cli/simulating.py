"""``experiment simulate``: what a configuration would do, before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Json
from evolution_lab.cli.output import print_json, print_table, progress_bar, tell
from evolution_lab.cli.rolling_out import group
from evolution_lab.errors import ConfigError


def add_commands(app: typer.Typer) -> None:  # noqa: ARG001 - joins the group of another module
    """Add the commands of this module to the tree."""
    group.command()(simulate)


def simulate(
    what: Annotated[
        str, typer.Argument(metavar="KEY|FILE", help="A registered experiment, or a definition.")
    ],
    data: Data = DEFAULT_DATA,
    requests_per_day: Annotated[
        float | None,
        typer.Option(
            "--requests-per-day", metavar="N", help="Of both arms; else of the last 7 days."
        ),
    ] = None,
    error_rate: Annotated[
        float | None,
        typer.Option(
            "--error-rate", metavar="SHARE", help="Of the control; else of the last 7 days."
        ),
    ] = None,
    p99: Annotated[
        float | None,
        typer.Option("--p99", metavar="MS", help="Of the control; else of the last 7 days."),
    ] = None,
    rollouts: Annotated[int, typer.Option("--rollouts", metavar="N", help="Drawn a row.")] = 1_000,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Draw it, too, as HTML.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what a rollout would do to good and to bad variants, at the operation's traffic.

    Draws rollouts by the thousand and decides each as the controller would: how often a harmless
    variant is rolled back, how soon a bad one is, how long a good one takes.

    Example: evolution-lab experiment simulate invoice-2 --requests-per-day 200000
    """
    from evolution_lab.display import format_value
    from evolution_lab.experiments import load_experiment
    from evolution_lab.experiments.operating_characteristics import operating_characteristics
    from evolution_lab.lab import Lab
    from evolution_lab.records import to_python

    lab = Lab(data, config=config)
    definition = (
        load_experiment(what) if Path(what).is_file() else lab.experiments.get(what).definition
    )
    given = requests_per_day, error_rate, p99
    traffic = None if None not in given else lab.recent_traffic(definition.operation)
    if traffic is not None:
        known = (traffic.requests_per_day, traffic.error_rate, traffic.p99_ms)
        given = tuple(k if g is None else g for g, k in zip(given, known, strict=True))  # type: ignore[assignment]
    per_day, errors, p99_ms = given
    if per_day is None or errors is None or p99_ms is None:
        raise ConfigError(
            f"nothing of {definition.operation!r} was landed in the last 7 days of the lake: say "
            "--requests-per-day, --error-rate and --p99."
        )
    with progress_bar("simulate") as progress:
        told = operating_characteristics(
            definition,
            requests_per_day=per_day,
            error_rate=errors,
            p99_ms=p99_ms,
            n_rollouts=rollouts,
            progress=progress,
        )
    if figure is not None:
        from evolution_lab.export.rollout_figures import operating_figure

        figure.parent.mkdir(parents=True, exist_ok=True)
        operating_figure(told).write_html(figure, include_plotlyjs=True)
        tell(f"Wrote {figure}")
    if as_json:
        print_json(to_python(told))
        return
    rows = told.to_dicts()
    cells = [[format_value(value) for value in row.values()] for row in rows]
    print_table(f"{definition.key}: what it would do", list(rows[0]), cells)
    tell(f"{told.n_rollouts:,} rollouts a row, {told.days:g} days at most. {told.note}")
