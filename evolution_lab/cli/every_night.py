"""Every night: ``run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Every, Json, Output, Spec
from evolution_lab.cli.output import print_json, print_result, print_text, progress_bar, tell
from evolution_lab.cli.remembering import every_of, remember_every

if TYPE_CHECKING:
    from evolution_lab.lab.every_night import NightlyRun


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(run)


def run(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="Telemetry to land; what is landed without it."),
    ] = None,
    data: Data = DEFAULT_DATA,
    every: Every = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="ROLE=COLUMN[:UNIT]", help="For tables; repeatable."),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option("--service", metavar="NAME", help="Service of rows that name none."),
    ] = None,
    tz: Annotated[
        str | None, typer.Option("--tz", metavar="ZONE", help="Zone of timestamps without one.")
    ] = None,
    spec: Spec = None,
    traffic: Annotated[
        list[Path] | None,
        typer.Option("--traffic", metavar="FILE", help="A recording (HAR) to read; repeatable."),
    ] = None,
    suites: Annotated[
        list[Path] | None,
        typer.Option("--suites", metavar="DIR", help="Written golden tests to make anew."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="Where golden tests find the service."),
    ] = None,
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on",
            metavar="WHAT",
            help="Exit with 1 on: none, signal (a new one), high (a new grave one), drift.",
        ),
    ] = "none",
    output: Output = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Walk the whole line once, for every night: land, detect, suggest, report, golden tests.

    Run again it changes nothing. It says what is new since the last run, and --fail-on looks at that
    alone: a signal fails one run, not every run after it.

    Example: evolution-lab run /var/log/nginx --every 15m --fail-on high
    """
    from evolution_lab.errors import InputError
    from evolution_lab.lab import Lab
    from evolution_lab.lab.every_night import (
        TelemetryToLand,
        WrittenTests,
        check_fail_on,
        walk_the_line,
    )

    check_fail_on(fail_on)
    if fail_on == "drift" and not suites:
        raise InputError("--fail-on drift runs golden tests: say which with --suites DIR.")
    telemetry = golden = None
    if paths:
        telemetry = TelemetryToLand(
            paths=tuple(paths), mapping=tuple(mapping or ()), service=service, tz=tz
        )
    if suites:
        golden = WrittenTests(suites=tuple(suites), base_url=base_url, run=fail_on == "drift")
    lab = Lab(data, config=config, specs=spec)
    every = every_of(data, every)
    with progress_bar("run") as progress:
        done = walk_the_line(
            lab,
            telemetry,
            every=every,
            traffic=traffic or (),
            golden=golden,
            output=output,
            progress=progress,
        )
    remember_every(data, every)
    failed = done.fails(fail_on)  # type: ignore[arg-type]  # checked above
    if as_json:
        print_json(_document(done, fail_on, failed=failed))
    else:
        _print(done)
    if failed:
        tell(f"Failed: --fail-on {fail_on}.")
        raise typer.Exit(1)


def _document(done: NightlyRun, fail_on: str, *, failed: bool) -> dict[str, object]:
    from evolution_lab.records import to_python
    from evolution_lab.records.json_form import to_plain

    return {
        "landing": done.landing.to_document() if done.landing is not None else None,
        "new": to_python(done.news),
        "signals": len(done.detection.signals),
        "incidents": len(done.detection.incidents),
        "open": sum(i.state == "open" for i in done.detection.incidents),
        "suggested": done.submitted.to_dicts(),
        "golden": None if done.golden is None else done.golden.counts,
        "refreshed": [to_plain(suite) for suite in done.refreshed],
        "report": done.report.to_dicts(),
        "failOn": fail_on,
        "failed": failed,
    }


def _print(done: NightlyRun) -> None:
    if done.landing is not None:
        print_text(done.landing.summary)
    print_text(done.news.summary)
    print_result(done.news, "New")
    still = sum(i.state == "open" for i in done.detection.incidents)
    print_text(f"{len(done.detection.incidents)} incidents in all, {still} still open.")
    for note in done.detection.notes:
        tell(note)
    if done.golden is not None:
        counts = {name: n for name, n in done.golden.counts.items() if n}
        print_text("Golden tests: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
        for note in done.golden.notes:
            tell(note)
    for suite in done.refreshed:
        if suite.outcome != "unchanged":
            print_text(f"{suite.output}: {suite.outcome}{f', {suite.note}' if suite.note else ''}")
    for path in done.report.paths:
        print_text(f"Wrote {path}")
