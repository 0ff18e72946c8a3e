"""Options of the commands that write and run golden tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunnerImport = Annotated[
    str | None,
    typer.Option("--runner-import", metavar="MODULE", help="Path of the runner, or dotted name."),
]
RunnerFn = Annotated[
    str | None,
    typer.Option("--runner-fn", metavar="NAME", help="Its function; run_contract, runContract."),
]
Runner = Annotated[
    str | None, typer.Option("--runner", metavar="http", help="Call a service over HTTP instead.")
]
BaseUrl = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="Where the service answers.")
]
Header = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="NAME:VALUE", help="Sent with every request; repeatable."),
]
AllowTarget = Annotated[
    list[str] | None,
    typer.Option("--allow-target", metavar="HOST", help="May be called though it is not local."),
]
FrameworkName = Annotated[
    str | None, typer.Option("--framework", metavar="NAME", help="pytest, vitest or jest.")
]
FromProduction = Annotated[
    bool, typer.Option("--from-production", help="From the traffic recorded in the lake.")
]
Days = Annotated[
    float | None, typer.Option("--days", metavar="N", help="Only the last days; all otherwise.")
]
SampleRate = Annotated[
    float | None,
    typer.Option("--sample-rate", metavar="SHARE", help="Share of production traffic wanted."),
]
Budget = Annotated[
    int | None, typer.Option("--budget", metavar="N", help="Most cases of an operation.")
]
Inline = Annotated[bool, typer.Option("--inline", help="Keep large bodies in the suite's file.")]
Import = Annotated[
    bool, typer.Option("--import", help="Import the judging code instead of printing it.")
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Run each case first; set aside what is not reproduced.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", help="Most that one call may take.")
]
Suites = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Suites, or folders with suites.")
]
