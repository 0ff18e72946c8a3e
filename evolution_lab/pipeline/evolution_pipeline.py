"""``EvolutionPipeline``: samples in, windows and signals out, while the service runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, overload

import polars as pl

from evolution_lab.config import EvolutionConfig, format_timedelta
from evolution_lab.errors import ConfigError, TimeZoneRequiredError, UnknownNameError
from evolution_lab.intents import IntentDetector
from evolution_lab.pipeline.events import (
    EVENTS,
    EventType,
    Listener,
    PipelineEvent,
    PipelineListeners,
)
from evolution_lab.pipeline.history import MOST_WINDOWS, LiveHistory
from evolution_lab.pipeline.said_signals import SaidSignals
from evolution_lab.records import DetectionResult, IntentSignal, TelemetrySample
from evolution_lab.telemetry.forks import renew_when_forked
from evolution_lab.telemetry.hooks import Loop
from evolution_lab.windows import WindowSnapshot
from evolution_lab.windows.grid import window_floor


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class PipelineCounters:
    """What a pipeline has done so far.

    Attributes:
        ingested: Samples handed in.
        held: Samples in memory.
        windows: Aligned windows tested, counted once for all operations.
        late: Samples that came when their window had been tested; no window counts them.
        dropped: Samples that there was no room for, from a clock more than a day ahead, or with a
            value that samples cannot have.
        hook_errors: Failures of listeners by name; ``run`` counts failures of a run itself.
    """

    ingested: int = 0
    held: int = 0
    windows: int = 0
    late: int = 0
    dropped: int = 0
    hook_errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(eq=False)
class EvolutionPipeline:
    """Takes samples as they happen and says what changed beyond chance.

    A window is tested once, ``grace`` after its end, with the samples that have come until then. Each
    signal is told once, and once more when it has recovered. Listeners may be plain or async; one
    that fails is counted and logged. Memory is bounded: closed windows are kept for at most seven
    days of the default length, samples for one.

    Attributes:
        on_intent: Told of each signal.
        on_snapshot: Told of the windows that closed, as a ``WindowSnapshot``.
        config: The settings.
        clock: Says what time it is, UTC.
        grace: How long after its end a window waits for samples of calls that began in it.
        most_samples: Samples held at most; the oldest are let go first.

    Examples:
        >>> from evolution_lab.records import OperationRef
        >>> start = datetime(2025, 3, 4, 9, 0, tzinfo=UTC)
        >>> pipeline = EvolutionPipeline(clock=lambda: start + timedelta(minutes=20))
        >>> seen = []
        >>> stop_listening = pipeline.on("telemetry.window", seen.append)
        >>> pipeline.ingest(TelemetrySample(operation=OperationRef("checkout"),
        ...                                 timestamp=start, duration_ns=5_000_000, success=True))
        >>> pipeline.run().signals
        ()
        >>> seen[0]["sampleCount"], seen[0]["windows"], seen[0]["tested"]
        (1, 1, True)
    """

    on_intent: Callable[[IntentSignal], Any] | None = None
    on_snapshot: Callable[[WindowSnapshot], Any] | None = None
    config: EvolutionConfig = field(default_factory=EvolutionConfig)
    clock: Callable[[], datetime] = _now
    grace: timedelta = timedelta(minutes=1)
    most_samples: int = 500_000
    _listeners: PipelineListeners = field(default_factory=PipelineListeners, init=False, repr=False)
    _interval: timedelta | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.grace < timedelta(0):
            raise ConfigError(f"grace == {format_timedelta(self.grace)}, must be >= 0.")
        if self.most_samples < 1:
            raise ConfigError(f"most_samples == {self.most_samples}, must be >= 1.")
        self.renew()
        renew_when_forked(self)

    def renew(self) -> None:
        """Begin anew, as a forked process has to: its parent goes on with the samples so far."""
        self._taking = threading.Lock()
        self._judging = threading.Lock()
        self._listeners.renew()
        self._history = LiveHistory(self.config, self.most_samples)
        self._said = SaidSignals()
        self._result: DetectionResult | None = None
        self._pending: list[TelemetrySample] = []
        self._ingested = self._refused = self._tested = 0
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._loop: Loop | None = None

    def ingest(self, sample: TelemetrySample) -> None:
        """Take one sample; costs about as much as appending to a list."""
        with self._taking:
            self._ingested += 1
            if len(self._pending) < self.most_samples:
                self._pending.append(sample)
            else:
                self._refused += 1
            forked = self._interval is not None and self._thread is None
        if forked:
            self._spawn()

    @overload
    def on(self, event: EventType, listener: Listener) -> Callable[[], None]: ...

    @overload
    def on(self, event: Listener) -> Callable[[], None]: ...

    def on(
        self, event: EventType | Listener, listener: Listener | None = None
    ) -> Callable[[], None]:
        """Tell a listener from now on; returns a function that ends it.

        Args:
            event: ``telemetry.window`` or ``intent.detected``. Or a listener alone: it is told of
                both, as ``PipelineEvent``.
            listener: Is told the event's payload.

        Raises:
            UnknownNameError: There is no such event.
            ConfigError: There is no listener.
        """
        if not isinstance(event, str):
            return self._listeners.add(None, event)
        if event not in EVENTS:
            raise UnknownNameError("event", event, EVENTS)
        if listener is None:
            raise ConfigError(f"on({event!r}) names no listener, must be on({event!r}, listener).")
        return self._listeners.add(event, listener)

    def run(self, as_of: datetime | None = None) -> DetectionResult:
        """Test every window that has closed since the last run, and tell what is new.

        Listeners have been told when it returns.

        Args:
            as_of: The present moment, where it is not the clock's: to replay what was recorded.

        Returns:
            What detection says of all windows held; the same again where none has closed.

        Raises:
            TimeZoneRequiredError: The moment carries no time zone.
        """
        with self._judging:
            closed, news, result = self._judge(self._moment(as_of))
        if closed is not None:
            if self.on_snapshot is not None:
                self._listeners.call([("on_snapshot", self.on_snapshot, closed)], self._loop)
            self._listeners.tell(_window_event(closed, tested=True), self._loop)
        for signal in news:
            if self.on_intent is not None:
                self._listeners.call([("on_intent", self.on_intent, signal)], self._loop)
            self._listeners.tell(PipelineEvent("intent.detected", signal), self._loop)
        return result

    def said_of(self, signal: IntentSignal) -> DetectionResult:
        """Return what detection says, with one signal alone: what its suggestion is made from."""
        with self._judging:
            result = self._result or DetectionResult()
        return replace(result, signals=(signal,), workflows=())

    def windows(self) -> pl.DataFrame:
        """Return the windows that have closed and are held, a ``WINDOWS`` frame."""
        with self._judging:
            return self._history.windows

    def rolling(self) -> pl.DataFrame:
        """Return the window that ends now, a ``WINDOWS`` frame; to be looked at, never tested.

        Looked at often, some such window is always unusual: testing them would spend the budget of
        false alarms many times over.
        """
        return self._trailing().windows

    def start(self, interval: timedelta = timedelta(minutes=5)) -> None:
        """Run every ``interval`` in a daemon thread, until ``stop``.

        Each time the rolling window is told of too, as a ``telemetry.window`` that is not tested.
        Async listeners are awaited on the event loop that ``start`` is called on, if there is one.
        A pipeline that runs already goes on at the new interval; a forked process starts its own
        thread with its first sample.

        Raises:
            ConfigError: The interval is not above 0.
        """
        if interval <= timedelta(0):
            raise ConfigError(f"interval == {format_timedelta(interval)}, must be > 0.")
        self.stop()
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        self._interval = interval
        self._spawn()

    def stop(self, timeout: float = 10.0) -> None:
        """End the thread; a run under way is waited for. Samples and windows are kept."""
        with self._taking:
            self._interval = None
            thread, self._thread = self._thread, None
            self._stopped.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    @property
    def counters(self) -> PipelineCounters:
        """What the pipeline has done so far."""
        with self._taking:
            return PipelineCounters(
                ingested=self._ingested,
                held=len(self._pending) + self._history.samples.height,
                windows=self._tested,
                late=self._history.late,
                dropped=self._refused + self._history.dropped,
                hook_errors=self._listeners.errors(),
            )

    def _spawn(self) -> None:
        with self._taking:
            if self._thread is not None or self._interval is None:
                return
            self._stopped = threading.Event()
            self._thread = threading.Thread(
                target=self._run_often,
                args=(self._stopped, self._interval.total_seconds()),
                daemon=True,
                name="evolution-pipeline",
            )
            self._thread.start()

    def _run_often(self, stopped: threading.Event, seconds: float) -> None:
        while not stopped.wait(seconds):
            try:
                self.run()
                self._listeners.tell(_window_event(self._trailing(), tested=False), self._loop)
            except Exception as error:  # noqa: BLE001 - the next window is judged all the same
                self._listeners.failed("run", error)

    def _judge(
        self, now: datetime
    ) -> tuple[WindowSnapshot | None, list[IntentSignal], DetectionResult]:
        """Return the windows that close now, the signals that are new, and all there is to say."""
        self._take_pending(now)
        before = self._history.closed_until
        until = window_floor(now - self.grace, self.config.window)
        closing = self._history.close(until)
        detector = IntentDetector(self.config)
        if closing is None:
            if self._result is None:
                self._result = detector.detect(self._history.windows)
            return None, [], self._result
        closed, surroundings = closing
        self._tested += closed.windows["window_start"].n_unique()
        self._result = detector.detect(self._history.windows, surroundings)
        news = self._said.news(self._result.signals, judged_until=before)
        self._said.forget(until - self.config.window * MOST_WINDOWS)
        return closed, news, self._result

    def _trailing(self) -> WindowSnapshot:
        with self._judging:
            now = self._moment(None)
            self._take_pending(now)
            return self._history.trailing(now)

    def _take_pending(self, now: datetime) -> None:
        with self._taking:
            pending, self._pending = self._pending, []
        self._history.take(pending, now)

    def _moment(self, moment: datetime | None) -> datetime:
        moment = self.clock() if moment is None else moment
        if moment.tzinfo is None:
            raise TimeZoneRequiredError(f"the time is {moment}, must carry a time zone.")
        return moment.astimezone(UTC)


def _window_event(snapshot: WindowSnapshot, *, tested: bool) -> PipelineEvent:
    return PipelineEvent(
        "telemetry.window",
        {
            "sampleCount": snapshot.sample_count,
            "windowStart": snapshot.window_start,
            "windowEnd": snapshot.window_end,
            "windows": snapshot.windows["window_start"].n_unique(),
            "operations": snapshot.windows["op_id"].n_unique(),
            "tested": tested,
        },
    )
