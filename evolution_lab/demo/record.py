"""Records the demo shop: ``python -m evolution_lab.demo.record OUT --minutes 40``.

Serves the shop in a process of its own, drives it over loopback while the planned faults come and
go, and leaves in OUT what was seen: ``spans.jsonl.gz`` (OTLP JSON lines), ``traffic.har.zst`` (every
exchange; all people are synthetic), ``faults.json`` (the labels), ``openapi.json`` (the shop's
document) and ``evolution_lab.toml`` (the settings to look at them with).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

import orjson

from evolution_lab.config import CONFIG_FILE
from evolution_lab.datasets.faults import FORMAT_VERSION
from evolution_lab.demo.har import HarWriter
from evolution_lab.demo.load import LoadResult, planned_sessions, run_load
from evolution_lab.demo.shop import openapi_document
from evolution_lab.demo.timeline import PLANNED_MINUTES, Timeline
from evolution_lab.display import ResultMixin
from evolution_lab.errors import EvolutionLabError, InputError
from evolution_lab.records import to_python

SPANS_FILE: Final = "spans.jsonl.gz"
TRAFFIC_FILE: Final = "traffic.har.zst"
FAULTS_FILE: Final = "faults.json"
OPENAPI_FILE: Final = "openapi.json"
DEFAULT_SEED: Final = 20250304
DEFAULT_RATE: Final = 10.0
DEFAULT_PACE: Final = 3.0
"""Calls take 30 to 300 ms: the stalls of a busy machine stay small beside that."""
FAILURE_RATE: Final = 0.004
WINDOWS: Final = 80
"""Windows a recording is meant to be seen in: half a minute each in forty minutes."""
_LEAST_MINUTES: Final = 0.5
_STOP_SECONDS: Final = 30.0


@dataclass(frozen=True)
class ShopRecording(ResultMixin):
    """What a recording left behind.

    Attributes:
        files: The files, by name.
        load: What the clients did.
        timeline: When what went wrong.
    """

    _title: ClassVar[str] = "Recorded"

    files: tuple[Path, ...]
    load: LoadResult
    timeline: Timeline

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict per file."""
        return [{"file": path.name, "bytes": path.stat().st_size} for path in self.files]


def record(
    directory: Path,
    *,
    minutes: float = PLANNED_MINUTES,
    rate: float = DEFAULT_RATE,
    pace: float = DEFAULT_PACE,
    seed: int = DEFAULT_SEED,
    progress: Callable[[int, int], None] | None = None,
) -> ShopRecording:
    """Record the shop for so many minutes of real time.

    Args:
        directory: Folder to write into, made if absent.
        minutes: Length; the plan of what goes wrong is scaled to it.
        rate: Mean calls of clients per second.
        pace: Scales the shop's waits; shorter ones let a short recording carry more calls.
        seed: Of who calls what and when. Times and ids differ from recording to recording.
        progress: Called with (sessions done, sessions in all).

    Raises:
        InputError: The length or the rate is out of its range.
        EvolutionLabError: The shop does not start.
    """
    if not minutes >= _LEAST_MINUTES:
        raise InputError(f"minutes == {minutes}, must be at least {_LEAST_MINUTES}.")
    if not rate > 0:
        raise InputError(f"rate == {rate}, must be > 0.")
    directory.mkdir(parents=True, exist_ok=True)
    raw = directory / SPANS_FILE.removesuffix(".gz")
    raw.unlink(missing_ok=True)
    window = window_seconds(minutes)
    timeline = Timeline(start=_next_window(window), minutes=minutes)
    sessions = planned_sessions(timeline, seed=seed, rate=rate)
    with _served(raw, timeline, pace) as url, HarWriter(directory / TRAFFIC_FILE) as archive:
        load = asyncio.run(run_load(url, sessions, timeline, archive=archive, progress=progress))
    _compress(raw, directory / SPANS_FILE)
    (directory / FAULTS_FILE).write_bytes(_faults_json(timeline, seed))
    (directory / OPENAPI_FILE).write_bytes(
        orjson.dumps(openapi_document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )
    (directory / CONFIG_FILE).write_text(_settings(window), encoding="utf-8")
    names = (SPANS_FILE, TRAFFIC_FILE, FAULTS_FILE, OPENAPI_FILE, CONFIG_FILE)
    return ShopRecording(tuple(directory / name for name in names), load, timeline)


def window_seconds(minutes: float) -> int:
    """Return the length of the windows to see a recording in: whole seconds that divide a day.

    Examples:
        >>> window_seconds(40), window_seconds(1)
        (30, 1)
    """
    longest = max(1, math.floor(minutes * 60 / WINDOWS))
    return max(length for length in range(1, longest + 1) if 86_400 % length == 0)


def _next_window(seconds: int) -> datetime:
    """Return the beginning of a window that leaves time to start the shop before it."""
    now = datetime.now(UTC) + timedelta(seconds=10)
    return datetime.fromtimestamp(math.ceil(now.timestamp() / seconds) * seconds, UTC)


@contextlib.contextmanager
def _served(spans: Path, timeline: Timeline, pace: float) -> Iterator[str]:
    """Serve the shop in a process of its own; give its address, end it well."""
    command = [
        *(sys.executable, "-m", "evolution_lab.demo.shop", "--port", "0"),
        *("--otlp", str(spans), "--pace", str(pace), "--failure-rate", str(FAILURE_RATE)),
        *("--plan-start", timeline.start.isoformat(), "--minutes", str(timeline.minutes)),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shop:  # noqa: S603
        try:
            url = shop.stdout.readline().strip() if shop.stdout is not None else ""
            if not url:
                raise EvolutionLabError("the shop does not start: see what it wrote above.")
            yield url
        finally:
            shop.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                shop.wait(_STOP_SECONDS)
            shop.kill()


def _compress(raw: Path, target: Path) -> None:
    target.write_bytes(gzip.compress(raw.read_bytes(), compresslevel=9, mtime=0))
    raw.unlink()


def _faults_json(timeline: Timeline, seed: int) -> bytes:
    document = {
        "format_version": FORMAT_VERSION,
        "seed": seed,
        "start": timeline.start.isoformat(),
        "end": timeline.end.isoformat(),
        "quietUntil": timeline.quiet_until.isoformat(),
        "faults": [to_python(fault) for fault in timeline.faults],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _settings(window: int) -> str:
    return (
        "# Settings for this recording of the demo shop: copy the file into the lab directory that\n"
        "# the recording is landed into. Every setting that is not here keeps its default.\n\n"
        "# With the default window there would be too few windows to learn what is ordinary.\n"
        f'window = "{window}s"\n\n'
        "# The recording is complete when it is landed: no span arrives later.\n"
        f'allowed_lateness = "{window}s"\n\n'
        "# Its operations are bound to the shop's document: either name works in every command.\n"
        f'specs = ["{OPENAPI_FILE}"]\n'
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the shop and say what was recorded."""
    parser = argparse.ArgumentParser(
        prog="python -m evolution_lab.demo.record",
        description="Record the demo shop under load, with planted faults, in real time.",
    )
    parser.add_argument("directory", type=Path, metavar="OUT", help="folder, made if absent")
    parser.add_argument("--minutes", type=float, default=PLANNED_MINUTES, help="(%(default)s)")
    parser.add_argument("--rate", type=float, default=DEFAULT_RATE, help="calls/s (%(default)s)")
    parser.add_argument(
        "--pace", type=float, default=DEFAULT_PACE, help="of the shop (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="(%(default)s)")
    options = parser.parse_args(arguments)
    told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        if done == total or time.monotonic() - told > 60:
            told = time.monotonic()
            sys.stderr.write(f"{done:,} of {total:,} sessions done\n")

    try:
        recording = record(
            options.directory,
            minutes=options.minutes,
            rate=options.rate,
            pace=options.pace,
            seed=options.seed,
            progress=tell,
        )
    except EvolutionLabError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stderr.write(
        f"{recording}\n{recording.load.answered:,} calls answered, "
        f"{recording.load.unanswered:,} not; at most {recording.load.latest_ms:.0f} ms late\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
