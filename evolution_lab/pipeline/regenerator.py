"""``Regenerator``: signals of a running service become proposals, decisions become files and calls."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from evolution_lab.approval import SpecSuggestionOrchestrator, Submission, Submissions
from evolution_lab.config import format_timedelta
from evolution_lab.contracts import OperationSpec
from evolution_lab.errors import ConfigError, InvalidSuggestionError
from evolution_lab.pipeline.deliveries import Deliveries, deliver_all
from evolution_lab.pipeline.destinations import CallableHook, Destination
from evolution_lab.pipeline.events import PipelineEvent
from evolution_lab.pipeline.evolution_pipeline import EvolutionPipeline
from evolution_lab.pipeline.outbox import Outbox, OutboxCounts
from evolution_lab.pipeline.suggestion_events import SuggestionEvent
from evolution_lab.records import IntentSignal, SpecSuggestion
from evolution_lab.suggestions import SpecGenerator, SpecSource
from evolution_lab.telemetry.forks import renew_when_forked

log = logging.getLogger(__name__)

MOST_WAITING: Final = 1_000
"""Signals and held suggestions kept for another try; the oldest are let go first."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class RegeneratorCounters:
    """What a regenerator has done so far in this process.

    Attributes:
        outcomes: What became of the suggestions it submitted: ``added``, ``revised``, …; ``invalid``
            broke a rule.
        waiting: Signals that could not be turned into suggestions yet, and suggestions held back
            because too many are open for their operation; both are tried again.
        deliveries: What it has told.
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    deliveries: Deliveries = field(default_factory=Deliveries)


@dataclass(eq=False)
class Regenerator:
    """Closes the loop: proposes what a pipeline finds, and hands on what people decide.

    Each signal of a pipeline it listens to becomes a suggestion; one that is open already gets the
    new evidence as a revision. Whatever happens to suggestions, by whomever, in whatever process, is
    put into an outbox and told to each destination **at least once**: decisions are rows that are only
    appended, what is told is marked afterwards, and every event has a key by which a repeat is
    recognised. Files and commits are the same when written again, so a crash at any moment leaves
    each of them once.

    Events of one suggestion come in their order. A destination that cannot be reached is tried again
    later and holds up no other. Signals that were told but not yet proposed live in memory only.

    Attributes:
        orchestrator: Takes suggestions in and decisions on them. Give it no writer: files come from
            the outbox.
        data_dir: The lab directory; the outbox is a table of its ``evolution.duckdb``.
        destinations: Whom to tell. A plain or async function is a hook.
        specs: Declared operations, or the documents that have them.
        clock: Says what time it is, UTC.

    Raises:
        ConfigError: Two destinations have the same name, or a hook has none that lasts.

    Examples:
        >>> import tempfile
        >>> from evolution_lab.approval import DuckDBSpecSuggestionRepository
        >>> lab = Path(tempfile.mkdtemp())
        >>> orchestrator = SpecSuggestionOrchestrator(DuckDBSpecSuggestionRepository(lab))
        >>> told = []
        >>> hook = CallableHook(function=told.append, name="hook:told")
        >>> regenerator = Regenerator(orchestrator, lab, [hook])
        >>> regenerator.deliver()
        Deliveries(delivered=0, failed=0, busy=0)
    """

    orchestrator: SpecSuggestionOrchestrator
    data_dir: Path
    destinations: Sequence[Destination | Callable[[SuggestionEvent], Any]] = ()
    specs: SpecSource | Iterable[OperationSpec] = ()
    clock: Callable[[], datetime] = _now
    _interval: timedelta | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.data_dir = Path(self.data_dir)
        self._outbox = Outbox(self.data_dir, SuggestionEvent)
        self._told: tuple[Destination, ...] = tuple(
            CallableHook.of(each) if callable(each) else each for each in self.destinations
        )
        names = Counter(each.name for each in self._told)
        twice = sorted(name for name, times in names.items() if times > 1)
        if twice:
            raise ConfigError(f"destination {twice[0]!r} is named twice, must have its own name.")
        if not isinstance(self.specs, Iterable):
            self._specs: SpecSource | tuple[OperationSpec, ...] = self.specs
        else:
            self._specs = tuple(self.specs)
        self._pipelines: list[Callable[[], None]] = []
        self.renew()
        renew_when_forked(self)

    def renew(self) -> None:
        """Begin anew, as a forked process has to: its parent goes on with what waits."""
        self._proposing = threading.RLock()
        self._delivering = threading.RLock()
        self._starting = threading.Lock()
        self._inside = False
        self._signals: deque[tuple[IntentSignal, EvolutionPipeline]] = deque(maxlen=MOST_WAITING)
        self._held: deque[SpecSuggestion] = deque(maxlen=MOST_WAITING)
        self._outcomes: Counter[str] = Counter()
        self._deliveries = Deliveries()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._woken = threading.Event()

    def listen(self, pipeline: EvolutionPipeline) -> Callable[[], None]:
        """Propose what a pipeline finds from now on; returns a function that ends it."""

        def told(event: PipelineEvent) -> None:
            with self._proposing:
                if event.type == "intent.detected":
                    self._signals.append((event.payload, pipeline))
                self._propose()
            self._woken.set()
            self._spawn()

        end = pipeline.on(told)
        self._pipelines.append(end)
        return end

    def submit(self, suggestions: Iterable[SpecSuggestion]) -> Submissions:
        """Submit suggestions, each on its own: one that breaks a rule keeps no other back."""
        entries = []
        with self._proposing:
            for suggestion in suggestions:
                entry = self._submit(suggestion)
                if entry is not None:
                    entries.append(entry)
        self._woken.set()
        return Submissions(tuple(entries))

    def deliver(self, progress: Callable[[int, int], None] | None = None) -> Deliveries:
        """Tell every destination what it has not been told; returns when all were tried.

        Failures are counted and kept for a later pass: nothing a destination does is raised here.

        Args:
            progress: Called with (destinations done, destinations in all).

        Raises:
            LockedError: Another process held the database for longer than the bounded wait.
            LakeError: The database cannot be read.
        """
        with self._delivering:
            if self._inside:  # A hook that decides something asks for what is going on already.
                return Deliveries()
            self._inside = True
            try:
                done = deliver_all(
                    self._outbox,
                    self.orchestrator,
                    self._told,
                    clock=self.clock,
                    progress=progress,
                )
            finally:
                self._inside = False
            self._deliveries += done
            return done

    def start(self, interval: timedelta = timedelta(seconds=30)) -> None:
        """Deliver every ``interval`` in a daemon thread, and at once after proposals, until ``stop``.

        A forked process starts its own thread with the first event of its pipeline.

        Raises:
            ConfigError: The interval is not above 0.
        """
        if interval <= timedelta(0):
            raise ConfigError(f"interval == {format_timedelta(interval)}, must be > 0.")
        self.stop()
        self._interval = interval
        self._spawn()

    def stop(self, timeout: float = 10.0) -> None:
        """End the thread; a delivery under way is waited for. What waits is kept in the outbox."""
        with self._starting:
            self._interval = None
            thread, self._thread = self._thread, None
            self._stopped.set()
            self._woken.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def close(self) -> None:
        """Stop, listen to no pipeline any more, and deliver what is left."""
        self.stop()
        for end in self._pipelines:
            end()
        self._pipelines.clear()
        with self._proposing:
            self._propose()
        self.deliver()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def counters(self) -> RegeneratorCounters:
        """What the regenerator has done so far in this process."""
        return RegeneratorCounters(
            outcomes=dict(sorted(self._outcomes.items())),
            waiting=len(self._signals) + len(self._held),
            deliveries=self._deliveries,
        )

    def outbox(self) -> dict[str, OutboxCounts]:
        """Return how every destination stands, by its name."""
        return {each.name: self._outbox.counts(each.name) for each in self._told}

    def _propose(self) -> None:
        """Submit what was held back and what signals ask for; what fails stays for another time."""
        for _ in range(len(self._held)):
            self._submit(self._held[0])
            self._held.popleft()
        while self._signals:
            signal, pipeline = self._signals[0]
            for suggestion in self._asked_by(signal, pipeline):
                self._submit(suggestion)
            self._signals.popleft()

    def _asked_by(
        self, signal: IntentSignal, pipeline: EvolutionPipeline
    ) -> tuple[SpecSuggestion, ...]:
        return SpecGenerator(self.orchestrator.config).generate(
            pipeline.said_of(signal), windows=pipeline.windows(), specs=self._specs
        )

    def _submit(self, suggestion: SpecSuggestion) -> Submission | None:
        try:
            entry = self.orchestrator.submit(suggestion)
        except InvalidSuggestionError as error:
            if not self._outcomes["invalid"]:
                log.warning("a suggestion breaks a rule; further ones are only counted: %s", error)
            self._outcomes["invalid"] += 1
            return None
        self._outcomes[entry.outcome] += 1
        if entry.outcome == "held":
            self._held.append(suggestion)
        return entry

    def _spawn(self) -> None:
        with self._starting:
            if self._thread is not None or self._interval is None:
                return
            self._stopped, self._woken = threading.Event(), threading.Event()
            self._thread = threading.Thread(
                target=self._deliver_often,
                args=(self._stopped, self._woken, self._interval.total_seconds()),
                daemon=True,
                name="evolution-regenerator",
            )
            self._thread.start()

    def _deliver_often(
        self, stopped: threading.Event, woken: threading.Event, seconds: float
    ) -> None:
        while not stopped.is_set():
            try:
                with self._proposing:
                    self._propose()
                self.deliver()
            except Exception:
                log.exception("a delivery failed; the next one is tried all the same")
            woken.wait(seconds)
            woken.clear()
