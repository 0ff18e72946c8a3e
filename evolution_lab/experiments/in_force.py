"""What serving processes go by: one small document, re-read in the background, never waited for.

The controller writes it at every look. A process that finds it missing, invalid or older than its
``stale_after`` serves the control: a rollout without somebody who watches it is no rollout.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from evolution_lab.errors import CorruptFileError, EvolutionLabError, FormatVersionError
from evolution_lab.experiments.assignment import SpecExperimentRunner
from evolution_lab.experiments.definition import ExperimentStatus, SpecExperiment
from evolution_lab.records.json_form import CAMEL_CASE, from_json, to_json
from evolution_lab.telemetry.forks import renew_when_forked

STATE_IN_FORCE: Final = "experiments-in-force.json"
FORMAT_VERSION: Final = 1
REREAD_SECONDS: Final = 5.0
LARGEST: Final = 4_000_000
"""Bytes of a document; readers refuse a larger one."""
_AHEAD: Final = timedelta(minutes=1)
"""How far the writer's clock may be ahead before the document counts as invalid."""

Source = Callable[[], bytes | None]
"""Reads the document: a file's bytes, a row's text; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class ExperimentInForce:
    """One experiment as it is served.

    Attributes:
        experiment: Its definition.
        status: Its state; ``draft`` and ``rolled_back`` serve the control.
        stage: The stage, counted from 0.
    """

    __pydantic_config__ = CAMEL_CASE

    experiment: SpecExperiment
    status: ExperimentStatus
    stage: int = 0

    def runner(self) -> SpecExperimentRunner:
        """Return what assigns units; a paused one keeps its units, a completed one all of them."""
        serves = self.status in {"running", "paused", "completed"}
        return SpecExperimentRunner(self.experiment, self.stage if serves else None)


@dataclass(frozen=True, kw_only=True)
class StateInForce:
    """The document.

    Attributes:
        revision: Counts the looks of the controller; a reader never goes back.
        written_at: When, UTC.
        stale_after: After it, whoever reads this serves the control.
        experiments: All that are served.
        format_version: Of this document.
    """

    __pydantic_config__ = CAMEL_CASE

    revision: int
    written_at: datetime
    stale_after: timedelta
    experiments: tuple[ExperimentInForce, ...] = ()
    format_version: int = FORMAT_VERSION


def read_state(text: bytes) -> StateInForce:
    """Read a document.

    Raises:
        FormatVersionError: A newer version of the package wrote it.
        CorruptFileError: It is no such document.
    """
    if len(text) > LARGEST:
        raise CorruptFileError(f"the state in force has {len(text)} bytes, must be <= {LARGEST}.")
    try:
        state = from_json(StateInForce, text)
    except (ValidationError, EvolutionLabError) as error:
        first_line = str(error).partition("\n")[0]
        raise CorruptFileError(f"the state in force cannot be read: {first_line}.") from None
    if state.format_version != FORMAT_VERSION:
        raise FormatVersionError("the state in force", state.format_version, FORMAT_VERSION)
    return state


def write_state(path: Path, state: StateInForce) -> None:
    """Put a document in a file's place at once: a reader sees the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with temporary.open("wb") as file:
            file.write(to_json(state))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def file_source(path: Path | str) -> Source:
    """Return what reads the document from a file."""
    path = Path(path)

    def read() -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    return read


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class InForce:
    """The state in force as a serving process knows it; asking it costs no I/O.

    The first question starts a background thread that re-reads the source (again in a process that
    was forked since). ``refresh`` reads at once, for tests and for processes that may not start
    threads.

    Attributes:
        source: Reads the document.
        reread_seconds: How often it is read again.
        clock: Says the time, UTC.
        background: False starts no thread; call ``refresh`` yourself.

    Examples:
        >>> in_force = InForce(lambda: None, background=False)
        >>> in_force.refresh()
        >>> in_force.runners("billing.createInvoice"), in_force.why_control
        ((), 'there is no state in force')
    """

    source: Source
    reread_seconds: float = REREAD_SECONDS
    clock: Callable[[], datetime] = _now
    background: bool = True
    why_control: str | None = field(default="nothing was read yet", init=False)
    _state: StateInForce | None = field(default=None, init=False, repr=False)
    _until: datetime | None = field(default=None, init=False, repr=False)
    _runners: Mapping[str, tuple[SpecExperimentRunner, ...]] = field(
        default_factory=dict, init=False, repr=False
    )
    _pid: int = field(default=0, init=False, repr=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        renew_when_forked(self)

    def renew(self) -> None:
        """Begin anew in a forked process: its parent's thread may have held what it waits for."""
        self._lock = threading.Lock()
        stopped, self._stopped = self._stopped.is_set(), threading.Event()
        if stopped:
            self._stopped.set()

    @property
    def revision(self) -> int | None:
        """The revision that was read last, None before any."""
        return None if self._state is None else self._state.revision

    def runners(self, operation: str) -> tuple[SpecExperimentRunner, ...]:
        """Return what assigns the units of an operation; nothing where the control is served."""
        if self.background and self._pid != os.getpid():
            self._start()
        runners = self._runners.get(operation)
        if not runners or self._until is None or self.clock() >= self._until:
            return ()
        return runners

    def named(self, key: str) -> tuple[SpecExperimentRunner, bool] | None:
        """Return what assigns the units of an experiment, and whether it may be gone by still.

        Args:
            key: The experiment's key.

        Returns:
            None where the state in force has no such experiment; False beside it once that state
            is stale: then the control is served.
        """
        if self.background and self._pid != os.getpid():
            self._start()
        for runners in self._runners.values():
            for runner in runners:
                if runner.experiment.key == key:
                    return runner, self._until is not None and self.clock() < self._until
        return None

    def refresh(self) -> None:
        """Read the source; what cannot be used leads to the control, never to an exception."""
        try:
            text = self.source()
            state = None if text is None else read_state(text)
            why = None if state is not None else "there is no state in force"
            if state is not None:
                self._take(state)
        except Exception as error:  # noqa: BLE001 - serving goes on whatever a source raises
            why = f"{type(error).__name__}: {str(error)[:300]}"
        if why is not None:
            self._until, self._runners = None, {}
        self.why_control = why or self._staleness()

    def close(self) -> None:
        """Stop re-reading."""
        self._stopped.set()

    def _take(self, state: StateInForce) -> None:
        if state == self._state and self._until is not None:
            return
        if self._state is not None and state.revision < self._state.revision:
            raise CorruptFileError(
                f"the state in force went back from revision {self._state.revision} to "
                f"{state.revision}."
            )
        if state.written_at > self.clock() + _AHEAD:
            raise CorruptFileError(f"the state in force is of {state.written_at}, in the future.")
        runners: dict[str, tuple[SpecExperimentRunner, ...]] = {}
        for entry in state.experiments:
            runner = entry.runner()
            if runner.stage is not None:
                operation = entry.experiment.operation
                runners[operation] = (*runners.get(operation, ()), runner)
        # One assignment each: a request sees the old ones or the new ones.
        self._runners, self._until = runners, state.written_at + state.stale_after
        self._state = state

    def _staleness(self) -> str | None:
        if self._until is not None and self.clock() >= self._until:
            return f"the state in force is stale since {self._until:%Y-%m-%d %H:%M:%S} UTC"
        return None

    def _start(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self.refresh()
            threading.Thread(target=self._reread, name="state-in-force", daemon=True).start()

    def _reread(self) -> None:
        while not self._stopped.wait(self.reread_seconds):
            self.refresh()
