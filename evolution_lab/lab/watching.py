"""``Watch``: follows a growing lake, files that grow, or a receiver; says what changes, and alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from evolution_lab.config import format_timedelta, parse_duration
from evolution_lab.errors import (
    ConfigError,
    EmptyLakeError,
    EvolutionLabError,
    PathNotFoundError,
    UnknownFormatError,
)
from evolution_lab.intents.silences import Silence
from evolution_lab.intents.snapshots import withdraw_snapshots
from evolution_lab.lab.every_night import TelemetryToLand
from evolution_lab.lab.growing_files import GrowingFiles
from evolution_lab.lab.watched_signals import SignalNews, WatchedSignals
from evolution_lab.lab.watched_state import LastWatch, read_last_watch, write_last_watch
from evolution_lab.lab.whole import Lab
from evolution_lab.pipeline.alerts import Alert, AlertDesk, AlertReceiver, AlertRules, AlertSettings
from evolution_lab.pipeline.deliveries import Deliveries
from evolution_lab.records import DetectionResult, IntentSignal
from evolution_lab.telemetry import LandingReport
from evolution_lab.telemetry.otlp_receiver import OtlpReceiver
from evolution_lab.windows.grid import window_floor

GRACE: Final = timedelta(minutes=1)
"""How long after its end a window waits for its samples before it is judged."""
_SILENT_FOR: Final = timedelta(days=1)
"""A lake that nothing came to for so long is judged no further: its service is gone for good."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class WatchLook:
    """What one look brought.

    Attributes:
        landed: What was landed, a report for each way in.
        judged_until: Up to where windows were judged; None where no window was judged at this look.
        news: What is to be said of signals.
        alerts: Messages put down for the receivers.
        deliveries: What the receivers took.
        problems: What could not be done this time and is tried again.
    """

    landed: tuple[LandingReport, ...] = ()
    judged_until: datetime | None = None
    news: tuple[SignalNews, ...] = ()
    alerts: tuple[Alert, ...] = ()
    deliveries: Deliveries = field(default_factory=Deliveries)
    problems: tuple[str, ...] = ()


@dataclass(eq=False)
class Watch:
    """Lands what came, judges the windows that closed, says what is new, and alerts.

    A window is judged ``grace`` after its end; what late rows change later is said then. A look that
    finds nothing new costs a few file stats. What was said is kept in the lab: a watch that is started
    again goes on from there.

    Attributes:
        lab: The lab.
        telemetry: Files and folders that grow; None watches the lake and the receiver alone.
        receiver: Takes spans over HTTP; started and stopped by ``listening``.
        every: Window length; the setting ``window`` without it.
        grace: How long after its end a window waits for its samples.
        receivers: Whom to alert; those of the setting ``alerts`` without it.
        clock: Says what time it is, UTC.

    Raises:
        ConfigError: The section ``[alerts]`` cannot be used, or ``grace`` is below 0.
        CorruptFileError: What the last watch left is damaged.
        FormatVersionError: A newer version of the package watched last.
    """

    lab: Lab
    telemetry: TelemetryToLand | None = None
    receiver: OtlpReceiver | None = None
    every: str | None = None
    grace: timedelta = GRACE
    receivers: Sequence[AlertReceiver] | None = None
    clock: Callable[[], datetime] = _now

    def __post_init__(self) -> None:
        if self.grace < timedelta(0):
            raise ConfigError(f"grace == {format_timedelta(self.grace)}, must be >= 0.")
        settings = AlertSettings.of(self.lab.config.alerts)
        told = settings.receivers() if self.receivers is None else self.receivers
        self._window = parse_duration(self.every) if self.every else self.lab.config.window
        self._rules = AlertRules(
            lowest_severity=settings.lowest_severity, cooldown=settings.cooldown
        )
        self._desk = AlertDesk(self.lab.data, told, clock=self.clock) if told else None
        last = read_last_watch(self.lab.data)
        if last is not None and last.window != self._window:
            last = None
        self._signals = WatchedSignals(
            self.lab.config.allowed_lateness, None if last is None else last.said
        )
        self._files = None if self.telemetry is None else GrowingFiles(self.telemetry)
        self._judged = None if last is None else (last.judged_until, last.data_digest)
        self._begun = False
        self._unsaid: list[LandingReport] = []
        self._unsolved: list[str] = []

    @property
    def open_signals(self) -> tuple[IntentSignal, ...]:
        """Signals that were said, here or by an earlier watch, and are open."""
        said = (each.signal for each in self._signals.said.values())
        return tuple(signal for signal in said if signal.state == "open")

    @contextmanager
    def listening(self) -> Iterator[Watch]:
        """Run the receiver, where there is one, and land what it holds at the end."""
        if self.receiver is None:
            yield self
            return
        self.receiver.start()
        try:
            yield self
        finally:
            self.receiver.stop()
            try:
                last = self._land_spool()
            except (EvolutionLabError, OSError) as error:
                # What was received stays in the spool, and the next watch lands it.
                self._unsolved.append(str(error))
            else:
                self._unsaid += [last] if last is not None and last.sources else []

    def look(self) -> WatchLook:
        """Look once.

        Raises:
            PathNotFoundError: At the first look, a path does not exist.
            UnknownFormatError: At the first look, nothing recognises a named file.
        """
        problems, self._unsolved = self._unsolved, []
        landed, self._unsaid = self._unsaid, []
        for way in (self._land_files, self._land_spool):
            try:
                report = way()
            except (PathNotFoundError, UnknownFormatError) as error:
                if not self._begun:
                    raise
                problems.append(str(error))  # Rotated away just now, or only its head is there.
            except (EvolutionLabError, OSError) as error:
                problems.append(str(error))
            else:
                landed += [report] if report is not None and report.sources else []
        self._begun = True
        look = WatchLook(landed=tuple(landed))
        try:
            look = self._judge(look)
            look = self._alert(look)
        except EmptyLakeError:
            pass
        except EvolutionLabError as error:
            problems.append(str(error))
        return replace(look, problems=tuple(problems))

    def _judge(self, look: WatchLook) -> WatchLook:
        """Judge the windows that have closed; again where rows came to those judged before."""
        now = self.clock()
        closed = window_floor(now - self.grace, self._window)
        ends = [record.max_timestamp for record in self.lab.lake.batches()]
        newest = max((moment for moment in ends if moment is not None), default=None)
        if newest is None:
            return look
        closed = min(closed, window_floor(newest + _SILENT_FOR, self._window))
        digest = self.lab.lake.digest()
        if self._judged == (closed, digest):
            return look
        if self._judged is not None and self._judged[0] == closed:
            spans = [report.time_span for report in look.landed]
            if spans and all(span is None or span[0] >= closed for span in spans):
                self._judged = (closed, digest)
                return look  # What came belongs to windows that are open still.
        # A digest that changed by other hands: what they landed is looked at too.
        detection = self.lab.detect(every=self.every, as_of=closed)
        before, self._judged = self._judged, (closed, digest)
        signals = [s for s in detection.signals if s.detected_at <= closed]
        news = self._signals.news(
            signals, now=now, judged_until=before and before[0], closed=closed
        )
        withdrawn = [each.signal for each in news if each.what == "withdrawn"]
        if withdrawn:
            withdraw_snapshots(self.lab.data, withdrawn)
        alerts = self._put_down(detection)
        write_last_watch(
            self.lab.data,
            LastWatch(
                window=self._window,
                judged_until=closed,
                data_digest=digest,
                said=self._signals.said,
            ),
        )
        return replace(
            look,
            judged_until=closed,
            news=tuple(news),
            alerts=alerts,
        )

    def _put_down(self, detection: DetectionResult) -> tuple[Alert, ...]:
        if self._desk is None:
            return ()
        rules = replace(self._rules, silences=self.lab.silences())
        return self._desk.see(detection, rules)

    def _alert(self, look: WatchLook) -> WatchLook:
        if self._desk is None:
            return look
        rollouts = self._desk.see_rollouts(self.lab.experiments)
        return replace(look, alerts=(*look.alerts, *rollouts), deliveries=self._desk.tell())

    def _land_files(self) -> LandingReport | None:
        return None if self._files is None else self._files.land(self.lab)

    def _land_spool(self) -> LandingReport | None:
        if self.receiver is None:
            return None
        segments = self.receiver.spool.seal()
        if not segments:
            return None
        report = self.lab.land(*segments)
        self.receiver.spool.landed(segments)
        return report


def silenced(silence: Silence) -> str:
    """Return what a silence says, in one line for people.

    Examples:
        >>> nine = datetime(2026, 5, 4, 9, tzinfo=UTC)
        >>> silenced(Silence(id="ab", kind="mute", operations="pay", begins_at=nine,
        ...     ends_at=nine.replace(hour=11), why="known", by="ada", set_at=nine))
        'mute ab: pay until 2026-05-04 11:00 UTC, by ada: known'
    """
    return (
        f"{silence.kind} {silence.id}: {silence.operations} until {silence.until:%Y-%m-%d %H:%M} "
        f"UTC, by {silence.by}: {silence.why}"
    )
