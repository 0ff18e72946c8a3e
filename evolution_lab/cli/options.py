"""Options that several commands share."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="The lab directory.", show_default=True)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Every = Annotated[
    str | None,
    typer.Option("--every", metavar="LENGTH", help="Window length, such as 15m or 1m."),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file; evolution_lab.toml otherwise."),
]
Spec = Annotated[
    list[str] | None,
    typer.Option("--spec", metavar="[SERVICE=]FILE", help="OpenAPI document; repeatable."),
]
Operation = Annotated[
    str | None,
    typer.Option("--operation", metavar="NAME", help="Only this one: its key, or its operationId."),
]
Since = Annotated[
    datetime | None, typer.Option("--since", metavar="TIME", help="From this time on, UTC.")
]
Until = Annotated[
    datetime | None, typer.Option("--until", metavar="TIME", help="Before this time, UTC.")
]
Output = Annotated[
    Path | None, typer.Option("--output", metavar="DIR", help="Where files are written.")
]
Reviewer = Annotated[
    str, typer.Option("--reviewer", metavar="NAME", help="Who decides; needed for a decision.")
]
DEFAULT_DATA = Path("data")
