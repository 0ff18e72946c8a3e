"""The first hour: ``demo``, ``init``, ``doctor`` and ``notebook``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Json
from evolution_lab.cli.output import (
    print_json,
    print_result,
    print_table,
    print_text,
    progress_bar,
    tell,
)

if TYPE_CHECKING:
    from evolution_lab.demo import Walkthrough

DEMO_DATA = Path("data/demo")
DEMO_REPORTS = Path("reports")


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(demo)
    app.command()(init)
    app.command()(doctor)
    app.command()(notebook)


def demo(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="The lab directory.")
    ] = DEMO_DATA,
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Where the report is written.")
    ] = DEMO_REPORTS,
    as_json: Json = False,
) -> None:
    """Walk the whole line over the bundled sample.

    Lands forty minutes of a small shop with planted faults, finds them, proposes spec changes,
    approves one as reviewer 'demo' and writes the report. Run again it changes nothing.

    Example: evolution-lab demo
    """
    from evolution_lab.demo import walk_through

    with progress_bar("demo") as progress:
        walk = walk_through(data, output, progress=progress)
    if as_json:
        print_json(_document(walk))
        return
    _print(walk, data)


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where to; here unless given.")
    ] = Path(),
    as_json: Json = False,
) -> None:
    """Write evolution_lab.toml: every setting with its meaning, unit and default, commented out.

    A file that is there already is never overwritten.

    Example: evolution-lab init
    """
    from evolution_lab.lab import write_settings

    path = write_settings(folder)
    if as_json:
        print_json({"path": str(path)})
        return
    print_text(f"Wrote {path}")
    tell("Next: evolution-lab land PATH...")


def doctor(data: Data = DEFAULT_DATA, config: Config = None, as_json: Json = False) -> None:
    """Check the installation, the extras and the lab directory; nothing is changed.

    Exit code 1 where something must be mended.

    Example: evolution-lab doctor --data data
    """
    from evolution_lab.lab import Examination, examine_installation, examine_lab

    found = examine_installation()
    if found.healthy:  # What looks at a lab loads the libraries that were missing.
        found = Examination((*found.checks, *examine_lab(data, config=config).checks))
    if as_json:
        print_json({"healthy": found.healthy, "checks": found.to_dicts()})
    else:
        print_result(found, "Doctor")
        print_text("Everything needed is there." if found.healthy else "Something must be mended.")
    if not found.healthy:
        raise typer.Exit(1)


def notebook(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where the notebooks are put.")
    ] = Path("notebooks"),
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="The lab directory; the sample without it."),
    ] = None,
    copy_only: Annotated[
        bool, typer.Option("--copy-only", help="Put them there and open nothing.")
    ] = False,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser, or print the address.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Open JupyterLab with the notebooks in place, looking at your lab directory.

    Notebooks that are there already stay as you left them.

    Example: evolution-lab notebook --data data
    """
    import subprocess
    import sys
    from importlib.util import find_spec

    from evolution_lab.errors import MissingExtraError
    from evolution_lab.lab import copy_notebooks

    if not copy_only and find_spec("jupyterlab") is None:
        raise MissingExtraError("notebook", "evolution-lab notebook")
    copied = copy_notebooks(folder, data=data)
    if as_json:
        print_json({"notebooks": [str(path) for path in copied]})
    else:
        for path in copied:
            print_text(path)
    if copy_only:
        return
    command = [sys.executable, "-m", "jupyterlab", str(folder)]
    done = subprocess.run([*command, *([] if browser else ["--no-browser"])], check=False)  # noqa: S603 (our own arguments)
    raise typer.Exit(done.returncode)


def _document(walk: Walkthrough) -> dict[str, object]:
    from evolution_lab.records import to_python

    return {
        "landing": walk.landing.to_dicts(),
        "detection": to_python(walk.detection),
        "planted": walk.score.to_dicts(),
        "suggested": walk.closed.to_dicts(),
        "unexplained": [s.proposal.summary for s in walk.closed.unexplained],
        "approved": walk.approved.id if walk.approved is not None else None,
        "report": walk.report.to_dicts(),
    }


def _print(walk: Walkthrough, data: Path) -> None:
    from evolution_lab.cli.looking import signal_rows, workflow_rows

    print_text(walk.landing.summary)
    print_table("Signals", *signal_rows(walk.detection))
    print_table("Workflows", *workflow_rows(walk.detection))
    found = sum(entry.found for entry in walk.score.faults)
    print_text(
        f"{found} of {len(walk.score.faults)} planted faults found; "
        f"{len(walk.score.in_quiet)} signals in the quiet third before them."
    )
    gaps = {fault.name for fault in walk.score.spec_gaps}
    closed = sum(bool(ids) for fault, ids in walk.closed.closed if fault.name in gaps)
    print_text(
        f"{closed} of {len(gaps)} gaps found that show only in recorded calls beside the spec "
        f"(traffic.har.zst, openapi.json); {len(walk.closed.unexplained)} suggestions that nothing "
        "planted explains."
    )
    pending = sum(s.status == "pending" for s in walk.suggestions)
    print_text(f"{len(walk.suggestions)} suggestions, {pending} of them wait for a person.")
    if walk.approved is not None:
        print_text(f"Approved by 'demo': {walk.approved.proposal.summary}")
    for path in walk.report.paths:
        print_text(f"Wrote {path}")
    tell(f"Look further: evolution-lab suggestions list --data {data}")
