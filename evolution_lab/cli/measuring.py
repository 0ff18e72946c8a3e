"""Measuring: ``bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution_lab.cli.options import Json
from evolution_lab.cli.output import print_json, print_table, progress_bar, tell

if TYPE_CHECKING:
    from evolution_lab.bench.targets import BenchReport

Page = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="Write a page of Markdown as well."),
]
Quick = Annotated[bool, typer.Option("--quick", help="Fewer cases, within two minutes.")]
Rows = Annotated[int, typer.Option("--rows", min=1000, metavar="N", help="Calls to generate.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder", metavar="DIR", help="Where to generate; a temporary folder without it."
    ),
]
MISSED = 1


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    group = typer.Typer(help="Measure it yourself.", no_args_is_help=True)
    group.command("detection")(detection)
    group.command("golden")(golden)
    group.command("suggestions")(suggestions)
    group.command("rollout")(rollout)
    group.command("landing")(landing)
    group.command("windows")(windows)
    group.command("spark")(spark)
    group.command("load")(load)
    app.add_typer(group, name="bench")


def detection(
    quick: Quick = False,
    dataset: Annotated[
        Path | None,
        typer.Option("--dataset", metavar="DIR", help="A labelled recording to judge too."),
    ] = None,
    section: Annotated[
        str | None, typer.Option("--section", metavar="NAME", help="Only this section.")
    ] = None,
    output: Page = None,
    as_json: Json = False,
) -> None:
    """Measure what detection finds, and how often it cries wolf.

    Exit code 1 when a target is missed.

    Example: evolution-lab bench detection --quick
    """
    from evolution_lab.bench.detection import bench_detection

    with progress_bar("bench detection") as progress:
        report = bench_detection(quick=quick, dataset=dataset, section=section, progress=progress)
    _finish(report, "detection", output=output, as_json=as_json)


def golden(
    quick: Quick = False,
    dataset: Annotated[
        Path | None,
        typer.Option("--dataset", metavar="DIR", help="Corpora of recorded traffic to judge too."),
    ] = None,
    section: Annotated[
        str | None, typer.Option("--section", metavar="NAME", help="Only this section.")
    ] = None,
    output: Page = None,
    as_json: Json = False,
) -> None:
    """Measure what golden tests find, keep and notice.

    Exit code 1 when a target is missed.

    Example: evolution-lab bench golden --quick --section pact --dataset ../shared/data/traffic
    """
    from evolution_lab.bench.golden import bench_golden

    with progress_bar("bench golden") as progress:
        report = bench_golden(quick=quick, dataset=dataset, section=section, progress=progress)
    _finish(report, "golden", output=output, as_json=as_json)


def suggestions(quick: Quick = False, output: Page = None, as_json: Json = False) -> None:
    """Measure whether suggestions are right, on drawn shops with planted gaps and without.

    Exit code 1 when a target is missed.

    Example: evolution-lab bench suggestions --quick
    """
    from evolution_lab.bench.suggestions import bench_suggestions

    with progress_bar("bench suggestions") as progress:
        report = bench_suggestions(quick=quick, progress=progress)
    _finish(report, "suggestions", output=output, as_json=as_json)


def rollout(
    quick: Quick = False,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Draw the frontier of all rules, as HTML."),
    ] = None,
    output: Page = None,
    as_json: Json = False,
) -> None:
    """Measure false rollbacks, delays and advances of rollouts, beside the rules of others.

    Exit code 1 when a target is missed.

    Example: evolution-lab bench rollout --quick
    """
    from evolution_lab.bench.rollout import bench_rollout

    with progress_bar("bench rollout") as progress:
        report = bench_rollout(quick=quick, progress=progress)
    if figure is not None:
        from evolution_lab.bench.rollout import BAD
        from evolution_lab.export.rollout_figures import frontier_figure

        (rows,) = report.tables.values()
        figure.parent.mkdir(parents=True, exist_ok=True)
        with figure.open("w", encoding="utf-8") as page:
            for number, truth in enumerate(BAD):
                drawn = frontier_figure(rows, truth.name)
                page.write(drawn.to_html(full_html=False, include_plotlyjs=not number))
        tell(f"Wrote {figure}")
    _finish(report, "rollout", output=output, as_json=as_json)


def landing(
    rows: Rows = 20_000_000,
    quick: Quick = False,
    folder: Folder = None,
    output: Page = None,
    as_json: Json = False,
) -> None:
    """Measure what it costs to land tables and spans, in turns with DuckDB and bare parsing.

    Exit code 1 when a target is missed. Needs about 150 bytes of room a call.

    Example: evolution-lab bench landing --quick
    """
    from evolution_lab.bench.landing import bench_landing

    with progress_bar("bench landing") as progress:
        report = bench_landing(rows=rows, quick=quick, folder=folder, progress=progress)
    _finish(report, "landing", output=output, as_json=as_json)


def windows(
    rows: Rows = 20_000_000,
    quick: Quick = False,
    growth: Annotated[
        bool,
        typer.Option("--growth", help="Also 5 to 100 million calls, 100 to 10,000 operations."),
    ] = False,
    folder: Folder = None,
    output: Page = None,
    as_json: Json = False,
) -> None:
    """Measure window aggregation, in turns with DuckDB, ClickHouse, polars, pandas and a loop.

    Exit code 1 when a target is missed. Peers come with the extra 'bench'.

    Example: evolution-lab bench windows --quick
    """
    from evolution_lab.bench.windows import bench_windows

    with progress_bar("bench windows") as progress:
        report = bench_windows(
            rows=rows, quick=quick, growth=growth, folder=folder, progress=progress
        )
    _finish(report, "windows", output=output, as_json=as_json)


def spark(
    rows: Rows = 5_000_000,
    master: Annotated[
        str, typer.Option("--master", metavar="URL", help="Of Spark; here without it.")
    ] = "local[2]",
    quick: Quick = False,
    folder: Folder = None,
    output: Page = None,
    as_json: Json = False,
) -> None:
    """Measure windows on Spark beside polars, and that they are equal to the last bit.

    Exit code 1 when they are not. Needs Java 17 and the extra 'spark'.

    Example: evolution-lab bench spark --rows 1000000
    """
    from evolution_lab.bench.spark_cost import bench_spark

    with progress_bar("bench spark") as progress:
        report = bench_spark(
            rows=rows, master=master, quick=quick, folder=folder, progress=progress
        )
    _finish(report, "spark", output=output, as_json=as_json)


def load(quick: Quick = False, output: Page = None, as_json: Json = False) -> None:
    """Measure what middleware and recorder cost the demo shop under load: ten minutes.

    Exit code 1 when a target is missed. Uses wrk where it is installed.

    Example: evolution-lab bench load --quick
    """
    from evolution_lab.bench.load import bench_load

    with progress_bar("bench load") as progress:
        report = bench_load(quick=quick, progress=progress)
    _finish(report, "load", output=output, as_json=as_json)


def _finish(report: BenchReport, name: str, *, output: Path | None, as_json: bool) -> None:
    if output is not None:
        from evolution_lab.bench.targets import bench_page

        page = bench_page(
            report, title=f"Measured: {name}", command=f"evolution-lab bench {name} --output FILE"
        )
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(page, encoding="utf-8")
        tell(f"Wrote {output}")
    if as_json:
        print_json(report.to_document())
    else:
        for title, rows in report.tables.items():
            print_table(title, list(rows[0]), [[_shown(v) for v in row.values()] for row in rows])
        measured = report.to_dicts()
        cells = [[_shown(value) for value in row.values()] for row in measured]
        print_table("Measured", list(measured[0]), cells)
        if report.peers:
            print_table(
                "Peers, same run",
                ["name", "what", "value", "note"],
                [[p.name, p.what, _shown(p.value), p.note] for p in report.peers],
            )
    if not report.passed:
        raise typer.Exit(MISSED)


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)
