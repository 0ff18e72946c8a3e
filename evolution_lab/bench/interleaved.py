"""Programs timed in turns, each in a process of its own: what disturbs the machine disturbs them all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Timing:
    """What a program took in each round.

    Attributes:
        cpu: CPU seconds of all its threads.
        wall: Seconds.
        rss_mb: Peak memory of the process, MB.
        failure: Why it could not run.
    """

    cpu: tuple[float, ...] = ()
    wall: tuple[float, ...] = ()
    rss_mb: tuple[float, ...] = ()
    failure: str | None = None

    @property
    def least_cpu(self) -> float:
        """CPU seconds of its quickest round."""
        return min(self.cpu)


def ratio(one: Timing, other: Timing) -> tuple[float, tuple[float, float]]:
    """Return how much more CPU one took than the other: the median round, least and most."""
    rounds = [mine / theirs for mine, theirs in zip(one.cpu, other.cpu, strict=False)]
    return median(rounds), (min(rounds), max(rounds))


def timed_in_turns(
    module: str,
    programs: Mapping[str, Sequence[str]],
    *,
    rounds: int,
    progress: Progress | None = None,
) -> dict[str, Timing]:
    """Run each program once a round, in turns.

    Args:
        module: Run with ``python -m``; prints a JSON object with ``cpu``, ``wall`` and ``rss_mb``.
        programs: Arguments of each program.
        rounds: How often.
        progress: Called with the runs done and the runs in all.
    """
    found: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    failures: dict[str, str] = {}
    for number in range(rounds):
        for at, (name, arguments) in enumerate(programs.items()):
            if name not in failures:
                took = _run(module, arguments)
                if isinstance(took, str):
                    failures[name] = took
                else:
                    found[name].append(took)
            if progress is not None:
                progress(number * len(programs) + at + 1, rounds * len(programs))
    return {name: _timing(runs, failures.get(name)) for name, runs in found.items()}


def table(timings: Mapping[str, Timing]) -> tuple[Mapping[str, Any], ...]:
    """Return one row a program: least and median CPU and wall seconds, and peak memory."""
    return tuple(
        {
            "program": name,
            "CPU s, least": min(timing.cpu),
            "CPU s, median": median(timing.cpu),
            "wall s, least": min(timing.wall),
            "wall s, median": median(timing.wall),
            "peak MB": max(timing.rss_mb),
            "rounds": len(timing.cpu),
        }
        for name, timing in timings.items()
        if timing.cpu
    )


def _timing(runs: Iterable[Mapping[str, float]], failure: str | None) -> Timing:
    runs = list(runs)
    return Timing(
        cpu=tuple(run["cpu"] for run in runs),
        wall=tuple(run["wall"] for run in runs),
        rss_mb=tuple(run["rss_mb"] for run in runs),
        failure=failure,
    )


def _run(module: str, arguments: Sequence[str]) -> dict[str, float] | str:
    """Return what a program printed, or why it could not run."""
    package = Path(__file__).parents[2]
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(  # noqa: S603 (our own module)
        [sys.executable, "-W", "ignore", "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return lines[-1]
    took: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return took
