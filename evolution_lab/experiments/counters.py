"""What is kept of outcomes: integer counts by stage and arm, which merge by addition.

Counts of requests that are independent, or of units (users, organisations) that keep their arm: then
a unit counts once in each stage, as failed where any of its requests failed. Sums over units of their
requests and failures serve the share of requests, whose error depends on the unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from evolution_lab.errors import InputError
from evolution_lab.experiments.statistics.asymptotic import RatioSums


@dataclass(frozen=True, kw_only=True)
class ArmCounts:
    """Counts of one arm in one stage.

    Attributes:
        units: Units seen in this stage, each once; requests where requests are the units.
        failed_units: Units with at least one failed request in this stage.
        slow_units: Units with at least one request slower than the boundary.
        tail_units: Units with at least one request slower than the guardrail's reference.
        requests: Requests.
        failed: Requests that failed.
        slow: Requests slower than the boundary.
        tail: Requests slower than the reference: the control's 99th percentile before the rollout,
            where it is known, else the boundary.
        fallbacks: Requests for which the variant could not start.
        request_squares: Sum over units of their squared requests.
        failed_squares: Sum over units of their squared failures.
        failed_products: Sum over units of failures times requests.
        slow_squares: Sum over units of their squared slow requests.
        slow_products: Sum over units of slow requests times requests.

    Examples:
        >>> one = ArmCounts(units=2, requests=5, failed=1)
        >>> (one + one).requests
        10
    """

    units: int = 0
    failed_units: int = 0
    slow_units: int = 0
    tail_units: int = 0
    requests: int = 0
    failed: int = 0
    slow: int = 0
    tail: int = 0
    fallbacks: int = 0
    request_squares: int = 0
    failed_squares: int = 0
    failed_products: int = 0
    slow_squares: int = 0
    slow_products: int = 0

    def __post_init__(self) -> None:
        wrong = [f.name for f in fields(self) if getattr(self, f.name) < 0]
        if wrong:
            raise InputError(f"{wrong[0]} == {getattr(self, wrong[0])}, a count is not negative.")

    def __add__(self, other: ArmCounts) -> ArmCounts:
        return ArmCounts(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )

    def failures(self) -> RatioSums:
        """Return the sums of failures over requests, with units as the sample."""
        return RatioSums(
            self.units,
            self.failed,
            self.requests,
            self.failed_squares,
            self.failed_products,
            self.request_squares,
        )

    def slowness(self) -> RatioSums:
        """Return the sums of slow requests over requests, with units as the sample."""
        return RatioSums(
            self.units,
            self.slow,
            self.requests,
            self.slow_squares,
            self.slow_products,
            self.request_squares,
        )


@dataclass(frozen=True)
class StageCounts:
    """Counts of both arms in one stage.

    Attributes:
        share: Share of units with the variant.
        control: Counts of the control.
        variant: Counts of the variant.
    """

    share: float
    control: ArmCounts = field(default_factory=ArmCounts)
    variant: ArmCounts = field(default_factory=ArmCounts)

    def __add__(self, other: StageCounts) -> StageCounts:
        if other.share != self.share:
            raise InputError(f"stages with shares {self.share} and {other.share} do not add up.")
        return replace(
            self, control=self.control + other.control, variant=self.variant + other.variant
        )


@dataclass(frozen=True)
class RolloutCounts:
    """Everything a decision is made of: one entry a stage.

    Examples:
        >>> shard = RolloutCounts.empty((0.01, 0.1))
        >>> merged([shard, shard]) == shard
        True
    """

    stages: tuple[StageCounts, ...]

    @classmethod
    def empty(cls, shares: Iterable[float]) -> RolloutCounts:
        """Return counts of nothing yet."""
        return cls(tuple(StageCounts(share) for share in shares))

    def __add__(self, other: RolloutCounts) -> RolloutCounts:
        if len(self.stages) != len(other.stages):
            raise InputError(
                f"counts of {len(self.stages)} and of {len(other.stages)} stages do not add up."
            )
        return RolloutCounts(
            tuple(one + two for one, two in zip(self.stages, other.stages, strict=True))
        )


def merged(shards: Iterable[RolloutCounts]) -> RolloutCounts:
    """Return the sum of what several processes counted, in whatever order it comes.

    Raises:
        InputError: There is none, or they are of other stages.
    """
    total: RolloutCounts | None = None
    for shard in shards:
        total = shard if total is None else total + shard
    if total is None:
        raise InputError("no counts were given.")
    return total


def counts_of_units(
    tallies: Iterable[tuple[int, int, int, int]],
) -> Mapping[str, int]:
    """Return the sums over units that ``ArmCounts`` takes by name.

    Args:
        tallies: For each unit its requests, failures, slow requests and requests in the tail, in
            a stage.

    Examples:
        >>> counts_of_units([(10, 1, 0, 1), (4, 0, 2, 2)])["failed_products"]
        10
    """
    found = dict.fromkeys((f.name for f in fields(ArmCounts) if f.name != "fallbacks"), 0)
    for requests, failed, slow, tail in tallies:
        found["units"] += 1
        found["failed_units"] += failed > 0
        found["slow_units"] += slow > 0
        found["tail_units"] += tail > 0
        found["requests"] += requests
        found["failed"] += failed
        found["slow"] += slow
        found["tail"] += tail
        found["request_squares"] += requests**2
        found["failed_squares"] += failed**2
        found["failed_products"] += failed * requests
        found["slow_squares"] += slow**2
        found["slow_products"] += slow * requests
    return found
