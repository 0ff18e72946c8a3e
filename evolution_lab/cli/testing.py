"""Golden tests: ``test generate|generate-all|run|check|update|init-runner``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Data, Json
from evolution_lab.cli.output import print_json, print_table, print_text, progress_bar, tell
from evolution_lab.cli.scanning import scan
from evolution_lab.cli.testing_options import (
    AllowTarget,
    BaseUrl,
    Budget,
    Days,
    FrameworkName,
    FromProduction,
    Header,
    Import,
    Inline,
    Runner,
    RunnerFn,
    RunnerImport,
    SampleRate,
    Suites,
    Timeout,
    Verify,
)
from evolution_lab.errors import CorruptFileError, InputError, UnsafePayloadError

if TYPE_CHECKING:
    from evolution_lab.golden.batches import WrittenSuite
    from evolution_lab.golden.runners import LoadedRunner
    from evolution_lab.golden.side_files import EmitSettings, Framework, SideFile
    from evolution_lab.golden.verdicts import GoldenRun
    from evolution_lab.golden.verifying import ProvenSuite

POWER_SITES = 3
"""Places of each answer at which wrong answers are tried, to say what a suite would notice."""


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    group = typer.Typer(help="Golden tests from recorded traffic.", no_args_is_help=True)
    group.command("generate")(generate)
    group.command("generate-all")(generate_all)
    group.command("run")(run)
    group.command("check")(check)
    group.command("update")(update)
    group.command("init-runner")(init_runner)
    group.command("scan")(scan)
    app.add_typer(group, name="test")


def generate(
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="The suite: .py, or .test.ts.")
    ],
    operation: Annotated[
        str | None, typer.Option("--operation", metavar="NAME", help="Whose traffic: its key.")
    ] = None,
    for_suggestion: Annotated[
        str | None,
        typer.Option("--for-suggestion", metavar="ID", help="Of the operation that it is about."),
    ] = None,
    runner_import: RunnerImport = None,
    runner_fn: RunnerFn = None,
    runner: Runner = None,
    base_url: BaseUrl = None,
    from_production: FromProduction = True,
    days: Days = None,
    sample_rate: SampleRate = None,
    framework: FrameworkName = None,
    suite_name: Annotated[
        str | None, typer.Option("--suite-name", metavar="NAME", help="Heading of the suite.")
    ] = None,
    budget: Budget = None,
    inline: Inline = False,
    imported: Import = False,
    verify: Verify = False,
    timeout: Timeout = 10.0,
    header: Header = None,
    allow_target: AllowTarget = None,
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """Write the golden tests of one operation: of a suggestion's, to guard it.

    Example: evolution-lab test generate --operation billing.createInvoice --output tests/billing.createInvoice.golden.test.ts --runner-import ./tests/run-operation --runner-fn runBillingCommand --from-production --days 7 --sample-rate 0.05

    Example: evolution-lab test generate --operation "GET /orders/{id}" --output tests/test_orders.py --runner http --base-url http://127.0.0.1:8000
    """
    from evolution_lab.golden.emitting import framework_of

    del from_production
    operation = _guarded(operation, for_suggestion, data)
    chosen = framework_of(output, framework)
    settings = _settings(
        chosen, output, runner_import, runner_fn, runner, base_url,
        inline=inline, imported=imported, timeout=timeout,
    )  # fmt: skip
    again = f"evolution-lab test generate --operation {shlex.quote(operation)}"
    hint = f"Read it with: {again} --output {shlex.quote(str(output))} --days {{days}}"
    snapshots = _snapshots(data, operation, days, sample_rate, hint)
    from evolution_lab.golden.generator import GoldenTestGenerator
    from evolution_lab.golden.verifying import proven_suites

    around = _runner_of(settings, output, header, allow_target) if verify else None
    with progress_bar("cases") as progress:
        proven = proven_suites(
            GoldenTestGenerator(budget=budget, power_sites=POWER_SITES),
            snapshots,
            operation=operation,
            runner=around,
            code_root=_code_root(settings, verify=verify),
            earlier=_earlier({operation: output}),
            timeout_seconds=settings.timeout_seconds,
            progress=progress,
        )
    written = _write(proven[operation], output, settings, suite_name)
    _print_written([written], as_json=as_json)


def generate_all(
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Where the suites are written.")
    ],
    runner_import: RunnerImport = None,
    runner_fn: RunnerFn = None,
    runner: Runner = None,
    base_url: BaseUrl = None,
    days: Days = None,
    sample_rate: SampleRate = None,
    framework: FrameworkName = None,
    budget: Budget = None,
    inline: Inline = False,
    imported: Import = False,
    verify: Verify = False,
    timeout: Timeout = 10.0,
    header: Header = None,
    allow_target: AllowTarget = None,
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """Write the golden tests of every recorded operation.

    Example: evolution-lab test generate-all --output tests/golden --runner http --base-url http://127.0.0.1:8000
    """
    from evolution_lab.golden.batches import file_name
    from evolution_lab.golden.emitting import framework_of
    from evolution_lab.golden.generator import GoldenTestGenerator
    from evolution_lab.golden.verifying import proven_suites

    chosen = framework_of(
        Path("x.py" if (framework or "pytest") == "pytest" else "x.ts"), framework
    )
    example = output / "suite"
    settings = _settings(
        chosen, example, runner_import, runner_fn, runner, base_url,
        inline=inline, imported=imported, timeout=timeout,
    )  # fmt: skip
    snapshots = _snapshots(data, None, days, sample_rate, "Read it with --days {days}")
    around = _runner_of(settings, example, header, allow_target) if verify else None
    files: dict[str, Path] = {}
    taken = set[str]()
    for name in sorted({snapshot.operation.key for snapshot in snapshots}):
        file = file_name(name, chosen, taken)
        taken.add(file)
        files[name] = output / file
    with progress_bar("cases") as progress:
        suites = proven_suites(
            GoldenTestGenerator(budget=budget, power_sites=POWER_SITES),
            snapshots,
            runner=around,
            code_root=_code_root(settings, verify=verify),
            earlier=_earlier(files),
            timeout_seconds=settings.timeout_seconds,
            progress=progress,
        )
    written = []
    with progress_bar("suites") as progress:
        for done, (name, suite) in enumerate(suites.items()):
            written.append(_write(suite, files[name], settings, None))
            progress(done + 1, len(suites))
    _print_written(written, as_json=as_json)


def run(
    paths: Suites,
    base_url: BaseUrl = None,
    header: Header = None,
    allow_target: AllowTarget = None,
    as_json: Json = False,
) -> None:
    """Run written suites in pytest, Vitest or Jest, for continuous integration.

    Exit code 0 where all pass, 1 where behaviour changed, 2 where a case could not run.

    Example: evolution-lab test run tests/golden --base-url http://127.0.0.1:8000
    """
    found = _run(paths, base_url, header, allow_target)
    if as_json:
        print_json(_run_document(found))
    else:
        _print_rows("Golden tests", found.to_dicts())
        _print_rows("Differences", [group.to_dicts()[0] for group in found.groups])
    for note in found.notes:
        tell(note)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def check(
    paths: Suites,
    base_url: BaseUrl = None,
    header: Header = None,
    allow_target: AllowTarget = None,
    as_json: Json = False,
) -> None:
    """Show what behaves otherwise, grouped by path and cause.

    Example: evolution-lab test check tests/golden --base-url http://127.0.0.1:8000
    """
    found = _run(paths, base_url, header, allow_target)
    if as_json:
        print_json(_run_document(found))
    else:
        rows = [{"group": g.group, **g.to_dicts()[0]} for g in found.groups]
        _print_rows("Drift", [{k: v for k, v in row.items() if k != "operation"} for row in rows])
        if not rows:
            print_text(f"No drift in {len(found.results)} cases.")
        else:
            tell('Accept one with: evolution-lab test update PATH --only "GROUP" --why "…"')
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def update(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The suite.")],
    only: Annotated[
        str, typer.Option("--only", metavar="GROUP", help="A group of `test check`, or its path.")
    ],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why the change is right.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who accepts it.")] = "",
    base_url: BaseUrl = None,
    header: Header = None,
    allow_target: AllowTarget = None,
    as_json: Json = False,
) -> None:
    """Accept one group of changes: the suite expects it from now on, and the reason is kept.

    Example: evolution-lab test update tests/test_cart.py --only "GET /carts/{id} /body/total value" --why "tax is included since May"
    """
    import getpass

    from evolution_lab.golden.updating import accept
    from evolution_lab.records.json_form import to_python

    found = _run([path], base_url, header, allow_target)
    accepted = accept(path, found.results, only=only, why=why, by=by or getpass.getuser())
    if as_json:
        print_json(to_python(accepted))
    else:
        print_text(f"{accepted.group}: {len(accepted.cases)} cases expect it now.")


def init_runner(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The new file: .py or .ts.")],
    as_json: Json = False,
) -> None:
    """Write a runner to start from.

    Example: evolution-lab test init-runner tests/run-operation.ts
    """
    from evolution_lab.golden.init_runner import write_starter

    made = write_starter(path)
    if as_json:
        print_json({"path": os.fspath(made)})
    else:
        print_text(made)


def _settings(
    framework: Framework,
    output: Path,
    runner_import: str | None,
    runner_fn: str | None,
    runner: str | None,
    base_url: str | None,
    *,
    inline: bool,
    imported: bool,
    timeout: float,
) -> EmitSettings:
    from evolution_lab.golden.runners import suite_import
    from evolution_lab.golden.side_files import EmitSettings

    if runner not in {None, "http"}:
        raise InputError(f"runner == {runner!r}, must be http; a function: --runner-import.")
    if (runner is None) == (runner_import is None):
        raise InputError("one of --runner-import and --runner http must say who calls the system.")
    if not timeout > 0:
        raise InputError(f"timeout == {timeout:g}, must be above 0.")
    return EmitSettings(
        framework=framework,
        runner_import="http"
        if runner_import is None
        else suite_import(runner_import, output, framework),
        runner_fn=runner_fn or "",
        base_url=base_url or "",
        inline=inline,
        standalone=not imported,
        timeout_seconds=timeout,
    )


def _guarded(operation: str | None, suggestion_id: str | None, data: Path) -> str:
    """Return the operation that is named, or the one that a suggestion is about."""
    if (operation is None) == (suggestion_id is None):
        raise InputError("name either --operation, or --for-suggestion.")
    if operation is not None:
        return operation
    from evolution_lab.lab import Lab
    from evolution_lab.suggestions import subject_of

    suggestion = Lab(data).suggestion(str(suggestion_id))
    subject = subject_of(suggestion)
    if subject is None:
        raise InputError(f"suggestion {suggestion.id[:8]} drafts an operation nobody calls yet.")
    return subject.key


def _snapshots(
    data: Path, operation: str | None, days: float | None, sample_rate: float | None, hint: str
) -> list[Any]:
    from evolution_lab.golden.from_production import recent_snapshots
    from evolution_lab.golden.store_lake import LakeTrafficStore

    if sample_rate is not None and not 0 < sample_rate <= 1:
        raise InputError(f"sample-rate == {sample_rate:g}, must be above 0 and at most 1.")
    return recent_snapshots(
        LakeTrafficStore(data), operation=operation, days=days, sample_rate=sample_rate, hint=hint
    )


def _runner_of(
    settings: EmitSettings,
    output: Path,
    header: list[str] | None,
    allow_target: list[str] | None,
) -> LoadedRunner:
    from evolution_lab.golden.runners import http_runner, load_runner

    if settings.framework != "pytest" and settings.runner_import != "http":
        raise InputError("--verify runs Python runners and --runner http, not TypeScript ones.")
    if settings.runner_import == "http":
        return http_runner(
            settings.base_url, headers=_headers(header), allow_targets=allow_target or ()
        )
    name = settings.runner_fn or "run_contract"
    return load_runner(settings.runner_import, name, folder=output.parent)


def _code_root(settings: EmitSettings, *, verify: bool) -> Path | None:
    """Return where the user's own code is, where a Python runner calls it in this process."""
    own = settings.framework == "pytest" and settings.runner_import != "http"
    return Path.cwd() if verify and own else None


def _earlier(files: dict[str, Path]) -> dict[str, SideFile]:
    """Return what stands beside suites that are written already; a broken side file counts as none."""
    from evolution_lab.golden.side_files import read_side_file, side_path

    found = {}
    for name, output in files.items():
        if side_path(output).exists():
            try:
                found[name] = read_side_file(output)
            except CorruptFileError as error:
                tell(f"{error} It is written anew.")
    return found


def _write(
    proven: ProvenSuite, output: Path, settings: EmitSettings, suite_name: str | None
) -> WrittenSuite:
    from dataclasses import replace

    from evolution_lab.golden.batches import summary
    from evolution_lab.golden.emitting import emit

    suite = proven.suite
    for aside in suite.quarantined:
        tell(f"{suite.operation}: {aside.name} set aside: {aside.reason}")
    named = replace(settings, suite_name=suite_name or "")
    emitted = emit(
        suite,
        output,
        named,
        verified=proven.verified,
        basis=proven.basis,
        accepted=proven.accepted,
    )
    leaks = emitted.leaks()
    if leaks:
        kinds = ", ".join(sorted({leak.kind for leak in leaks}))
        raise UnsafePayloadError(
            f"the suite of {suite.operation!r} would show {kinds} in line {leaks[0].line} of its "
            f"{leaks[0].path}; record again, or name the field in your sanitize function"
        )
    emitted.write(output)
    return summary(suite, output)


def _headers(header: list[str] | None) -> dict[str, str]:
    found = {}
    for line in header or ():
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise InputError(f"header == {line!r}, must be NAME:VALUE.")
        found[name.strip().lower()] = value.strip()
    return found


def _run(
    paths: list[Path],
    base_url: str | None,
    header: list[str] | None,
    allow_target: list[str] | None,
) -> GoldenRun:
    from evolution_lab.golden.running import find_suites, run_written

    suites = find_suites(paths)
    with progress_bar("suites") as progress:
        return run_written(
            suites,
            base_url=base_url,
            headers=_headers(header),
            allow_targets=allow_target or (),
            progress=progress,
        )


def _run_document(found: GoldenRun) -> dict[str, Any]:
    from evolution_lab.records.json_form import to_plain

    results = [{**to_plain(r), "outputs": None} for r in found.results]
    for result in results:
        del result["outputs"]
    return {
        "verdicts": found.counts,
        "exitCode": found.exit_code,
        "groups": [to_plain(group) for group in found.groups],
        "results": results,
        "notes": found.notes,
    }


def _print_written(written: list[WrittenSuite], *, as_json: bool) -> None:
    from evolution_lab.records.json_form import to_python

    if as_json:
        print_json({"suites": [to_python(suite) for suite in written]})
    else:
        _print_rows("Golden suites", [suite.to_dicts()[0] for suite in written])


def _print_rows(title: str, rows: list[dict[str, Any]]) -> None:
    from evolution_lab.display import format_value

    if rows:
        shown: Callable[[Any], str] = format_value
        print_table(title, list(rows[0]), [[shown(v) for v in row.values()] for row in rows])
