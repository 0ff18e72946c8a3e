"""Recording: ``record``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Data, Json
from evolution_lab.cli.output import print_json, print_result, print_text, progress_bar, tell

if TYPE_CHECKING:
    from evolution_lab.golden.importing_routes import RouteNames


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(record)


def record(
    upstream: Annotated[
        str | None,
        typer.Option("--upstream", metavar="URL", help="The service to record, http://host:port."),
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where clients reach the proxy.")
    ] = "127.0.0.1:8089",
    source: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="PATH", help="Import this recording instead; repeatable."),
    ] = None,
    format: Annotated[  # noqa: A002 (the option's name)
        str,
        typer.Option("--format", metavar="NAME", help="har, vcr, keploy, otlp, snapshots or auto."),
    ] = "auto",
    sample_rate: Annotated[
        float | None,
        typer.Option("--sample-rate", metavar="SHARE", help="Share of calls; 0.05 at most."),
    ] = None,
    allow_more: Annotated[
        str | None,
        typer.Option(
            "--allow-more-than-5-percent", metavar="WHY", help="Why a higher rate is wanted."
        ),
    ] = None,
    sample_by: Annotated[
        str, typer.Option("--sample-by", metavar="WHAT", help="Choose whole traces or sessions.")
    ] = "trace",
    session_header: Annotated[
        str | None,
        typer.Option("--session-header", metavar="NAME", help="Header that names the session."),
    ] = None,
    spec: Annotated[
        Path | None, typer.Option("--spec", metavar="FILE", help="OpenAPI document for the names.")
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", metavar="NAME", help="Name of the service.")
    ] = None,
    sanitize: Annotated[
        str | None,
        typer.Option("--sanitize", metavar="MODULE:FUNCTION", help="Your own sanitiser, first."),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of snapshot lines, and end.")
    ] = False,
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """Record traffic for golden tests: as a reverse proxy, or from recordings of other tools.

    Snapshots are sanitised before they reach the disk. The proxy ends with Ctrl-C.

    Example: evolution-lab record --upstream http://localhost:8000 --listen 127.0.0.1:8089

    Example: evolution-lab record --from traffic.har.zst --spec openapi.json
    """
    from evolution_lab.errors import ConfigError

    if schema:
        from evolution_lab.golden.importing import snapshot_line_schema

        print_json(snapshot_line_schema())
        return
    if (upstream is None) == (not source):
        raise ConfigError("record needs --upstream URL or --from PATH, one of them.")
    if source:
        _import(source, format, spec, service, sanitize, data, as_json)
        return
    assert upstream is not None
    host, port = _address(listen)
    names = _names(spec, service)
    from evolution_lab.golden.proxy import ReverseProxy, serve
    from evolution_lab.golden.recorder import TrafficRecorder

    if sample_by not in {"trace", "session"}:
        raise ConfigError(f"sample-by == {sample_by!r}, must be 'trace' or 'session'.")
    recorder = TrafficRecorder(
        data=data,
        sample_rate=sample_rate,
        allow_more_than_5_percent=allow_more,
        service=service,
        sanitize=sanitize,
        sample_by="session" if sample_by == "session" else "trace",
        resolve_operation=lambda exchange: names.operation(exchange.method, exchange.path),
        resolve_session=(
            None if session_header is None else lambda exchange: exchange.header(session_header)
        ),
    )
    proxy = ReverseProxy(upstream)
    share = f"{recorder.sample_rate:.1%}"
    counts = serve(
        proxy,
        recorder,
        host=host,
        port=port,
        ready=lambda at: tell(f"recording {share} of {upstream} at {at}; Ctrl-C ends"),
    )
    if as_json:
        from dataclasses import asdict

        print_json(asdict(counts))
        return
    print_text(
        f"{counts.seen:,} calls seen, {counts.written:,} recorded, {counts.refused:,} refused, "
        f"{sum(counts.dropped.values()):,} dropped, {counts.lost:,} lost."
    )


def _import(
    source: list[Path],
    format: str,  # noqa: A002
    spec: Path | None,
    service: str | None,
    sanitize: str | None,
    data: Path,
    as_json: bool,
) -> None:
    from typing import Any, cast

    from evolution_lab.golden.importing import import_traffic
    from evolution_lab.golden.snapshot_sanitising import sanitize_named

    with progress_bar("importing") as progress:
        report = import_traffic(
            *source,
            data=data,
            format=cast("Any", format),
            document=_names(spec, service).document,
            service=service,
            sanitize=sanitize_named(sanitize),
            progress=progress,
        )
    if as_json:
        from dataclasses import asdict

        print_json(asdict(report))
        return
    print_result(report, "Import of traffic")
    for reason, number in report.refused.items():
        tell(f"{number:,} calls were left out: {reason}.")
    for name in report.skipped:
        tell(f"{name} was passed over: no recording.")


def _names(spec: Path | None, service: str | None) -> RouteNames:
    from evolution_lab.contracts.openapi import OpenApiDocument
    from evolution_lab.golden.importing_routes import RouteNames

    return RouteNames(None if spec is None else OpenApiDocument.load(spec), service)


def _address(text: str) -> tuple[str, int]:
    from evolution_lab.errors import ConfigError

    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not host or int(port) > 65_535:
        raise ConfigError(f"listen == {text!r}, must be HOST:PORT.")
    return host.strip("[]"), int(port)
