"""``SpecExperimentController``: looks at every rollout under way, decides, and has it done."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from evolution_lab.errors import EvolutionLabError, ExperimentStateError
from evolution_lab.experiments.decisions import CountedOutcomes, Look, RolloutDecision, decide
from evolution_lab.experiments.definition import ExperimentStatus, SpecExperiment

log = logging.getLogger(__name__)

CONTROLLER: Final = "controller"
Hook = Callable[[SpecExperiment, RolloutDecision], object]


@dataclass(frozen=True, kw_only=True)
class RolloutState:
    """Where one rollout stands.

    Attributes:
        experiment: Its definition.
        status: Its state.
        stage: The stage, counted from 0.
        entered_at: When that stage began (or was resumed), UTC.
        looks: How many looks it has had.
    """

    experiment: SpecExperiment
    status: ExperimentStatus
    stage: int
    entered_at: datetime
    looks: int = 0


class RolloutRegistry(Protocol):
    """What the controller asks of where experiments are kept.

    Each method is one transaction that changes what it names and appends it to the history.
    """

    def under_way(self) -> Sequence[RolloutState]:
        """Return the rollouts that are ``running``, by key."""
        ...

    def record(self, look: Look, decision: RolloutDecision) -> None:
        """Append a look with its decision to the history of the experiment it is of."""
        ...

    def advance(self, key: str, stage: int, *, actor: str, reason: str, at: datetime) -> object:
        """Begin a later stage."""
        ...

    def complete(self, key: str, *, actor: str, reason: str, at: datetime) -> object:
        """End a rollout with the variant for everybody."""
        ...

    def roll_back(self, key: str, *, actor: str, reason: str, at: datetime) -> object:
        """End a rollout with the control for everybody."""
        ...

    def pause(self, key: str, *, actor: str, reason: str, at: datetime) -> object:
        """Stop deciding until a person resumes; units keep the arms they have."""
        ...

    def publish(self, *, at: datetime) -> object:
        """Write the state in force anew, so that serving processes see that somebody watches."""
        ...

    def lease(self, holder: str, *, until: datetime, at: datetime) -> bool:
        """Take or renew the controller's lease; False while another holder has it."""
        ...


def _now() -> datetime:
    return datetime.now(UTC)


def _holder() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(eq=False)
class SpecExperimentController:
    """Advances, holds and rolls back every rollout under way, by evidence.

    One error budget (``alpha``) holds over guardrails, stages and looks: look as often as you like.
    Each look is appended with what was seen, so that ``decisions.replay`` gives the same decisions.
    The state in force is written last at each look; where the controller has stopped, serving
    processes find it stale and serve the control.

    Attributes:
        registry: Where experiments are kept.
        outcomes: Gives the counts of an experiment, merged over all processes.
        on_rollback: Called after a rollback; what one raises is logged and holds up nothing.
        on_advance: Called after an advance or a completion, likewise.
        clock: Says what time it is, UTC.
        holder: Who holds the lease; unlike any other by itself.
    """

    registry: RolloutRegistry
    outcomes: Callable[[SpecExperiment], CountedOutcomes]
    on_rollback: Sequence[Hook] = ()
    on_advance: Sequence[Hook] = ()
    clock: Callable[[], datetime] = _now
    holder: str = field(default_factory=_holder)

    def look(self) -> tuple[RolloutDecision, ...]:
        """Look once at every rollout under way, and do what is decided.

        Returns:
            One decision a rollout, by key. A rollout whose outcomes cannot be read is left as it
            is, and logged; the others go on.
        """
        decisions: list[RolloutDecision] = []
        for state in self.registry.under_way():
            try:
                decisions.append(self._look_at(state))
            except EvolutionLabError:
                log.exception("experiment %s could not be looked at", state.experiment.key)
        self.registry.publish(at=self.clock())
        return tuple(decisions)

    def run(
        self,
        *,
        interval: timedelta,
        stopped: threading.Event | None = None,
        progress: Callable[[tuple[RolloutDecision, ...]], object] | None = None,
    ) -> None:
        """Look every ``interval`` until ``stopped``; of several controllers one looks, by a lease.

        Args:
            interval: Time between two looks.
            stopped: Set it to end; without it this ends with the process.
            progress: Called with the decisions of each look.
        """
        stopped = stopped or threading.Event()
        while not stopped.is_set():
            decisions = self.look_as_leader(interval=interval)
            if decisions is not None and progress is not None:
                progress(decisions)
            stopped.wait(interval.total_seconds())

    def look_as_leader(self, *, interval: timedelta) -> tuple[RolloutDecision, ...] | None:
        """Look once if this controller has or gets the lease; None where another one has it."""
        now = self.clock()
        if not self.registry.lease(self.holder, until=now + 3 * interval, at=now):
            return None
        return self.look()

    def _look_at(self, state: RolloutState) -> RolloutDecision:
        experiment, now = state.experiment, self.clock()
        look = Look(
            number=state.looks + 1,
            at=now,
            stage=state.stage,
            entered_at=state.entered_at,
            outcomes=self.outcomes(experiment),
        )
        decision = decide(experiment, look)
        self.registry.record(look, decision)
        try:
            self._do(experiment, decision)
        except ExperimentStateError:  # A person was faster: what they did stands.
            log.info("experiment %s was changed meanwhile", experiment.key)
        return decision

    def _do(self, experiment: SpecExperiment, decision: RolloutDecision) -> None:
        key, reason, at = experiment.key, decision.reason, decision.at
        if decision.action == "roll_back":
            self.registry.roll_back(key, actor=CONTROLLER, reason=reason, at=at)
            # Serving processes must not wait for what the hooks do.
            self.registry.publish(at=at)
            self._tell(self.on_rollback, experiment, decision)
        elif decision.action == "advance":
            self.registry.advance(key, decision.stage + 1, actor=CONTROLLER, reason=reason, at=at)
            self._tell(self.on_advance, experiment, decision)
        elif decision.action == "complete":
            self.registry.complete(key, actor=CONTROLLER, reason=reason, at=at)
            self._tell(self.on_advance, experiment, decision)
        elif decision.action == "ask":
            self.registry.pause(key, actor=CONTROLLER, reason=reason, at=at)

    def _tell(
        self, hooks: Sequence[Hook], experiment: SpecExperiment, decision: RolloutDecision
    ) -> None:
        for hook in hooks:
            try:
                hook(experiment, decision)
            except Exception:
                log.exception("a hook of experiment %s failed", experiment.key)
