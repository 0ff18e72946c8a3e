"""An experiment in GrowthBook's own form, evaluated as its SDKs evaluate it.

It shows that what ``experiment export`` writes means what we assign, and reads what a team that uses
GrowthBook already has. Rules and their order are those of its JavaScript SDK.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from evolution_lab.experiments.hashing import growthbook_hash
from evolution_lab.experiments.targeting import SavedGroups, matches

Range = tuple[float, float]
StickyDocuments = dict[str, dict[str, Any]]
"""Where units were put before, by ``attribute||value``: GrowthBook's sticky bucket documents."""

_WEIGHT_SLACK: Final = 0.01


@dataclass(frozen=True, kw_only=True)
class GrowthBookContext:
    """What an evaluation knows beside the experiment.

    Attributes:
        attributes: Of the unit.
        enabled: False puts nobody in any experiment.
        url: Of the page; ``?key=1`` forces a variation.
        forced: Variation by key of the experiment.
        qa_mode: Only forced variations are given.
        groups: Members of saved groups.
        parents: Values of the features that prerequisites name.
        sticky: Documents of earlier assignments; None where buckets are not sticky.
    """

    attributes: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    url: str = ""
    forced: Mapping[str, int] = field(default_factory=dict)
    qa_mode: bool = False
    groups: SavedGroups = field(default_factory=dict)
    parents: Mapping[str, Any] = field(default_factory=dict)
    sticky: StickyDocuments | None = None


@dataclass(frozen=True, kw_only=True)
class GrowthBookResult:
    """What an evaluation gives.

    Attributes:
        variation: The variation, counted from 0.
        in_experiment: Whether the unit takes part.
        hash_used: Whether its hash (or an earlier one, kept) decided.
        hash_attribute: Name of the attribute that was hashed.
        hash_value: Its value.
        bucket: Where the hash put it; None where it was not asked.
        sticky_used: Whether an earlier assignment decided.
    """

    variation: int
    in_experiment: bool
    hash_used: bool
    hash_attribute: str
    hash_value: str
    bucket: float | None = None
    sticky_used: bool = False


def equal_weights(variations: int) -> list[float]:
    """Return the same weight for each of several variations."""
    return [1 / variations] * variations if variations >= 1 else []


def bucket_ranges(
    variations: int, coverage: float = 1.0, weights: Sequence[float] | None = None
) -> list[Range]:
    """Return the range of buckets of each variation.

    Examples:
        >>> bucket_ranges(2, 0.5)
        [(0.0, 0.25), (0.5, 0.75)]
    """
    coverage = min(max(coverage, 0.0), 1.0)
    if weights is None or len(weights) != variations or abs(sum(weights) - 1) > _WEIGHT_SLACK:
        weights = equal_weights(variations)
    start, ranges = 0.0, []
    for weight in weights:
        ranges.append((start, start + coverage * weight))
        start += weight
    return ranges


def choose_variation(place: float, ranges: Sequence[Sequence[float]]) -> int:
    """Return the first variation whose range has a place, -1 for none."""
    return next((i for i, (start, end) in enumerate(ranges) if start <= place < end), -1)


def in_namespace(value: str, namespace: Sequence[Any]) -> bool:
    """Say whether a unit is in a namespace: its name, where its range starts and ends."""
    name, start, end = namespace
    place = growthbook_hash(f"__{name}", value, 1)
    return place is not None and start <= place < end


def evaluate(
    experiment: Mapping[str, Any], context: GrowthBookContext
) -> tuple[GrowthBookResult, StickyDocuments]:
    """Return what GrowthBook gives a unit, and its own sticky documents as they are afterwards.

    Examples:
        >>> found, _ = evaluate({"key": "my-test", "variations": [0, 1]},
        ...                     GrowthBookContext(attributes={"id": "1"}))
        >>> found.variation, found.in_experiment
        (1, True)
    """
    return _Evaluation(experiment, context).run()


class _Evaluation:
    def __init__(self, experiment: Mapping[str, Any], context: GrowthBookContext) -> None:
        self.experiment = experiment
        self.context = context
        self.key = str(experiment.get("key", ""))
        self.variations = len(experiment.get("variations", ()))
        own = {f"{name}||{_text(value)}" for name, value in context.attributes.items()}
        self.documents = {key: d for key, d in (context.sticky or {}).items() if key in own}
        self.is_sticky = context.sticky is not None and not experiment.get("disableStickyBucketing")
        self.attribute, self.value = self._hashed()

    def run(self) -> tuple[GrowthBookResult, StickyDocuments]:
        return self._result(), self.documents

    def _result(self) -> GrowthBookResult:
        experiment, context = self.experiment, self.context
        if self.variations < 2 or not context.enabled:
            return self._outside()
        for forced in (_from_query(self.key, context.url, self.variations), self._forced()):
            if forced is not None:
                return self._given(forced)
        inactive = experiment.get("active") is False or experiment.get("status") == "draft"
        if inactive or not self.value:
            return self._outside()
        kept, blocked = self._kept() if self.is_sticky else (None, False)
        if blocked or (kept is None and not self._is_meant()):
            return self._outside()
        place = growthbook_hash(
            str(experiment.get("seed") or self.key), self.value, experiment.get("hashVersion", 1)
        )
        if place is None:
            return self._outside()
        return self._placed(place, kept)

    def _placed(self, place: float, kept: int | None) -> GrowthBookResult:
        experiment, context = self.experiment, self.context
        assigned = choose_variation(place, self._ranges()) if kept is None else kept
        if assigned < 0:
            return self._outside()
        if "force" in experiment:
            return self._given(int(experiment["force"]))
        if context.qa_mode or experiment.get("status") == "stopped":
            return self._outside()
        if self.is_sticky:
            self._keep(assigned)
        return GrowthBookResult(
            variation=assigned,
            in_experiment=True,
            hash_used=True,
            hash_attribute=self.attribute,
            hash_value=self.value,
            bucket=place,
            sticky_used=kept is not None,
        )

    def _hashed(self) -> tuple[str, str]:
        attribute = str(self.experiment.get("hashAttribute") or "id")
        value = _text(self.context.attributes.get(attribute))
        fallback = self.experiment.get("fallbackAttribute")
        if not value and fallback and self.is_sticky:
            found = _text(self.context.attributes.get(str(fallback)))
            if found:
                return str(fallback), found
        return attribute, value

    def _outside(self) -> GrowthBookResult:
        return self._given(-1)

    def _given(self, variation: int) -> GrowthBookResult:
        inside = 0 <= variation < self.variations
        return GrowthBookResult(
            variation=variation if inside else 0,
            in_experiment=inside,
            hash_used=False,
            hash_attribute=self.attribute,
            hash_value=self.value,
        )

    def _forced(self) -> int | None:
        return self.context.forced.get(self.key)

    def _is_meant(self) -> bool:
        experiment, context = self.experiment, self.context
        if "filters" in experiment:
            if not all(self._passes(item) for item in experiment["filters"]):
                return False
        elif "namespace" in experiment and not in_namespace(self.value, experiment["namespace"]):
            return False
        condition = experiment.get("condition")
        if condition and not matches(condition, context.attributes, context.groups):
            return False
        return all(
            matches(parent["condition"], {"value": context.parents.get(parent["id"])})
            for parent in experiment.get("parentConditions", ())
        )

    def _passes(self, item: Mapping[str, Any]) -> bool:
        value = _text(self.context.attributes.get(str(item.get("attribute") or self.attribute)))
        if not value:
            return False
        place = growthbook_hash(str(item["seed"]), value, item.get("hashVersion", 2))
        return place is not None and choose_variation(place, item["ranges"]) >= 0

    def _ranges(self) -> Sequence[Sequence[float]]:
        ranges: Sequence[Sequence[float]] | None = self.experiment.get("ranges")
        if ranges is not None:
            return ranges
        coverage = float(self.experiment.get("coverage", 1.0))
        return bucket_ranges(self.variations, coverage, self.experiment.get("weights"))

    def _names(self) -> list[str]:
        meta = self.experiment.get("meta") or [{}] * self.variations
        return [str(item.get("key", index)) for index, item in enumerate(meta)]

    def _kept(self) -> tuple[int | None, bool]:
        """Return the variation kept from before, and whether an old version keeps the unit out."""
        kept: dict[str, str] = {}
        for name in (self.experiment.get("fallbackAttribute"), self._attribute_of_experiment()):
            value = _text(self.context.attributes.get(str(name)))
            kept.update(self.documents.get(f"{name}||{value}", {}).get("assignments", {}))
        oldest = int(self.experiment.get("minBucketVersion", 0))
        if any(f"{self.key}__{version}" in kept for version in range(oldest)):
            return None, True
        name = kept.get(self._sticky_key())
        names = self._names()
        return (names.index(name) if name in names else None), False

    def _attribute_of_experiment(self) -> str:
        return str(self.experiment.get("hashAttribute") or "id")

    def _sticky_key(self) -> str:
        return f"{self.key}__{self.experiment.get('bucketVersion', 0)}"

    def _keep(self, variation: int) -> None:
        key = f"{self.attribute}||{self.value}"
        before = self.documents.get(key, {}).get("assignments", {})
        self.documents[key] = {
            "attributeName": self.attribute,
            "attributeValue": self.value,
            "assignments": {**before, self._sticky_key(): self._names()[variation]},
        }


def _from_query(key: str, url: str, variations: int) -> int | None:
    """Return the variation that a page's address forces, None for none."""
    try:
        stated = parse_qs(urlsplit(url).query).get(key, [""])[0]
    except ValueError:
        return None
    return (
        int(stated) if stated.isascii() and stated.isdigit() and int(stated) < variations else None
    )


def _text(value: object) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return "true"
    return str(value)
