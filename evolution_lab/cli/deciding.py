"""Deciding: ``suggest``, ``suggestions list|show|approve|reject|reopen`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution_lab.cli.options import (
    DEFAULT_DATA,
    Config,
    Data,
    Every,
    Json,
    Operation,
    Output,
    Reviewer,
    Spec,
)
from evolution_lab.cli.output import (
    print_json,
    print_result,
    print_table,
    print_text,
    progress_bar,
    tell,
)
from evolution_lab.cli.remembering import every_of, remember_every
from evolution_lab.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from evolution_lab.records import SpecSuggestion

STATUSES = ("pending", "approved", "rejected", "superseded", "expired", "withdrawn", "adopted")
Id = Annotated[str, typer.Argument(metavar="ID", help="The id, or the beginning of it.")]
Revision = Annotated[
    int | None, typer.Option("--revision", metavar="N", help="The revision you have seen.")
]


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(suggest)
    group = typer.Typer(help="Look at suggestions and decide on them.", no_args_is_help=True)
    group.command("list")(list_suggestions)
    group.command("show")(show)
    group.command("approve")(approve)
    group.command("reject")(reject)
    group.command("reopen")(reopen)
    app.add_typer(group, name="suggestions")
    app.command()(report)


def suggest(
    data: Data = DEFAULT_DATA,
    every: Every = None,
    spec: Spec = None,
    traffic: Annotated[
        list[Path] | None,
        typer.Option("--traffic", metavar="FILE", help="A recording (HAR) to read; repeatable."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Turn what telemetry and recorded traffic say into suggested spec changes.

    Reads landed telemetry, and the calls that were recorded or are given with --traffic, beside the
    spec. A suggestion that is there already is not said again; new evidence adds a revision.

    Example: evolution-lab suggest --spec openapi.json --traffic traffic.har.zst
    """
    from evolution_lab.lab import Lab

    lab = Lab(data, config=config, specs=spec)
    every = every_of(data, every)
    with progress_bar("suggest") as progress:
        submitted = lab.suggest(every=every, traffic=traffic or (), progress=progress)
    remember_every(data, every)
    if as_json:
        print_json(submitted.to_dicts())
        return
    if not submitted.entries:
        print_text("No suggestion: detection says nothing that asks for a change.")
        return
    rows = [
        [entry.suggestion.id[:8], entry.outcome, entry.suggestion.proposal.summary, entry.reason]
        for entry in submitted.entries
    ]
    print_table("Suggestions", ["id", "outcome", "summary", "reason"], rows)
    tell(f"Look at one: evolution-lab suggestions show {rows[0][0]} --data {data}")


def list_suggestions(
    data: Data = DEFAULT_DATA,
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="STATUS", help=f"One of {', '.join(STATUSES)}."),
    ] = None,
    operation: Operation = None,
    spec: Spec = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List suggestions.

    Example: evolution-lab suggestions list --status pending
    """
    from evolution_lab.lab import Lab
    from evolution_lab.records import to_python
    from evolution_lab.suggestions import subject_of

    if status is not None and status not in STATUSES:
        raise ConfigError(
            f"--status == {status!r}, must be one of {', '.join(STATUSES)}."
            f"{did_you_mean(status, STATUSES)}"
        )
    lab = Lab(data, config=config, specs=spec)
    found = lab.suggestions(status)  # type: ignore[arg-type]
    if operation is not None:
        pairs = lab.specs().keys_of(operation)
        found = tuple(
            s for s in found if (about := subject_of(s)) and (about.service, about.key) in pairs
        )
    if as_json:
        print_json([to_python(suggestion) for suggestion in found])
        return
    if not found:
        print_text("No suggestions. Make some: evolution-lab suggest")
        return
    columns = ["id", "status", "priority", "risk", "operation", "summary"]
    print_table("Suggestions", columns, [_row(suggestion) for suggestion in found])


def show(
    suggestion_id: Id, data: Data = DEFAULT_DATA, config: Config = None, as_json: Json = False
) -> None:
    """Show one suggestion with its evidence and history.

    Example: evolution-lab suggestions show 3f9c
    """
    from evolution_lab.lab import Lab

    _print_one(Lab(data, config=config).suggestion(suggestion_id), as_json=as_json)


def approve(
    suggestion_id: Id,
    data: Data = DEFAULT_DATA,
    reviewer: Reviewer = "",
    notes: Annotated[str | None, typer.Option("--notes", help="Why.")] = None,
    revision: Revision = None,
    output: Output = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Approve a suggestion; its envelope is written to reports/generated.

    Example: evolution-lab suggestions approve 3f9c --reviewer ada --notes 'agreed with billing'
    """
    from evolution_lab.lab import Lab

    lab = Lab(data, config=config)
    decided = lab.approve(
        suggestion_id, reviewer=reviewer, notes=notes, revision=revision, output=output
    )
    _print_one(decided, as_json=as_json)
    if decided.status == "pending":
        tell("Somebody else has to approve it, too.")
        return
    tell(f"Wrote {lab.envelope_of(decided, output)}")


def reject(
    suggestion_id: Id,
    data: Data = DEFAULT_DATA,
    reviewer: Reviewer = "",
    notes: Annotated[str, typer.Option("--notes", help="Why; needed.")] = "",
    revision: Revision = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="REASON", help="not-real: what was claimed is not true."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Reject a suggestion; the notes say why.

    Example: evolution-lab suggestions reject 3f9c --reviewer ada --notes 'load test, not traffic'
    """
    from evolution_lab.lab import Lab

    decided = Lab(data, config=config).reject(
        suggestion_id, reviewer=reviewer, notes=notes, revision=revision, reason=reason
    )
    _print_one(decided, as_json=as_json)


def reopen(
    suggestion_id: Id,
    data: Data = DEFAULT_DATA,
    reviewer: Reviewer = "",
    why: Annotated[str, typer.Option("--why", help="Why; needed.")] = "",
    output: Output = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take a decision back: the suggestion is pending again, its envelope says withdrawn.

    Example: evolution-lab suggestions reopen 3f9c --reviewer ada --why 'billing does not want it'
    """
    from evolution_lab.lab import Lab

    lab = Lab(data, config=config)
    reopened = lab.reopen(suggestion_id, reviewer=reviewer, why=why, output=output)
    _print_one(reopened, as_json=as_json)


def report(
    data: Data = DEFAULT_DATA,
    output: Output = None,
    every: Every = None,
    light: Annotated[
        bool, typer.Option("--light", help="HTML without plotly: small trends, under 300 KB.")
    ] = False,
    tables: Annotated[
        bool, typer.Option("--csv", help="Write signals and suggestions as CSV too.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", metavar="FILE", help="An earlier suggestions.json: say what changed since."
        ),
    ] = None,
    spec: Spec = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write the report as HTML, Markdown and JSON.

    Texts from traffic are safe in each: no markup, no script, no formula of a spreadsheet. With
    --against, comparison.md beside it says what differs from an earlier report.

    Example: evolution-lab report --output reports/

    Example: evolution-lab report --output reports/may --against reports/april/suggestions.json
    """
    from evolution_lab.export import compare_reports, read_report
    from evolution_lab.lab import Lab

    earlier = None if against is None else read_report(against)  # It may be written over.
    with progress_bar("report") as progress:
        files = Lab(data, config=config, specs=spec).report(
            output, every=every_of(data, every), light=light, tables=tables, progress=progress
        )
    found = None if earlier is None else compare_reports(earlier, files.json)
    if found is not None:
        (files.json.parent / "comparison.md").write_text(found.to_document(), encoding="utf-8")
    if as_json:
        rows = files.to_dicts()
        print_json(rows if found is None else {"files": rows, "differences": found.to_dicts()})
        return
    for path in files.paths:
        tell(f"Wrote {path}")
    if found is not None:
        print_result(found, "Since the earlier report")
        print_text(f"{len(found.differences)} differences.")


def _row(suggestion: SpecSuggestion) -> list[str]:
    from evolution_lab.display import format_value
    from evolution_lab.suggestions import subject_of

    return [
        suggestion.id[:8],
        suggestion.status,
        suggestion.priority,
        format_value(suggestion.risk),
        str(subject_of(suggestion) or "new operation"),
        suggestion.proposal.summary,
    ]


def _print_one(suggestion: SpecSuggestion, *, as_json: bool) -> None:
    from evolution_lab.display import format_value, strip_controls
    from evolution_lab.records import to_python

    if as_json:
        print_json(to_python(suggestion))
        return
    lines = [
        f"{suggestion.id}  {suggestion.status}, revision {suggestion.revision}",
        suggestion.proposal.summary,
        "",
        suggestion.proposal.rationale,
        "",
        (
            f"priority {suggestion.priority}, risk {format_value(suggestion.risk)}, "
            f"confidence {format_value(suggestion.confidence)}, change type {suggestion.proposal.change_type}"
        ),
        *(f"- {item.description}" for item in suggestion.evidence),
        *(
            f"{decision.decided_at:%Y-%m-%d %H:%M} {decision.reviewer}: {decision.status}"
            f"{f' ({decision.notes})' if decision.notes else ''}"
            for decision in suggestion.approvals
        ),
    ]
    print_text("\n".join(strip_controls(line) for line in lines))
    if suggestion.proposal.spec is not None:
        print_text("\nThe change:")
        print_json(suggestion.proposal.spec)
    for line in (suggestion.proposal.diff or "").splitlines():
        print_text(strip_controls(line))
