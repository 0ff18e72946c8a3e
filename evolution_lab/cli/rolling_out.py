"""Rolling out: ``experiment register|start|pause|resume|abort|list|show|export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Json, Spec
from evolution_lab.cli.output import print_json, print_table, print_text, tell
from evolution_lab.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from evolution_lab.experiments import RegisteredExperiment, SpecExperimentRegistry

STATUSES = ("draft", "running", "paused", "completed", "rolled_back")
FORMATS = ("growthbook", "flagd", "unleash")
Key = Annotated[str, typer.Argument(metavar="KEY", help="The experiment's key.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; needed.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason; needed.")]
MayWhy = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason.")]
Version = Annotated[
    int | None,
    typer.Option("--version", metavar="N", help="Of the definition; the latest without."),
]

group = typer.Typer(help="Roll a spec change out, stage by stage.", no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    group.command()(register)
    group.command()(start)
    group.command()(pause)
    group.command()(resume)
    group.command()(abort)
    group.command("list")(list_experiments)
    group.command()(show)
    group.command()(export)
    app.add_typer(group, name="experiment")


def register(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The definition, TOML or JSON.")
    ] = None,
    data: Data = DEFAULT_DATA,
    from_suggestion: Annotated[
        str | None,
        typer.Option("--from-suggestion", metavar="ID", help="Draft it from an approved one."),
    ] = None,
    by: By = "",
    why: MayWhy = "",
    spec: Spec = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take the definition of an experiment in as a draft.

    With --from-suggestion the control is the spec in force and the variant the same with the
    suggestion applied; settings of FILE win over the drafted ones. A boundary that the operation
    breaks already, by its last 7 days, is refused.

    Example: evolution-lab experiment register --from-suggestion 3f9c --by ada
    """
    from evolution_lab.experiments.definition import experiment_from, read_settings
    from evolution_lab.lab import Lab

    if file is None and from_suggestion is None:
        raise ConfigError("name the FILE of a definition, or --from-suggestion ID.")
    lab = Lab(data, config=config, specs=spec)
    settings = {} if file is None else read_settings(file)
    if from_suggestion is None:
        definition = experiment_from(settings)
    else:
        definition = lab.draft_experiment(from_suggestion, settings=settings)
    registered = lab.register_experiment(definition, actor=by, reason=why)
    _print_one(lab.experiments, registered, as_json=as_json)
    _tell_doubts(lab.experiments, registered)
    tell(f"Start it: evolution-lab experiment start {definition.key} --data {data} --by NAME")


def start(
    key: Key,
    data: Data = DEFAULT_DATA,
    by: By = "",
    why: MayWhy = "",
    version: Version = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Give the variant to the first stage's share of units.

    Where no controller looks for three of its intervals, serving processes give everybody the
    control again: run one.

    Example: evolution-lab experiment start invoice-2 --by ada
    """
    registry = _registry(data, config)
    started = registry.start(key, actor=by, reason=why, version=version)
    _print_one(registry, started, as_json=as_json)
    tell(f"Have it watched: evolution-lab experiment run --data {data}")


def pause(
    key: Key,
    data: Data = DEFAULT_DATA,
    by: By = "",
    why: Why = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Stop deciding; units keep the arm they have.

    Example: evolution-lab experiment pause invoice-2 --by ada --why 'incident elsewhere'
    """
    registry = _registry(data, config)
    _print_one(registry, registry.pause(key, actor=by, reason=why), as_json=as_json)


def resume(
    key: Key,
    data: Data = DEFAULT_DATA,
    by: By = "",
    why: MayWhy = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Go on with a paused experiment at its stage.

    Example: evolution-lab experiment resume invoice-2 --by ada
    """
    registry = _registry(data, config)
    _print_one(registry, registry.resume(key, actor=by, reason=why), as_json=as_json)


def abort(
    key: Key,
    data: Data = DEFAULT_DATA,
    by: By = "",
    why: Why = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """End an experiment without a verdict: everybody gets the control.

    Example: evolution-lab experiment abort invoice-2 --by ada --why 'the feature was dropped'
    """
    registry = _registry(data, config)
    _print_one(registry, registry.abort(key, actor=by, reason=why), as_json=as_json)


def list_experiments(
    data: Data = DEFAULT_DATA,
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="STATUS", help=f"One of {', '.join(STATUSES)}."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List experiments.

    Example: evolution-lab experiment list --status running
    """
    from evolution_lab.records import to_python

    if status is not None and status not in STATUSES:
        raise ConfigError(
            f"--status == {status!r}, must be one of {', '.join(STATUSES)}."
            f"{did_you_mean(status, STATUSES)}"
        )
    found = _registry(data, config).list(status)  # type: ignore[arg-type]
    if as_json:
        print_json([to_python(experiment) for experiment in found])
        return
    if not found:
        print_text("No experiments. Draft one: evolution-lab experiment register FILE")
        return
    rows = [
        [
            each.definition.key,
            str(each.definition.version),
            each.status,
            _stage(each),
            each.definition.operation,
            f"{each.updated_at:%Y-%m-%d %H:%M}",
        ]
        for each in found
    ]
    columns = ["experiment", "version", "status", "stage", "operation", "changed (UTC)"]
    print_table("Experiments", columns, rows)


def show(
    key: Key,
    data: Data = DEFAULT_DATA,
    version: Version = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show one experiment with its history.

    Example: evolution-lab experiment show invoice-2
    """
    registry = _registry(data, config)
    _print_one(registry, registry.get(key, version=version), as_json=as_json)


def export(
    key: Key,
    data: Data = DEFAULT_DATA,
    format_: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")
    ] = "growthbook",
    stage: Annotated[
        int | None,
        typer.Option("--stage", metavar="N", help="Counted from 1; the one in force without it."),
    ] = None,
    version: Version = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print an experiment as another flag system reads it; its SDKs then assign the same units.

    On stdout the document; on stderr what the system does otherwise.

    Example: evolution-lab experiment export invoice-2 --format growthbook
    """
    from evolution_lab.experiments.exports import export_flag
    from evolution_lab.records import to_python

    found = _registry(data, config).get(key, version=version)
    stages = len(found.definition.stages)
    if stage is not None and not 1 <= stage <= stages:
        raise ConfigError(f"--stage == {stage}, must be 1 to {stages} in {key!r}.")
    in_force = found.stage if found.status in {"running", "paused", "completed"} else None
    exported = export_flag(
        found.definition, in_force if stage is None else stage - 1, format=format_
    )
    if as_json:
        print_json(to_python(exported))
        return
    print_json(exported.document)
    if exported.stage is None:
        tell(f"{key} is {found.status}: everybody gets the control. Name a --stage to try one.")
    for note in exported.notes:
        tell(note)


def _registry(data: Path, config: Path | None = None) -> SpecExperimentRegistry:
    from evolution_lab.config import load_config
    from evolution_lab.experiments import SpecExperimentRegistry

    settings = load_config(path=config, data_dir=data)
    return SpecExperimentRegistry.in_lab(data, state_url=settings.state_url)


def _tell_doubts(registry: SpecExperimentRegistry, experiment: RegisteredExperiment) -> None:
    """Say which boundaries the control may break: every variant would be held there."""
    definition = experiment.definition
    latest = registry.history(definition.key, version=definition.version)[-1]
    for finding in latest.payload.get("boundaries", ()):
        if finding["verdict"] in {"unclear", "unknown"}:
            tell(finding["sentence"])


def _stage(experiment: RegisteredExperiment) -> str:
    stages = experiment.definition.stages
    share = stages[experiment.stage].share
    return f"{experiment.stage + 1} of {len(stages)} ({share:.4g})"


def _print_one(
    registry: SpecExperimentRegistry, experiment: RegisteredExperiment, *, as_json: bool
) -> None:
    from evolution_lab.display import strip_controls
    from evolution_lab.records import to_python

    definition = experiment.definition
    history = registry.history(definition.key, version=definition.version)
    if as_json:
        told = [to_python(entry) for entry in history]
        print_json({**to_python(experiment), "history": told})
        return
    lines = [
        f"{definition.key} version {definition.version}: {experiment.status}",
        f"operation   {definition.operation}",
        f"control     {definition.control.version}",
        f"variant     {definition.variant.version}",
        f"stage       {_stage(experiment)}",
        *(f"guardrail   {g.metric} <= {g.boundary:g}" for g in definition.guardrails),
    ]
    if definition.suggestion_id is not None:
        lines.append(f"suggestion  {definition.suggestion_id[:8]}")
    print_text("\n".join(strip_controls(line) for line in lines))
    rows = [[f"{e.at:%Y-%m-%d %H:%M}", e.action, e.actor, e.reason] for e in history]
    print_table("History", ["at (UTC)", "step", "by", "reason"], rows)
