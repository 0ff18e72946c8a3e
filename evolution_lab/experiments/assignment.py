"""Which arm a unit gets: decided by hashes alone, the same in every process and after every restart.

A unit's place in [0, 1) never changes; it has the variant where its place lies below the stage's
share. Whoever has the variant at 1 % therefore keeps it at 10 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Final, Literal, NamedTuple

import polars as pl

from evolution_lab.experiments.definition import Arm, SpecExperiment
from evolution_lab.experiments.hashing import Bucketing, bucketing
from evolution_lab.experiments.hashing_many import places
from evolution_lab.experiments.targeting import SavedGroups, check_condition, matches

AssignmentReason = Literal[
    "assigned", "forced", "no-unit", "hold-out", "namespace", "targeting", "not-running"
]
HOLD_OUT_SEED: Final = "evolution-lab-hold-out"
"""One for all experiments: a unit held out of 5 % of one is held out of all that hold out 5 %."""


class Assignment(NamedTuple):
    """What a unit gets, and why.

    Attributes:
        experiment: Key of the experiment.
        version: Version of its definition.
        arm: ``control`` or ``variant``.
        reason: ``assigned`` by the hash, or what stood before it.
        stage: The stage, counted from 0; None where nothing runs.
        unit: Whose; None for a call without a unit.
        place: Where the hash puts the unit, in [0, 1); None where it was not asked.
    """

    experiment: str
    version: int
    arm: Arm
    reason: AssignmentReason
    stage: int | None
    unit: str | None
    place: float | None

    @property
    def counted(self) -> bool:
        """Whether its outcomes say something about the arms."""
        return self.reason == "assigned"

    @property
    def label(self) -> str:
        """What samples of this assignment carry as ``variant_id``."""
        return f"{self.experiment}@{self.version}:{self.arm}"


@dataclass(frozen=True)
class SpecExperimentRunner:
    """Assigns units to the arms of one experiment at one stage; asks nobody and remembers nothing.

    Attributes:
        experiment: The definition.
        stage: The stage in force, counted from 0; None where the experiment does not run.
        groups: Members of saved groups that targeting names.

    Raises:
        InvalidExperimentError: There is no such stage, or targeting cannot be understood.

    Examples:
        >>> from evolution_lab.experiments import Binding
        >>> arm = {"operation": "checkout"}
        >>> experiment = SpecExperiment(key="try", operation="checkout",
        ...     control=Binding(version="1", **arm), variant=Binding(version="2", **arm))
        >>> [SpecExperimentRunner(experiment, stage).assign("user-0").arm for stage in range(4)]
        ['control', 'control', 'variant', 'variant']
    """

    experiment: SpecExperiment
    stage: int | None = None
    groups: SavedGroups = field(default_factory=dict)
    share: float = field(init=False)
    _place: Bucketing = field(init=False, repr=False, compare=False)
    _held_out: Bucketing = field(init=False, repr=False, compare=False)
    _namespace: Bucketing | None = field(init=False, repr=False, compare=False)
    _plain: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        experiment = self.experiment
        check_condition(experiment.targeting)
        namespace = experiment.namespace
        set_ = object.__setattr__
        set_(self, "share", 0.0 if self.stage is None else experiment.share_at(self.stage))
        set_(self, "_place", bucketing(experiment.hash, experiment.salt, experiment.hash_version))
        set_(self, "_held_out", bucketing("growthbook", HOLD_OUT_SEED))
        by_name = None if namespace is None else bucketing("growthbook", f"__{namespace.name}", 1)
        set_(self, "_namespace", by_name)
        gates = (experiment.forced, experiment.hold_out, namespace, experiment.targeting)
        set_(self, "_plain", self.stage is not None and not any(gates))

    def assign(self, unit: str | None, attributes: Mapping[str, Any] | None = None) -> Assignment:
        """Return what a unit gets.

        Args:
            unit: Its id; None or empty for a call that has none.
            attributes: What targeting may look at.
        """
        experiment = self.experiment
        if not unit:
            return self._without(None, "no-unit")
        if not self._plain:
            kept_out = self._gate(unit, attributes or {})
            if kept_out is not None:
                return kept_out
        try:
            place = self._place(unit)
        except UnicodeEncodeError:  # Half a surrogate pair: no text that others could hash.
            return self._without(unit, "no-unit")
        arm: Arm = "variant" if place < self.share else "control"
        return Assignment(
            experiment.key, experiment.version, arm, "assigned", self.stage, unit, place
        )

    def _gate(self, unit: str, attributes: Mapping[str, Any]) -> Assignment | None:
        experiment = self.experiment
        if self.stage is None:
            return self._without(unit, "not-running")
        arm = experiment.forced.get(unit)
        if arm is not None:
            return self._without(unit, "forced", arm)
        if experiment.hold_out and self._held_out(unit) < experiment.hold_out:
            return self._without(unit, "hold-out")
        namespace = experiment.namespace
        if (
            namespace is not None
            and self._namespace is not None
            and not namespace.start <= self._namespace(unit) < namespace.end
        ):
            return self._without(unit, "namespace")
        if experiment.targeting and not matches(experiment.targeting, attributes, self.groups):
            return self._without(unit, "targeting")
        return None

    def _without(
        self, unit: str | None, reason: AssignmentReason, arm: Arm = "control"
    ) -> Assignment:
        experiment = self.experiment
        return Assignment(experiment.key, experiment.version, arm, reason, self.stage, unit, None)

    def assign_many(
        self,
        units: pl.Series | Sequence[str],
        attributes: Sequence[Mapping[str, Any]] | None = None,
    ) -> pl.DataFrame:
        """Return what each of many units gets, as ``assign`` does, a million and more a second.

        Args:
            units: Ids, none of them null.
            attributes: One mapping a unit, where the experiment has targeting.

        Returns:
            Frame of ``unit``, ``place``, ``arm``, ``counted`` and ``reason``.
        """
        column = units if isinstance(units, pl.Series) else pl.Series(units, dtype=pl.String)
        column = column.alias("unit")
        experiment = self.experiment
        where = places(column, experiment.hash, experiment.salt, experiment.hash_version)
        kept_out: Any = pl.when(pl.col("unit") == "").then(pl.lit("no-unit"))
        frame = pl.DataFrame([column, pl.Series("place", where)])
        for why, rows in self._gates(column, attributes):
            frame = frame.with_columns(rows.alias(why))
            kept_out = kept_out.when(pl.col(why)).then(pl.lit(why))
        reason = kept_out.otherwise(pl.lit("assigned"))
        forced = pl.col("unit").replace_strict(
            dict(experiment.forced), default="control", return_dtype=pl.String
        )
        by_hash = pl.when(pl.col("place") < self.share).then(pl.lit("variant"))
        return frame.with_columns(reason.alias("reason")).select(
            "unit",
            "place",
            pl.when(pl.col("reason") == "assigned")
            .then(by_hash.otherwise(pl.lit("control")))
            .when(pl.col("reason") == "forced")
            .then(forced)
            .otherwise(pl.lit("control"))
            .alias("arm"),
            (pl.col("reason") == "assigned").alias("counted"),
            "reason",
        )

    def _gates(
        self, column: pl.Series, attributes: Sequence[Mapping[str, Any]] | None
    ) -> Iterator[tuple[AssignmentReason, pl.Series]]:
        """Say who is kept out, in the order in which ``assign`` asks."""
        experiment = self.experiment
        if self.stage is None:
            yield "not-running", pl.repeat(True, len(column), eager=True)  # noqa: FBT003
        if experiment.forced:
            yield "forced", column.is_in(list(experiment.forced))
        if experiment.hold_out:
            held_out = places(column, "growthbook", HOLD_OUT_SEED)
            yield "hold-out", pl.Series(held_out < experiment.hold_out)
        if experiment.namespace is not None:
            name, start, end = astuple(experiment.namespace)
            inside = places(column, "growthbook", f"__{name}", 1)
            yield "namespace", pl.Series((inside < start) | (inside >= end))
        if experiment.targeting:
            known: Sequence[Mapping[str, Any]] = attributes or [{}] * len(column)
            met = [matches(experiment.targeting, values, self.groups) for values in known]
            yield "targeting", ~pl.Series(met, dtype=pl.Boolean)
