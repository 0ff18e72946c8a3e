"""Live: ``watch``."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolution_lab.cli.options import DEFAULT_DATA, Config, Data, Every
from evolution_lab.cli.output import json_for_terminals, print_text, tell
from evolution_lab.cli.remembering import every_of, remember_every

if TYPE_CHECKING:
    from evolution_lab.lab.watched_signals import SignalNews
    from evolution_lab.lab.watching import WatchLook
    from evolution_lab.telemetry.otlp_receiver import OtlpReceiver


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(watch)


def watch(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="Files and folders that grow; the lake without."),
    ] = None,
    data: Data = DEFAULT_DATA,
    otlp: Annotated[
        str | None,
        typer.Option("--otlp", metavar="HOST:PORT", help="Receive OTLP/HTTP, at 127.0.0.1:4318."),
    ] = None,
    otlp_anywhere: Annotated[
        bool, typer.Option("--otlp-anywhere", help="Let --otlp listen for other machines.")
    ] = False,
    every: Every = None,
    grace: Annotated[
        str, typer.Option("--grace", metavar="LENGTH", help="How long a closed window waits.")
    ] = "1m",
    interval: Annotated[
        str, typer.Option("--interval", metavar="LENGTH", help="Time between two looks.")
    ] = "20s",
    once: Annotated[bool, typer.Option("--once", help="Look once, then end.")] = False,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", help="End after this time.")
    ] = None,
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
    config: Config = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines: one document for each piece of news.")
    ] = False,
) -> None:
    """Follow a growing lake, files that grow, or OTLP as it is sent, and say what changes.

    Each window is judged --grace after its end. What late spans may still change is said as
    provisional, and confirmed or withdrawn later. Section [alerts] of the settings says whom to
    alert. Ctrl-C or SIGTERM ends it: what was received is landed first.

    Example: evolution-lab watch --otlp 127.0.0.1:4318 --every 5m
    """
    from evolution_lab.config import parse_duration
    from evolution_lab.lab import Lab
    from evolution_lab.lab.every_night import TelemetryToLand
    from evolution_lab.lab.watching import Watch

    telemetry = None
    if paths:
        telemetry = TelemetryToLand(
            paths=tuple(paths), mapping=tuple(mapping or ()), service=service, tz=tz
        )
    every = every_of(data, every)
    receiver = None if otlp is None else _receiver(data, otlp, anywhere=otlp_anywhere)
    watching = Watch(
        Lab(data, config=config),
        telemetry=telemetry,
        receiver=receiver,
        every=every,
        grace=parse_duration(grace),
    )
    pause = parse_duration(interval).total_seconds()
    ends = None if seconds is None else time.monotonic() + seconds
    show = _print_json if as_json else _print
    before = len(watching.open_signals)
    if before:
        tell(f"{before} signals that were said before are open; evolution-lab detect lists them.")
    with _until_asked_to_end() as ended, watching.listening():
        if receiver is not None:
            tell(f"Receiving at {receiver.address}/v1/traces; Ctrl-C ends it.")
        while True:
            show(watching.look())
            left = pause if ends is None else min(pause, ends - time.monotonic())
            if once or left <= 0 or ended.wait(left):
                break
    remember_every(data, every)
    if ended.is_set() or ends is not None or receiver is not None:
        show(watching.look())


def _receiver(data: Path, address: str, *, anywhere: bool) -> OtlpReceiver:
    from evolution_lab.errors import InputError
    from evolution_lab.telemetry.otlp_receiver import OtlpReceiver

    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and int(port) <= 65_535):
        raise InputError(f"otlp == {address!r}, must be HOST:PORT such as 127.0.0.1:4318.")
    return OtlpReceiver(data, host=host.strip("[]"), port=int(port), anywhere=anywhere)


@contextmanager
def _until_asked_to_end() -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set; a second one ends the process at once."""
    ended = threading.Event()
    before: dict[int, Any] = {}

    def end(_number: int, _frame: object) -> None:
        ended.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for asked in (signal.SIGINT, signal.SIGTERM):
        before[asked] = signal.signal(asked, end)
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(look: WatchLook) -> None:
    for report in look.landed:
        if report.rows_added or report.rows_quarantined:
            tell(report.summary)
    for news in look.news:
        print_text(_line(news))
    if look.deliveries.delivered:
        tell(f"{look.deliveries.delivered} alerts delivered.")
    if look.deliveries.failed:
        tell(f"{look.deliveries.failed} alerts could not be delivered; they are tried again.")
    for problem in look.problems:
        tell(f"Tried again at the next look: {problem}")
    sys.stdout.flush()


def _line(news: SignalNews) -> str:
    from evolution_lab.pipeline.alerts.alert import sentence_of

    mark = " (provisional)" if news.provisional else ""
    return f"{news.signal.detected_at:%Y-%m-%d %H:%M} {news.what}{mark}: {sentence_of(news.signal)}"


def _print_json(look: WatchLook) -> None:
    import orjson

    from evolution_lab.records import to_python

    lines: list[dict[str, object]] = [
        {
            "type": "landed",
            "rows": report.rows_added,
            "quarantined": report.rows_quarantined,
            "duplicates": report.duplicates,
        }
        for report in look.landed
    ]
    lines += [news.document() for news in look.news]
    lines += [{"type": "alert", "alert": to_python(alert)} for alert in look.alerts]
    if look.judged_until is not None:
        lines.append({"type": "judged", "until": look.judged_until.isoformat()})
    lines += [{"type": "problem", "reason": problem} for problem in look.problems]
    for line in lines:
        sys.stdout.write(json_for_terminals(orjson.dumps(line)) + "\n")
    sys.stdout.flush()
