"""Counts executions as they end: in memory at once, in the lab's files every few seconds."""

from __future__ import annotations

import atexit
import logging
import secrets
import threading
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from evolution_lab.experiments.assignment import Assignment
from evolution_lab.experiments.definition import SpecExperiment
from evolution_lab.experiments.outcome_files import OutcomeWriter, outcomes_folder
from evolution_lab.experiments.tallies import ARMS, NO_UNIT, SUMS, tallies, unit_number
from evolution_lab.redaction.pseudonyms import LabKey
from evolution_lab.telemetry.forks import renew_when_forked

log = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 5.0
REMEMBERED: Final = 65_536
"""Executions that are recognised when they are told of again."""
FLUSH_FROM: Final = 16_384
"""Units in memory that are written before their time."""
MOST_UNITS: Final = 4 * FLUSH_FROM
"""Units in memory while nothing can be written; more are given up, and counted as such."""

_Delta = dict[tuple[int, int, int], list[int]]
_Key = tuple[str, int]


class _Limits(NamedTuple):
    slow_ns: float
    tail_ns: float
    sticky: bool


@dataclass(eq=False)
class OutcomeCounter:
    """One process's counts of every experiment it serves; begins anew after a fork.

    Attributes:
        data: The lab directory.
        flush_seconds: How often what was counted is written; a process that is killed loses so much.
        clock: Says the time, UTC.
    """

    data: Path
    flush_seconds: float = FLUSH_SECONDS
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _key: bytes = field(init=False, repr=False)
    _limits: dict[_Key, tuple[SpecExperiment, _Limits]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        self._key = LabKey.open(self.data).secret
        self.renew()
        renew_when_forked(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    def renew(self) -> None:
        """Forget what the parent counted: it writes that itself."""
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._deltas: defaultdict[_Key, _Delta] = defaultdict(dict)
        self._newest: dict[_Key, datetime] = {}
        self._n_rows = 0
        self._recent, self._earlier = set[int](), set[int]()
        self._writers: dict[_Key, OutcomeWriter] = {}
        self._writer = secrets.token_hex(8)
        self._errors: Counter[str] = Counter()
        self._thread: threading.Thread | None = None
        self._wake, self._stop = threading.Event(), threading.Event()

    @property
    def errors(self) -> Mapping[str, int]:
        """Failures so far, by name; ``given up`` are outcomes that could not be kept."""
        return dict(sorted(self._errors.items()))

    def count(
        self,
        experiment: SpecExperiment,
        assignment: Assignment,
        *,
        execution_id: str,
        duration_ns: int,
        success: bool | None,
        fallback: bool = False,
    ) -> bool:
        """Count one execution; a few microseconds, no I/O.

        Returns:
            Whether it was counted: not where the assignment is not (forced, without a unit …), and
            not where this execution was counted before.
        """
        if not assignment.counted or assignment.stage is None:
            return False
        key = (experiment.key, experiment.version)
        limits = self._limits_of(key, experiment)
        unit = (
            unit_number(assignment.unit, self._key)
            if limits.sticky and assignment.unit
            else NO_UNIT
        )
        place = (assignment.stage, ARMS.index(assignment.arm), unit)
        now = self.clock()
        with self._lock:
            if not self._first_time(hash((key, execution_id))):
                return False
            if not self._add(
                key,
                place,
                (
                    1,
                    int(success is False),
                    int(duration_ns > limits.slow_ns),
                    int(duration_ns > limits.tail_ns),
                    int(fallback),
                ),
            ):
                self._errors["given up"] += 1
                return False
            self._newest[key] = now
            self._begin_to_write()
        return True

    def flush(self) -> bool:
        """Write what was counted since the last time; False where that failed: it is tried again."""
        written = True
        with self._writing:
            with self._lock:
                deltas, self._deltas = self._deltas, defaultdict(dict)
                newest, self._newest = self._newest, {}
                self._n_rows = 0
            for key, delta in deltas.items():
                try:
                    self._write(key, delta, newest[key])
                except Exception as error:  # noqa: BLE001 - serving goes on, whatever a disk does
                    written = False
                    self._failed("writing outcomes", error)
                    self._put_back(key, delta, newest[key])
        return written

    def close(self) -> bool:
        """Stop the thread that writes, and write what is left; counting again begins anew."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
            self._wake.set()
            self._wake, self._stop = threading.Event(), threading.Event()
        if thread is not None and thread is not threading.current_thread():
            thread.join(2 * self.flush_seconds)
        return self.flush()

    def _limits_of(self, key: _Key, experiment: SpecExperiment) -> _Limits:
        known = self._limits.get(key)
        if known is not None and (known[0] is experiment or known[0] == experiment):
            return known[1]
        guardrail = experiment.guardrail("latency_p99")
        slow = float("inf") if guardrail is None else guardrail.boundary * 1e6
        tail = slow
        if guardrail is not None and guardrail.reference is not None:
            tail = guardrail.reference * 1e6
        limits = _Limits(slow, tail, experiment.sticky)
        self._limits[key] = (experiment, limits)
        return limits

    def _first_time(self, execution: int) -> bool:
        if execution in self._recent or execution in self._earlier:
            return False
        self._recent.add(execution)
        if len(self._recent) >= REMEMBERED // 2:
            self._recent, self._earlier = set(), self._recent
        return True

    def _add(self, key: _Key, place: tuple[int, int, int], sums: tuple[int, ...]) -> bool:
        delta = self._deltas[key]
        row = delta.get(place)
        if row is None:
            if self._n_rows >= MOST_UNITS:
                return False
            delta[place] = list(sums)
            self._n_rows += 1
        else:
            for k, value in enumerate(sums):
                row[k] += value
        return True

    def _write(self, key: _Key, delta: _Delta, newest: datetime) -> None:
        writer = self._writers.get(key)
        if writer is None:
            folder = outcomes_folder(self.data, self._limits[key][0])
            writer = self._writers[key] = OutcomeWriter(folder, self._writer)
        writer.add(tallies((*place, *sums) for place, sums in delta.items()), newest)

    def _put_back(self, key: _Key, delta: _Delta, newest: datetime) -> None:
        with self._lock:
            for place, sums in delta.items():
                if not self._add(key, place, tuple(sums)):
                    self._errors["given up"] += sums[SUMS.index("requests")]
            self._newest[key] = max(newest, self._newest.get(key, newest))

    def _begin_to_write(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=_write_on,
                args=(weakref.ref(self), self.flush_seconds, self._wake, self._stop),
                daemon=True,
                name="outcomes",
            )
            self._thread.start()
        elif self._n_rows >= FLUSH_FROM:
            self._wake.set()

    def _failed(self, name: str, error: BaseException) -> None:
        with self._lock:
            self._errors[name] += 1
            first = self._errors[name] == 1
        if first:
            log.error("%s failed; further failures are only counted", name, exc_info=error)


def _write_on(
    counter_of: weakref.ref[OutcomeCounter],
    seconds: float,
    wake: threading.Event,
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        wake.wait(seconds)
        wake.clear()
        counter = counter_of()  # Held for a flush only: this thread keeps nobody alive.
        if counter is None:
            return
        if not stop.is_set():
            counter.flush()
        del counter


def _close_at_exit(counter_of: weakref.ref[OutcomeCounter]) -> None:
    counter = counter_of()
    if counter is not None:
        counter.close()
