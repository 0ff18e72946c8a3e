"""The whole line walked once, for a nightly job: idempotent, and it says what is new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, get_args

from evolution_lab.approval import Submissions
from evolution_lab.errors import InputError, did_you_mean
from evolution_lab.export import ReportFiles
from evolution_lab.golden.refreshing import RefreshedSuite, refresh_suites
from evolution_lab.golden.runners import http_runner
from evolution_lab.golden.running import find_suites, run_written
from evolution_lab.golden.store_lake import LakeTrafficStore
from evolution_lab.golden.verdicts import GoldenRun
from evolution_lab.lab.last_run import News, as_said, news, read_last_run, write_last_run
from evolution_lab.lab.whole import Lab
from evolution_lab.records import DetectionResult, IntentSignal
from evolution_lab.telemetry import LandingReport
from evolution_lab.telemetry.locks import file_lock

FailOn = Literal["none", "signal", "high", "drift"]
LOCK_FILE: Final = "run.lock"
WAIT_SECONDS = 30.0
"""How long a second run of one lab waits for the first."""
_STEPS: Final = 5


@dataclass(frozen=True, kw_only=True)
class TelemetryToLand:
    """Files and folders, and how they are read; what was landed before is not landed again.

    Attributes:
        paths: Files and folders.
        mapping: For tables, ``ROLE=COLUMN[:UNIT]`` each.
        service: Service of rows that name none.
        tz: Zone of timestamps that carry none.
    """

    paths: tuple[str | Path, ...]
    mapping: tuple[str, ...] = ()
    service: str | None = None
    tz: str | None = None

    def land(self, lab: Lab) -> LandingReport:
        """Land all of it."""
        return lab.land(*self.paths, mapping=self.mapping, service=self.service, tz=self.tz)


@dataclass(frozen=True, kw_only=True)
class WrittenTests:
    """Golden tests that were generated before.

    Attributes:
        suites: Suites, or folders of them.
        base_url: Where the service answers, for those that go over HTTP.
        run: Run them, as they stand before they are made anew.
    """

    suites: tuple[Path, ...]
    base_url: str | None = None
    run: bool = False


@dataclass(frozen=True, kw_only=True)
class NightlyRun:
    """What one walk down the line did.

    Attributes:
        landing: What was landed; None where no path was given.
        detection: What is found now.
        submitted: What became of the suggestions.
        golden: The written golden tests run on the service as it is; None where none were.
        refreshed: What became of the written golden tests.
        news: What is new since the last run.
        report: The files written.
        loud: The signals among the news that no mute and no maintenance window silences.
    """

    landing: LandingReport | None
    detection: DetectionResult
    submitted: Submissions
    golden: GoldenRun | None
    refreshed: tuple[RefreshedSuite, ...]
    news: News
    report: ReportFiles
    loud: tuple[IntentSignal, ...] = ()

    def fails(self, on: FailOn) -> bool:
        """Say whether the run is to be taken for failed; silenced signals fail none.

        Args:
            on: ``none`` never; ``signal`` where a signal is new; ``high`` where one of high severity
                is new or has become so; ``drift`` where a golden test behaves otherwise.

        Raises:
            InputError: ``on`` is none of these.
        """
        check_fail_on(on)
        if on == "signal":
            known = {signal.id for signal in self.news.signals}
            return any(signal.id in known for signal in self.loud)
        if on == "high":
            return any(signal.severity == "high" for signal in self.loud)
        if on == "drift":
            return self.golden is not None and self.golden.exit_code != 0
        return False


def check_fail_on(word: str) -> None:
    """Refuse a word that is none of ``FailOn``.

    Raises:
        InputError: It is none of them; the message has the nearest one.

    Examples:
        >>> check_fail_on("singal")
        Traceback (most recent call last):
        evolution_lab.errors.InputError: fail-on == 'singal', must be none, signal, high or drift. Did you mean 'signal'?
    """
    if word not in get_args(FailOn):
        raise InputError(
            f"fail-on == {word!r}, must be none, signal, high or drift."
            f"{did_you_mean(word, get_args(FailOn))}"
        )


def walk_the_line(
    lab: Lab,
    telemetry: TelemetryToLand | None = None,
    *,
    every: str | None = None,
    traffic: Sequence[str | Path] = (),
    golden: WrittenTests | None = None,
    output: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NightlyRun:
    """Land, detect, suggest, run and refresh golden tests, and write the report.

    Run again with nothing new it adds no row, takes no decision, says that nothing is new, and
    writes the same bytes. One run at a time: a second one waits for half a minute, then refuses.

    Args:
        lab: The lab.
        telemetry: What to land; None looks at what is there.
        every: Window length; the setting ``window`` without it.
        traffic: Recordings (HAR and others) to bring in.
        golden: Golden tests to make anew from recorded traffic; None leaves all alone.
        output: Where the report goes; ``reports`` without it.
        progress: Called with (steps done, steps in all).

    Raises:
        EmptyLakeError: Nothing was ever landed.
        LockedError: Another run of this lab is under way.
        PathNotFoundError: A path does not exist.
        InputError: No golden test is where one was said to be.
    """
    tell = progress or (lambda _done, _total: None)
    written = [] if golden is None else find_suites(golden.suites)
    lab.data.mkdir(parents=True, exist_ok=True)
    with file_lock(lab.data / LOCK_FILE, wait_seconds=WAIT_SECONDS):
        last = read_last_run(lab.data)
        tell(0, _STEPS)
        landing = None if telemetry is None else telemetry.land(lab)
        tell(1, _STEPS)
        detection = lab.detect(every=every)
        tell(2, _STEPS)
        submitted = lab.suggest(every=every, traffic=traffic)
        tell(3, _STEPS)
        verdicts = None
        if golden is not None and golden.run:
            verdicts = run_written(written, base_url=golden.base_url)
        refreshed = () if golden is None else _refresh(lab, written, golden.base_url)
        tell(4, _STEPS)
        report = lab.report(output, every=every)
        suggestions = lab.suggestions()
        groups = verdicts.groups if verdicts is not None else ()
        new = news(last, detection=detection, suggestions=suggestions, drift=groups)
        write_last_run(
            lab.data,
            as_said(
                ended_at=datetime.now(UTC),
                data_digest=lab.lake.digest(),
                detection=detection,
                suggestions=suggestions,
                drift=groups,
            ),
        )
        loud = lab.silences().loud((*new.signals, *new.worse), datetime.now(UTC))
        tell(5, _STEPS)
    return NightlyRun(
        landing=landing,
        detection=detection,
        submitted=submitted,
        golden=verdicts,
        refreshed=refreshed,
        news=new,
        report=report,
        loud=loud,
    )


def _refresh(lab: Lab, written: list[Path], base_url: str | None) -> tuple[RefreshedSuite, ...]:
    runner = None if base_url is None else http_runner(base_url)
    return refresh_suites(written, list(LakeTrafficStore(lab.data).snapshots()), runner=runner)
