"""What may happen to an experiment: it is registered, started, paused, advanced, and ends.

Every step is one transaction: the row, its entry in the history and the state in force change
together, or none of them does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from evolution_lab.errors import ExperimentStateError
from evolution_lab.experiments.assignment import SpecExperimentRunner
from evolution_lab.experiments.boundary_check import ControlCounts, check_boundaries
from evolution_lab.experiments.controller import CONTROLLER
from evolution_lab.experiments.decisions import Look, RolloutDecision
from evolution_lab.experiments.definition import (
    ExperimentStatus,
    SpecExperiment,
    check_transition,
)
from evolution_lab.experiments.duckdb_repository import DuckDBExperimentRepository
from evolution_lab.experiments.in_force import STATE_IN_FORCE, StateInForce
from evolution_lab.experiments.postgres_repository import PostgresExperimentRepository
from evolution_lab.experiments.publishing import publish_state
from evolution_lab.experiments.registry_readings import ExperimentReadings
from evolution_lab.experiments.registry_rules import (
    check_actor,
    check_kept_apart,
    check_reason,
    check_version,
    find_experiment,
    latest_version,
    refuse_broken,
)
from evolution_lab.experiments.repository import (
    ExperimentRepository,
    ExperimentTable,
    HistoryEntry,
    RegisteredExperiment,
)
from evolution_lab.records import to_json

_SAYS_WHY: Final = frozenset({"pause", "advance", "rollback", "abort"})
"""Steps that stop or override somebody."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class _Step:
    action: str
    actor: str
    reason: str
    at: datetime
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SpecExperimentRegistry(ExperimentReadings):
    """Keeps experiments, and the rules of what may happen to them.

    A step names who takes it (``actor``); what stops or overrides somebody also says why. It is
    what ``SpecExperimentController`` asks (``RolloutRegistry``): each of its steps goes into the
    history with the decision and its evidence.

    Attributes:
        repository: Where experiments are kept.
        state_file: Where serving processes read the state in force; None keeps it in the
            repository alone (``repository_source``).
        clock: Says the time of a step that is not told it, UTC.

    Examples:
        >>> from evolution_lab.experiments import Binding, InMemoryExperimentRepository
        >>> arm = {"operation": "checkout"}
        >>> registry = SpecExperimentRegistry(InMemoryExperimentRepository())
        >>> registry.register(SpecExperiment(key="try", operation="checkout",
        ...     control=Binding(version="1", **arm), variant=Binding(version="2", **arm)),
        ...     actor="ada").status
        'draft'
        >>> registry.start("try", actor="ada").status
        'running'
        >>> [entry.action for entry in registry.history("try")]
        ['register', 'start']
    """

    state_file: Path | None = None
    clock: Callable[[], datetime] = _now

    @classmethod
    def in_lab(
        cls, data_dir: Path | str, *, state_url: str | None = None
    ) -> SpecExperimentRegistry:
        """Return the registry of a lab directory, which writes its state in force there.

        Args:
            data_dir: The lab directory.
            state_url: The team's PostgreSQL, where that keeps the lab's state (``state_url``).
        """
        data_dir = Path(data_dir)
        repository: ExperimentRepository = (
            DuckDBExperimentRepository(data_dir)
            if state_url is None
            else PostgresExperimentRepository(state_url)
        )
        return cls(repository, state_file=data_dir / STATE_IN_FORCE)

    def register(
        self,
        definition: SpecExperiment,
        *,
        actor: str,
        reason: str = "",
        recent: ControlCounts | None = None,
        payload: Mapping[str, Any] | None = None,
    ) -> RegisteredExperiment:
        """Take a definition in as a draft; the same one again changes nothing.

        A draft may be replaced. Once started a definition is frozen, and a change of it is
        registered as its next version.

        Args:
            definition: What is to be tried.
            actor: Who registers it.
            reason: Why.
            recent: What the control did lately; its boundaries are checked against it.
            payload: Kept in the history beside it.

        Raises:
            InvalidExperimentError: Its targeting cannot be understood, its version goes back, or
                the control breaks a boundary already; the message names one it would accept.
            FrozenDefinitionError: That version was started with another content.
        """
        SpecExperimentRunner(definition)  # Refuses targeting that cannot be understood.
        findings = () if recent is None else check_boundaries(definition.guardrails, recent)
        with self.repository.transaction() as table:
            before = table.get(definition.key, definition.version)
            if before is not None and to_json(before.definition) == to_json(definition):
                return before
            check_version(table, definition, before)
            refuse_broken(definition, findings)
            notes = dict(payload or {})
            if findings:
                notes["boundaries"] = [finding.to_payload() for finding in findings]
            action, at = "register" if before is None else "revise", self.clock()
            registered = RegisteredExperiment(
                definition=definition,
                created_at=at if before is None else before.created_at,
                updated_at=at,
            )
            table.save(registered)
            step = _Step(action=action, actor=actor, reason=reason, at=at, payload=notes)
            _append(table, registered, step)
        return registered

    def start(
        self, key: str, *, actor: str, reason: str = "", version: int | None = None
    ) -> RegisteredExperiment:
        """Give the variant to the first stage's share of units.

        Args:
            key: The experiment.
            actor: Who starts it.
            reason: Why.
            version: The latest without it.

        Raises:
            UnknownNameError: There is no such experiment.
            ExperimentStateError: It was started before, or another one is under way on the
                operation and no namespace keeps them apart.
        """
        with self.repository.transaction() as table:
            found = (
                latest_version(table, key)
                if version is None
                else find_experiment(table, key, version)
            )
            check_transition(key, found.status, "running")
            if found.status != "draft":
                raise ExperimentStateError(
                    f"experiment {key!r} is {found.status}, was started before; resume it instead."
                )
            check_kept_apart(table, found.definition)
            step = _Step(action="start", actor=actor, reason=reason, at=self.clock())
            after = replace(found, status="running", stage=0, stage_since=step.at)
            return self._take(table, after, step)

    def pause(
        self, key: str, *, actor: str, reason: str, at: datetime | None = None
    ) -> RegisteredExperiment:
        """Stop looking and advancing; units keep their arm."""
        return self._become("paused", key, self._step("pause", actor, reason, at))

    def resume(self, key: str, *, actor: str, reason: str = "") -> RegisteredExperiment:
        """Go on with a paused experiment at its stage, whose dwell begins anew."""
        with self.repository.transaction() as table:
            found = find_experiment(table, key, None)
            if found.status != "paused":
                raise ExperimentStateError(
                    f"experiment {key!r} is {found.status}, must be paused to be resumed."
                )
            step = self._step("resume", actor, reason, None)
            after = replace(found, status="running", stage_since=step.at)
            return self._take(table, after, step)

    def advance(
        self, key: str, stage: int, *, actor: str, reason: str, at: datetime | None = None
    ) -> RegisteredExperiment:
        """Give the variant to a later stage's share of units.

        Args:
            key: The experiment.
            stage: The stage, counted from 0.
            actor: ``controller``, or the person who overrides it.
            reason: Why.
            at: When, UTC; now without it.

        Raises:
            ExperimentStateError: It does not run, or the stage is not a later one.
            InvalidExperimentError: There is no such stage.
        """
        with self.repository.transaction() as table:
            found = find_experiment(table, key, None)
            found.definition.share_at(stage)
            if found.status != "running" or stage <= found.stage:
                raise ExperimentStateError(
                    f"experiment {key!r} is {found.status} at stage {found.stage}; it must be "
                    f"running at an earlier one to advance to stage {stage}."
                )
            step = self._step("advance", actor, reason, at)
            step = replace(step, payload={"from": found.stage, "to": stage})
            after = replace(found, stage=stage, stage_since=step.at)
            return self._take(table, after, step)

    def complete(
        self, key: str, *, actor: str, reason: str, at: datetime | None = None
    ) -> RegisteredExperiment:
        """End with the variant proven; it is served on at the last stage's share.

        Raises:
            ExperimentStateError: It is not at its last stage.
        """
        with self.repository.transaction() as table:
            found = find_experiment(table, key, None)
            last = len(found.definition.stages) - 1
            check_transition(key, found.status, "completed")
            if found.stage != last:
                raise ExperimentStateError(
                    f"experiment {key!r} is at stage {found.stage}, must be at its last, {last}, "
                    "to be completed."
                )
            step = self._step("complete", actor, reason, at)
            return self._take(table, replace(found, status="completed"), step)

    def roll_back(
        self, key: str, *, actor: str, reason: str, at: datetime | None = None
    ) -> RegisteredExperiment:
        """End with the variant withdrawn: everybody gets the control."""
        return self._become("rolled_back", key, self._step("rollback", actor, reason, at))

    def abort(self, key: str, *, actor: str, reason: str) -> RegisteredExperiment:
        """End without a verdict on the variant: everybody gets the control."""
        return self._become("rolled_back", key, self._step("abort", actor, reason, None))

    def note(
        self,
        key: str,
        action: str,
        *,
        actor: str,
        reason: str = "",
        payload: Mapping[str, Any] | None = None,
        version: int | None = None,
    ) -> HistoryEntry:
        """Append to the history of an experiment what changes no state."""
        step = replace(self._step(action, actor, reason, None), payload=payload or {})
        with self.repository.transaction() as table:
            return _append(table, find_experiment(table, key, version), step)

    def record(self, look: Look, decision: RolloutDecision) -> None:
        """Keep a look with its decision; a hold for another cause than before goes into the history.

        Raises:
            ExperimentStateError: Another controller recorded this look.
        """
        key, version = decision.analysis.key, decision.analysis.version
        with self.repository.transaction() as table:
            before = table.decision(key, version, look.number - 1)
            table.append_look(look, decision)
            if decision.action == "hold" and (before is None or before.cause != decision.cause):
                notes = {"look": look.number, "cause": decision.cause}
                step = _Step(
                    action="hold", actor=CONTROLLER, reason=decision.reason, at=look.at,
                    payload=notes,
                )  # fmt: skip
                _append(table, find_experiment(table, key, version), step)

    def publish(
        self, *, at: datetime | None = None, interval: timedelta | None = None
    ) -> StateInForce:
        """Write the state in force anew; the controller does so at every look.

        Args:
            at: When, UTC; now without it.
            interval: How often the caller does this: the document is good for three times as long.
        """
        with self.repository.transaction() as table:
            return publish_state(table, self.state_file, at=at or self.clock(), interval=interval)

    def lease(self, holder: str, *, until: datetime, at: datetime) -> bool:
        """Take or renew the controller's lease; False while another holder has it."""
        with self.repository.transaction() as table:
            return table.take_lease(holder, now=at, until=until).holder == holder

    def release(self, holder: str) -> None:
        """Give the controller's lease back, where it is the holder's: another may look at once."""
        with self.repository.transaction() as table:
            table.release_lease(holder)

    def _become(self, status: ExperimentStatus, key: str, step: _Step) -> RegisteredExperiment:
        with self.repository.transaction() as table:
            found = find_experiment(table, key, None)
            check_transition(key, found.status, status)
            return self._take(table, replace(found, status=status), step)

    def _step(self, action: str, actor: str, reason: str, at: datetime | None) -> _Step:
        return _Step(action=action, actor=actor, reason=reason, at=at or self.clock())

    def _take(
        self, table: ExperimentTable, after: RegisteredExperiment, step: _Step
    ) -> RegisteredExperiment:
        after = replace(after, updated_at=step.at)
        table.save(after)
        if step.actor == CONTROLLER:
            last = table.decision(*after.identity, table.last_look(*after.identity))
            if last is not None:
                step = replace(
                    step, payload={**step.payload, "decision": json.loads(to_json(last))}
                )
        _append(table, after, step)
        publish_state(table, self.state_file, at=step.at)
        return after


def _append(table: ExperimentTable, about: RegisteredExperiment, step: _Step) -> HistoryEntry:
    check_actor(step.actor, f"{step.action} of an experiment")
    if step.action in _SAYS_WHY:
        check_reason(step.reason, f"{step.action} of an experiment")
    key, version = about.identity
    return table.append(
        HistoryEntry(
            key=key,
            version=version,
            at=step.at,
            actor=step.actor,
            action=step.action,
            reason=step.reason,
            payload=step.payload,
        )
    )
