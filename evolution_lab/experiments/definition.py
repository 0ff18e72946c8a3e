"""What an experiment is: which spec is tried in whose place, on whom, in which stages, within what."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from evolution_lab.config import parse_duration
from evolution_lab.contracts import OperationSpec
from evolution_lab.errors import (
    ConfigError,
    ExperimentStateError,
    InvalidExperimentError,
    PathNotFoundError,
    did_you_mean,
)
from evolution_lab.records.json_form import CAMEL_CASE, from_json

Arm = Literal["control", "variant"]
ExperimentStatus = Literal["draft", "running", "paused", "completed", "rolled_back"]
GuardrailMetric = Literal["error_rate", "latency_p99", "fallback_rate"]
HashAlgorithm = Literal["growthbook", "unleash", "flagd"]
UnitKind = Literal["user", "organisation", "anonymous", "request"]

TRANSITIONS: Final[Mapping[ExperimentStatus, frozenset[ExperimentStatus]]] = {
    "draft": frozenset({"running"}),
    "running": frozenset({"paused", "completed", "rolled_back"}),
    "paused": frozenset({"running", "completed", "rolled_back"}),
    "completed": frozenset(),
    "rolled_back": frozenset(),
}
"""Where an experiment may go from each state; what has ended stays ended."""

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}\Z")
_SMALLEST_SHARE: Final = 0.0001
"""GrowthBook's hash has 10,000 buckets: a finer share would be no share of its."""


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One arm: a version of an operation and what runs it.

    Attributes:
        operation: The operation's key.
        version: The version of its spec.
        spec: The spec itself; None where the runtime has it registered.
        handler: Name of the handler that runs it, as the resolver is told of it; None for the
            handler registered for the operation and version.
    """

    __pydantic_config__ = CAMEL_CASE

    operation: str
    version: str
    spec: OperationSpec | None = None
    handler: str | None = None

    def __post_init__(self) -> None:
        for name in ("operation", "version"):
            if not getattr(self, name):
                raise InvalidExperimentError(f"{name} of a binding == '', must not be empty.")
        if self.spec is not None and (self.spec.key, self.spec.version) != (
            self.operation,
            self.version,
        ):
            raise InvalidExperimentError(
                f"the binding is of {self.operation!r} {self.version!r}, its spec of "
                f"{self.spec.key!r} {self.spec.version!r}; they must be the same."
            )


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """What the variant must not do: a hypothesis boundary, not a threshold on an estimate.

    Attributes:
        metric: ``error_rate`` and ``fallback_rate`` (shares of executions), or ``latency_p99``.
        boundary: A fraction within (0, 1); milliseconds for ``latency_p99``.
        relative_margin: How much worse than the control counts as harm (0.25: by a quarter); None
            harms as soon as it is worse at all.
        reference: For ``latency_p99`` the control's 99th percentile before the rollout,
            milliseconds: a variant that is slower than the control shows first in how many calls
            take longer than that. None counts those over the boundary.
    """

    __pydantic_config__ = CAMEL_CASE

    metric: GuardrailMetric
    boundary: float
    relative_margin: float | None = None
    reference: float | None = None

    def __post_init__(self) -> None:
        finite = math.isfinite(self.boundary)
        if self.metric == "latency_p99":
            if not (finite and self.boundary > 0):
                raise InvalidExperimentError(
                    f"boundary of latency_p99 == {self.boundary} ms, must be > 0."
                )
        elif not (finite and 0 < self.boundary < 1):
            raise InvalidExperimentError(
                f"boundary of {self.metric} == {self.boundary}, must be a fraction within (0, 1)."
            )
        edge = self.reference
        if edge is not None and (
            self.metric != "latency_p99" or not (math.isfinite(edge) and 0 < edge <= self.boundary)
        ):
            raise InvalidExperimentError(
                f"reference of {self.metric} == {edge} ms, must be of latency_p99, above 0 and at "
                f"most its boundary ({self.boundary})."
            )
        margin = self.relative_margin
        if margin is not None and not (math.isfinite(margin) and margin > 0):
            raise InvalidExperimentError(
                f"relative_margin of {self.metric} == {margin}, must be > 0."
            )


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of the rollout.

    Attributes:
        share: Share of units that get the variant, within (0, 1], a multiple of 0.0001.
        minimum_dwell: How long the stage lasts at least, however good the variant looks.
        maximum_dwell: After it, a stage in which nothing is proven asks a person.
    """

    __pydantic_config__ = CAMEL_CASE

    share: float
    minimum_dwell: timedelta = timedelta(hours=1)
    maximum_dwell: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        steps = self.share / _SMALLEST_SHARE
        if not (0 < self.share <= 1) or abs(steps - round(steps)) > 1e-6:
            raise InvalidExperimentError(
                f"share of a stage == {self.share}, must be a multiple of {_SMALLEST_SHARE} "
                "within (0, 1]."
            )
        if not timedelta(0) <= self.minimum_dwell <= self.maximum_dwell:
            raise InvalidExperimentError(
                f"minimum_dwell == {self.minimum_dwell}, must be between 0 and maximum_dwell "
                f"({self.maximum_dwell})."
            )


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A part of all units that experiments divide among themselves, so that none is in two.

    Attributes:
        name: Experiments of the same name exclude each other where their ranges do.
        start: Where the range begins, within [0, 1].
        end: Where it ends, not included.
    """

    __pydantic_config__ = CAMEL_CASE

    name: str
    start: float
    end: float

    def __post_init__(self) -> None:
        if not self.name or not 0 <= self.start < self.end <= 1:
            raise InvalidExperimentError(
                f"namespace {self.name!r} is [{self.start}, {self.end}), must have a name and "
                "0 <= start < end <= 1."
            )


DEFAULT_STAGES: Final = tuple(Stage(share=share) for share in (0.01, 0.10, 0.50, 1.0))
DEFAULT_GUARDRAILS: Final = (
    Guardrail(metric="error_rate", boundary=0.05),
    Guardrail(metric="latency_p99", boundary=750.0),
    Guardrail(metric="fallback_rate", boundary=0.01),
)


@dataclass(frozen=True, kw_only=True)
class SpecExperiment:
    """A definition; frozen once started, a change of it is a new version.

    Attributes:
        key: Its name: letters, digits and ``_ . : -``, at most 128.
        version: Counts the changes of the definition from 1.
        operation: The operation it is about.
        control: What runs now.
        variant: What is tried.
        stages: Shares of units that get the variant, rising strictly.
        guardrails: What must not happen; one each metric.
        metrics: Names of metrics that are shown and decide nothing.
        alpha: Total probability of a false rollback over guardrails, stages and looks.
        unit: Who is assigned: ``user``, ``organisation``, ``anonymous`` (the first of these that a
            call has, from the named one on), or ``request`` (each call anew).
        hash: Whose hash assigns, so that services in other languages assign the same.
        hash_version: GrowthBook's and flagd's 1 or 2.
        seed: What is hashed with the unit; the key without one. Two experiments of the same seed
            assign the same.
        namespace: Keeps its units apart from those of other experiments; None for all.
        targeting: Condition on attributes as GrowthBook writes it; empty for everybody.
        forced: Arm by unit, for testers; they are not counted.
        hold_out: Share of units that never get any variant and are not counted.
        sticky: Whether units return (users do): their outcomes then are analysed by unit.
        interval: How often the controller looks.
        stale_after: State in force older than this serves the control; 3 intervals without one.
        suggestion_id: The approved suggestion it was drafted from.

    Raises:
        InvalidExperimentError: A value breaks its rule.

    Examples:
        >>> arm = {"operation": "billing.createInvoice"}
        >>> experiment = SpecExperiment(
        ...     key="invoice-2", operation="billing.createInvoice",
        ...     control=Binding(version="1.0.0", **arm), variant=Binding(version="1.1.0", **arm))
        >>> [stage.share for stage in experiment.stages], experiment.salt
        ([0.01, 0.1, 0.5, 1.0], 'invoice-2')
    """

    __pydantic_config__ = CAMEL_CASE

    key: str
    operation: str
    control: Binding
    variant: Binding
    version: int = 1
    stages: tuple[Stage, ...] = DEFAULT_STAGES
    guardrails: tuple[Guardrail, ...] = DEFAULT_GUARDRAILS
    metrics: tuple[str, ...] = ()
    alpha: float = 0.05
    unit: UnitKind = "user"
    hash: HashAlgorithm = "growthbook"
    hash_version: Literal[1, 2] = 2
    seed: str | None = None
    namespace: Namespace | None = None
    targeting: Mapping[str, Any] = field(default_factory=dict)
    forced: Mapping[str, Arm] = field(default_factory=dict)
    hold_out: float = 0.0
    sticky: bool = True
    interval: timedelta = timedelta(minutes=1)
    stale_after: timedelta | None = None
    suggestion_id: str | None = None

    def __post_init__(self) -> None:
        if not _KEY.match(self.key):
            raise InvalidExperimentError(
                f"key == {self.key!r}, must be 1 to 128 letters, digits or _ . : - and begin with "
                "a letter or a digit."
            )
        if self.version < 1:
            raise InvalidExperimentError(f"version == {self.version}, must be >= 1.")
        self._check_arms()
        shares = [stage.share for stage in self.stages]
        if not shares or sorted(set(shares)) != shares:
            raise InvalidExperimentError(f"stages == {shares}, must rise strictly.")
        metrics = [guardrail.metric for guardrail in self.guardrails]
        if not metrics or len(set(metrics)) != len(metrics):
            raise InvalidExperimentError(
                f"guardrails are of {metrics}, must be at least one, and one each metric."
            )
        if not 0 < self.alpha < 0.5:
            raise InvalidExperimentError(f"alpha == {self.alpha}, must be within (0, 0.5).")
        if not 0 <= self.hold_out < 1:
            raise InvalidExperimentError(f"hold_out == {self.hold_out}, must be within [0, 1).")
        if self.hash == "unleash" and any(round(s * 100) / 100 != s for s in shares):
            raise InvalidExperimentError(
                f"stages == {shares}, must be whole percents: Unleash's hash has 100 buckets."
            )
        if self.interval <= timedelta(0) or (
            self.stale_after is not None and self.stale_after < self.interval
        ):
            raise InvalidExperimentError(
                f"interval == {self.interval} with stale_after == {self.stale_after}, must be > 0 "
                "and no longer than stale_after."
            )
        if self.sticky and self.unit == "request":
            object.__setattr__(self, "sticky", False)  # A request never returns.

    def _check_arms(self) -> None:
        for name in ("control", "variant"):
            arm: Binding = getattr(self, name)
            if arm.operation != self.operation:
                raise InvalidExperimentError(
                    f"{name} is of {arm.operation!r}, must be of {self.operation!r}."
                )
        same = (self.control.version, self.control.handler)
        if same == (self.variant.version, self.variant.handler):
            raise InvalidExperimentError(
                f"control and variant are both {self.control.version!r}, must differ in version "
                "or handler."
            )

    @property
    def salt(self) -> str:
        """What is hashed with the unit."""
        return self.seed or self.key

    @property
    def serving_stale_after(self) -> timedelta:
        """How old the state in force may be before the control is served."""
        return self.stale_after or 3 * self.interval

    @property
    def variant_id(self) -> str:
        """The label of the variant's samples."""
        return f"{self.key}@{self.version}:variant"

    def share_at(self, stage: int) -> float:
        """Return the share of units that get the variant at a stage, counted from 0.

        Raises:
            InvalidExperimentError: There is no such stage.
        """
        if not 0 <= stage < len(self.stages):
            raise InvalidExperimentError(
                f"stage == {stage}, must be 0 to {len(self.stages) - 1} in {self.key!r}."
            )
        return self.stages[stage].share

    def guardrail(self, metric: GuardrailMetric) -> Guardrail | None:
        """Return the guardrail on a metric, None without one."""
        return next((g for g in self.guardrails if g.metric == metric), None)


def check_transition(key: str, current: ExperimentStatus, wanted: ExperimentStatus) -> None:
    """Do nothing where an experiment may go from one state to another.

    Raises:
        ExperimentStateError: It may not.

    Examples:
        >>> check_transition("invoice-2", "draft", "running")
        >>> check_transition("invoice-2", "rolled_back", "running")
        Traceback (most recent call last):
        evolution_lab.errors.ExperimentStateError: experiment 'invoice-2' is rolled_back, which ...
    """
    allowed = TRANSITIONS[current]
    if wanted not in allowed:
        onwards = f"may only become {' or '.join(sorted(allowed))}" if allowed else "is its end"
        raise ExperimentStateError(
            f"experiment {key!r} is {current}, which {onwards}; it cannot become {wanted}."
        )


def experiment_from(document: Mapping[str, Any]) -> SpecExperiment:
    """Read a definition from a mapping such as a TOML or JSON file has.

    Names may be snake_case or camelCase, durations ``15m`` or ISO 8601, stages plain shares.

    Raises:
        InvalidExperimentError: A name is unknown, or a value breaks its rule.

    Examples:
        >>> arm = {"operation": "checkout", "version": "1"}
        >>> experiment_from({"key": "x", "operation": "checkout", "control": arm,
        ...                  "variant": {**arm, "version": "2"}, "stages": [0.05, 1.0],
        ...                  "interval": "30s"}).stages[0].share
        0.05
    """
    known = {f.name: f.name for f in fields(SpecExperiment)}
    known |= {_camel(name): name for name in known}
    values: dict[str, Any] = {}
    for name, value in document.items():
        if name == "format_version":
            continue
        if name not in known:
            raise InvalidExperimentError(
                f"unknown setting {name!r} of an experiment.{did_you_mean(name, known)}"
            )
        values[known[name]] = value
    try:
        if isinstance(values.get("stages"), (list, tuple)):
            values["stages"] = [_stage(stage) for stage in values["stages"]]
        for name in ("interval", "stale_after"):
            if name in values:
                values[name] = _duration(values[name])
        return from_json(SpecExperiment, values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidExperimentError(
            f"{place or 'the experiment'} is not valid: {first['msg']}."
        ) from None
    except ConfigError as error:
        raise InvalidExperimentError(str(error)) from None


def load_experiment(path: Path | str) -> SpecExperiment:
    """Read a definition from a TOML or JSON file.

    Raises:
        PathNotFoundError: There is no such file.
        InvalidExperimentError: It is neither TOML nor JSON, or its definition breaks a rule.
    """
    return experiment_from(read_settings(path))


def read_settings(path: Path | str) -> dict[str, Any]:
    """Read the settings of a definition from a TOML or JSON file, as they stand there.

    Raises:
        PathNotFoundError: There is no such file.
        InvalidExperimentError: It is neither TOML nor JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise PathNotFoundError(path)
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidExperimentError(f"{path.name!r} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise InvalidExperimentError(f"{path.name!r} holds no table of settings.")
    return document


def _stage(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"share": float(value)}
    if not isinstance(value, Mapping):
        return value
    return {
        name: _duration(part) if name.endswith(("dwell", "Dwell")) else part
        for name, part in value.items()
    }


def _duration(value: object) -> object:
    """Read ``15m``; leave ISO 8601 (``PT15M``) to pydantic."""
    if isinstance(value, str) and not value.startswith(("P", "-P")):
        return parse_duration(value)
    return value


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
