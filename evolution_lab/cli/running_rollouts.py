"""Running rollouts: ``experiment run|status|evaluate|advance|rollback``."""

from __future__ import annotations

import signal
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Json
from evolution_lab.cli.output import print_json, print_table, print_text, tell
from evolution_lab.cli.rolling_out import By, Key, Version, Why, group

if TYPE_CHECKING:
    from evolution_lab.experiments import ExperimentAnalysis, RolloutDecision

SHOWN_LOOKS = 10


def add_commands(app: typer.Typer) -> None:  # noqa: ARG001 - joins the group of another module
    """Add the commands of this module to the tree."""
    group.command()(run)
    group.command()(status)
    group.command()(evaluate)
    group.command()(advance)
    group.command()(rollback)


def run(
    data: Data = DEFAULT_DATA,
    interval: Annotated[
        str, typer.Option("--interval", metavar="LENGTH", help="Between two looks, such as 1m.")
    ] = "1m",
    once: Annotated[bool, typer.Option("--once", help="Look once and end, for cron.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Look at every rollout under way, again and again; advance, hold and roll back by evidence.

    Of several controllers one looks, by a lease; the others wait. Serving processes give everybody
    the control when nobody has looked for three intervals.

    Example: evolution-lab experiment run --interval 1m
    """
    from evolution_lab.config import parse_duration
    from evolution_lab.errors import ConfigError
    from evolution_lab.lab import Lab
    from evolution_lab.records import to_python

    length = parse_duration(interval)
    if length <= timedelta(0):
        raise ConfigError(f"--interval == {interval!r}, must be > 0.")
    controller, release = Lab(data, config=config).rollout_controller(interval=length)
    stopped = threading.Event()
    try:
        if once:
            decisions = controller.look_as_leader(interval=length)
            if decisions is None:
                tell("Another controller looks at these rollouts; nothing was done.")
            if as_json:
                print_json([to_python(each) for each in decisions or ()])
            else:
                _tell(decisions or ())
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        tell(f"Looking every {interval}. Ctrl-C ends it.")
        controller.run(interval=length, stopped=stopped, progress=_tell)
        tell("ended")
    finally:
        release()


def status(
    key: Key,
    data: Data = DEFAULT_DATA,
    version: Version = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show where a rollout stands: its stage, what is counted, and what was decided last.

    Example: evolution-lab experiment status invoice-2
    """
    from evolution_lab.lab import Lab
    from evolution_lab.records import to_python

    lab = Lab(data, config=config)
    found = lab.experiments.get(key, version=version)
    decisions = lab.rollout_decisions(key, version=version)[-SHOWN_LOOKS:]
    analysis = lab.evaluate_experiment(key, version=version)
    if as_json:
        print_json(
            {
                "experiment": to_python(found),
                "analysis": to_python(analysis),
                "decisions": [to_python(each) for each in decisions],
            }
        )
        return
    stages = found.definition.stages
    share = stages[found.stage].share
    print_text(f"{key}: {found.status}, stage {found.stage + 1} of {len(stages)} ({share:.4g})")
    _show(analysis)
    _tell(decisions)


def evaluate(
    key: Key,
    data: Data = DEFAULT_DATA,
    version: Version = None,
    from_telemetry: Annotated[
        bool,
        typer.Option("--from-telemetry", help="Count landed spans that say which arm served them."),
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say what the outcomes so far prove, and do nothing about it.

    Example: evolution-lab experiment evaluate invoice-2 --from-telemetry
    """
    from evolution_lab.display import format_value
    from evolution_lab.lab import Lab
    from evolution_lab.records import to_python

    lab = Lab(data, config=config)
    analysis = lab.evaluate_experiment(key, version=version, from_telemetry=from_telemetry)
    durations = lab.experiment_durations(key, version=version) if from_telemetry else None
    if as_json:
        told = {} if durations is None else {"durations": to_python(durations.rows)}
        print_json({**to_python(analysis), **told})
        return
    _show(analysis)
    rows = [] if durations is None else durations.to_dicts()
    if rows:
        cells = [[format_value(value) for value in row.values()] for row in rows]
        print_table("Durations, 95 % at all looks together", list(rows[0]), cells)


def advance(
    key: Key,
    data: Data = DEFAULT_DATA,
    by: By = "",
    why: Why = "",
    config: Config = None,
) -> None:
    """Begin the next stage before it is proven safe: a person's decision, kept with its reason.

    Example: evolution-lab experiment advance invoice-2 --by ada --why 'tested by hand'
    """
    from evolution_lab.errors import MissingNoteError
    from evolution_lab.lab import Lab

    if not why.strip():
        raise MissingNoteError("--why is blank, must say why the evidence is not waited for.")
    registry = Lab(data, config=config).experiments
    found = registry.get(key)
    after = registry.advance(key, found.stage + 1, actor=by, reason=why)
    print_text(f"{key}: stage {after.stage + 1} of {len(after.definition.stages)}")


def rollback(
    key: Key,
    data: Data = DEFAULT_DATA,
    by: By = "",
    why: Why = "",
    config: Config = None,
) -> None:
    """Give everybody the control at once: a person's decision, kept with its reason.

    Example: evolution-lab experiment rollback invoice-2 --by ada --why 'support is flooded'
    """
    from evolution_lab.lab import Lab

    after = Lab(data, config=config).experiments.roll_back(key, actor=by, reason=why)
    print_text(f"{key}: {after.status}")


def _tell(decisions: tuple[RolloutDecision, ...] | list[RolloutDecision]) -> None:
    for each in decisions:
        print_text(
            f"{each.at:%Y-%m-%d %H:%M:%S} {each.analysis.key} stage {each.stage + 1}: "
            f"{each.action.replace('_', ' ')}: {each.reason}"
        )


def _show(analysis: ExperimentAnalysis) -> None:
    from evolution_lab.display import format_value

    rows: list[dict[str, Any]] = analysis.to_dicts()
    cells = [[format_value(value) for value in row.values()] for row in rows]
    print_table("Guardrails", list(rows[0]), cells)
    print_text(analysis.reason)
