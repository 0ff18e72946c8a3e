"""All evidence on one case put together: what is let go, what stays, and what is refused.

Repeats come before recordings, recordings before reruns, and all three before links and shapes: a
value that two independent recordings agree on is checked, however much it looks like an identifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from evolution_lab.golden.comparison import as_text, at_pointer
from evolution_lab.golden.expected_trees import pointer
from evolution_lab.golden.links import Link, Path
from evolution_lab.golden.matchers import PATTERNS, json_type, matcher_of, of_type
from evolution_lab.golden.shapes import IDENTITY_WORDS, Shape, shape_of, words_of
from evolution_lab.golden.suite import EvidenceKind, Refusal
from evolution_lab.golden.volatile import Exchange, Finding, KnownIds, Place, find_changing
from evolution_lab.golden.volatile_pairs import (
    Changes,
    Observed,
    find_changes,
    is_bare_type,
    matcher_for,
    refuse_over_broad,
)

_MOST_VALUES: Final = 64
_TWO_DAYS: Final = 172_800.0
_CLOCKS: Final = frozenset({"time", "date", "epoch", "http date"})
_WORDS: Final[Mapping[EvidenceKind, str]] = {
    "replicates": "repeats of the request",
    "recordings": "recordings",
    "reruns": "reruns",
}

PlacePattern = tuple[str, str, str]
"""Operation, outcome, and a JSON Pointer with ``*`` for indices."""


@dataclass(frozen=True)
class Alternatives:
    """Other answers to the calls of a case, of one kind of evidence.

    Attributes:
        kind: Which evidence they are.
        runs: Each run of the case: its steps.
    """

    kind: EvidenceKind
    runs: Sequence[Sequence[Exchange]]


@dataclass
class PlaceKnowledge:
    """What was seen to change at the same place of other cases of an operation."""

    values: dict[PlacePattern, list[Any]] = field(default_factory=dict)
    evidence: dict[PlacePattern, EvidenceKind] = field(default_factory=dict)
    unordered: set[PlacePattern] = field(default_factory=set)

    def learn(self, where: PlacePattern, values: Iterable[Any], kind: EvidenceKind) -> None:
        """Take in values seen to change at a place."""
        held = self.values.setdefault(where, [])
        held.extend(list(values)[: _MOST_VALUES - len(held)])
        self.evidence.setdefault(where, kind)


@dataclass(frozen=True)
class Verdict:
    """What is known of the changes of one case.

    Attributes:
        findings: What is let go, or changes with what is sent.
        loose: Arrays without an order, by step.
        refusals: What changes and is checked all the same.
    """

    findings: dict[Place, Finding]
    loose: dict[int, set[Path]]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True)
class Subject:
    """One case under judgement.

    Attributes:
        steps: Operation and outcome of each step.
        exchanges: What was sent and came back, by step.
        alternatives: Other answers, strongest evidence first.
    """

    steps: tuple[tuple[str, str], ...]
    exchanges: tuple[Exchange, ...]
    alternatives: tuple[Alternatives, ...] = ()


def place_pattern(step: tuple[str, str], path: Path) -> PlacePattern:
    """Return where a value stands in any answer of an operation: indices do not count."""
    starred = tuple("*" if isinstance(key, int) else key for key in path)
    return (*step, pointer(starred))


def changes_of(subject: Subject) -> list[tuple[int, EvidenceKind, Changes]]:
    """Compare the answers of a case with every other run of it, by step and kind of evidence."""
    found = []
    for alternatives in subject.alternatives:
        for step, exchange in enumerate(subject.exchanges):
            others = [
                Observed(run[step].sent, run[step].output)
                for run in alternatives.runs
                if step < len(run)
            ]
            if not others:
                continue
            recorded = Observed(exchange.sent, exchange.output)
            if alternatives.kind == "reruns" and len(others) > 1:
                changes = _changes_of_reruns(recorded, others)
            else:
                changes = find_changes(recorded, others)
            if alternatives.kind == "replicates":
                leaves = exchange.leaves
                names = {leaf.path: leaf.name for leaf in leaves}
                refuse_over_broad(changes, names, leaves=len(leaves))
            found.append((step, alternatives.kind, changes))
    return found


def _changes_of_reruns(recorded: Observed, reruns: Sequence[Observed]) -> Changes:
    """Return what changes between reruns; what they agree on and was recorded otherwise does not.

    A stock level that is another one today is no value that changes from run to run: the case is
    not reproduced, and set aside.
    """
    changes = find_changes(reruns[0], reruns[1:])
    for path, values in changes.values.items():
        value = at_pointer(recorded.output, pointer(path))
        if value is not None:
            values.append(value)
    changes.equal = {
        path
        for path in changes.equal
        if at_pointer(recorded.output, pointer(path)) == at_pointer(reruns[0].output, pointer(path))
    }
    return changes


def learn_places(
    subject: Subject, changes: Iterable[tuple[int, EvidenceKind, Changes]], places: PlaceKnowledge
) -> None:
    """Take what changed in one case into what is known of its operation."""
    for step, kind, found in changes:
        for path, values in found.values.items():
            places.learn(place_pattern(subject.steps[step], path), values, kind)
        for path in found.unordered:
            places.unordered.add(place_pattern(subject.steps[step], path))


def judge(
    subject: Subject,
    changes: Sequence[tuple[int, EvidenceKind, Changes]],
    known: KnownIds,
    places: PlaceKnowledge,
    *,
    float_tolerance: float = 0.0,
) -> Verdict:
    """Return what is let go in one case, what is refused, and on what evidence."""
    return _Judgement(subject, changes, known, places, float_tolerance).verdict()


class _Judgement:
    def __init__(
        self,
        subject: Subject,
        changes: Sequence[tuple[int, EvidenceKind, Changes]],
        known: KnownIds,
        places: PlaceKnowledge,
        float_tolerance: float,
    ) -> None:
        self.subject = subject
        self.changes = changes
        self.known = known
        self.places = places
        self.float_tolerance = float_tolerance
        self.values: dict[Place, tuple[EvidenceKind, list[Any]]] = {}
        self.equal: set[Place] = set()
        self.loose: dict[int, set[Path]] = {}
        self.refusals: dict[tuple[int, str], Refusal] = {}
        for step, kind, found in changes:
            self.take(step, kind, found)

    def take(self, step: int, kind: EvidenceKind, found: Changes) -> None:
        for path, values in found.values.items():
            held = self.values.setdefault((step, path), (kind, []))
            held[1].extend(values)
        if kind != "replicates":
            self.equal.update((step, path) for path in found.equal)
        self.loose.setdefault(step, set()).update(found.unordered)
        for path, (reason, words) in found.refused.items():
            where = pointer(path)
            self.refusals[step, where] = Refusal(
                step=step, path=where, reason=reason, detail=f"{_WORDS[kind]}: {words}"
            )

    def verdict(self) -> Verdict:
        shapes = {place: self.seen_shape(place) for place in self.values}
        seen = {place: shape for place, shape in shapes.items() if shape.identity}
        findings = find_changing(self.subject.exchanges, self.known, seen)
        original = dict(findings)
        again = self.other_links(seen)
        for place in [p for p in findings if p in self.equal and self.stays(p, findings[p])]:
            del findings[place]
        for place in sorted(self.values, key=lambda p: (p[0], pointer(p[1]))):
            self.decide(place, findings, original, again)
        self.unlink(findings)
        self.take_places(findings)
        self.take_stand_ins(findings)
        refusals = tuple(self.refusals[key] for key in sorted(self.refusals))
        return Verdict(findings, self.loose, refusals)

    def seen_shape(self, place: Place) -> Shape:
        """A value seen to change, and whether it is distinctive enough for others to be built of it."""
        kind, values = self.values[place]
        name = _name(place[1])
        tree = matcher_for(name, values, float_tolerance=self.float_tolerance)
        words = words_of(name)
        telling = bool(words) and words[-1] in IDENTITY_WORDS
        shaped = matcher_of(tree) == "pattern" or matcher_of(tree) in PATTERNS
        described = f"value that changes between {_WORDS[kind]}"
        return Shape(described, tree, changes=True, identity=telling or shaped)

    def other_links(self, seen: Mapping[Place, Shape]) -> list[dict[Place, Finding]]:
        """What the other runs' values are made of, to see whether links hold there too."""
        if not seen:
            return []
        runs = [run for alternatives in self.subject.alternatives for run in alternatives.runs]
        return [find_changing(run, self.known, seen) for run in runs[:8]]

    def stays(self, place: Place, finding: Finding) -> bool:
        """Whether a value that all recordings agree on is checked: all but the day's date."""
        step, path = place
        if self.seen_elsewhere_plain(place):
            return False
        value = at_pointer(self.subject.exchanges[step].output, pointer(path))
        near = self.subject.exchanges[step].at
        if finding.link is not None or near is None:
            return True
        shape = shape_of(_name(path), value, near=near)
        clock = shape is not None and shape.kind in _CLOCKS
        return not (clock and shape_of("", value, near=near) is not None and _is_near(value, near))

    def seen_elsewhere_plain(self, place: Place) -> bool:
        """Whether a value of no shape changes at this place in other cases: equal by chance here."""
        step, path = place
        values = self.places.values.get(place_pattern(self.subject.steps[step], path))
        if not values:
            return False
        return not all(shape_of(_name(path), v) is not None for v in values if v is not None)

    def decide(
        self,
        place: Place,
        findings: dict[Place, Finding],
        original: Mapping[Place, Finding],
        again: Sequence[Mapping[Place, Finding]],
    ) -> None:
        kind, values = self.values[place]
        step, path = place
        words = f"{_distinct(values)} values in {len(values)} {_WORDS[kind]}"
        finding = findings.get(place)
        if finding is not None and again and _same_making(place, [original, *again]):
            if not finding.through_input:
                detail = f"{finding.detail}; {words}"
                findings[place] = replace(finding, evidence=kind, detail=detail)
            return
        tree = matcher_for(_name(path), values, float_tolerance=self.float_tolerance)
        if not path and is_bare_type(tree):
            findings.pop(place, None)
            self.refusals[step, ""] = Refusal(
                step=step,
                path="",
                reason="root-value",
                detail=f"{words}; nothing but its type would be left to check",
            )
            return
        findings[place] = Finding(
            matcher=tree,
            evidence=kind,
            detail=words,
            base=None if finding is None else finding.base,
        )

    def unlink(self, findings: dict[Place, Finding]) -> None:
        """Drop links between places that are equal here and differ in another run."""
        together: dict[str, list[Place]] = {}
        for place, finding in findings.items():
            if finding.base is not None:
                together.setdefault(finding.base, []).append(place)
        runs = [run for alternatives in self.subject.alternatives for run in alternatives.runs]
        for places in together.values():
            if len(places) < 2 or not any(place in self.values for place in places):
                continue
            for run in runs:
                came = [at_pointer(run[s].output, pointer(p)) for s, p in places if s < len(run)]
                if any(value != came[0] for value in came[1:]):
                    for place in places:
                        findings[place] = replace(findings[place], base=None)
                    break

    def take_places(self, findings: dict[Place, Finding]) -> None:
        """Let go what changes at the same place of other cases, unless both runs agree here."""
        if not self.places.values and not self.places.unordered:
            return
        for step, exchange in enumerate(self.subject.exchanges):
            for leaf in exchange.leaves:
                place = (step, leaf.path)
                if place in findings or leaf.value is None or not leaf.path:
                    continue
                where = place_pattern(self.subject.steps[step], leaf.path)
                values = self.places.values.get(where)
                if values is None or (place in self.equal and not self.seen_elsewhere_plain(place)):
                    continue
                if json_type(leaf.value) not in {json_type(v) for v in values}:
                    continue
                tree = matcher_for(
                    leaf.name, [leaf.value, *values], float_tolerance=self.float_tolerance
                )
                kind = self.places.evidence[where]
                findings[place] = Finding(
                    matcher=tree,
                    evidence=kind,
                    detail=f"changes at this place between {_WORDS[kind]} of other cases",
                )
            self.loosen(step, exchange.output, ())

    def take_stand_ins(self, findings: dict[Place, Finding]) -> None:
        """Let go what was replaced where it was recorded, unless it repeats what is sent."""
        sent: set[str] = set()
        for step, exchange in enumerate(self.subject.exchanges):
            sent |= exchange.sent_texts
            if not exchange.stand_ins:
                continue
            for leaf in exchange.leaves:
                place = (step, leaf.path)
                if place in findings or pointer(leaf.path) not in exchange.stand_ins:
                    continue
                if as_text(leaf.value) in sent:
                    continue  # what stands in is sent, and comes back
                findings[place] = Finding(
                    matcher=of_type(json_type(leaf.value)),
                    evidence="sanitised",
                    detail="something stands in for what was recorded",
                )

    def loosen(self, step: int, value: Any, path: Path) -> None:
        if isinstance(value, Mapping):
            for key in value:
                self.loosen(step, value[key], (*path, str(key)))
        elif isinstance(value, list | tuple):
            if place_pattern(self.subject.steps[step], path) in self.places.unordered:
                self.loose.setdefault(step, set()).add(path)
            for index, item in enumerate(value):
                self.loosen(step, item, (*path, index))


def _name(path: Path) -> str:
    return next((key for key in reversed(path) if isinstance(key, str)), "")


def _is_near(value: Any, near: datetime) -> bool:
    """Whether a time is that of the recording's day, as far as it can be read."""
    if isinstance(value, int | float):
        seconds = value / 1000 if value > 1e11 else value
        return bool(abs(seconds - near.timestamp()) < _TWO_DAYS)
    try:
        read = datetime.fromisoformat(str(value))
    except ValueError:
        return True
    zoned = read if read.tzinfo else read.replace(tzinfo=UTC)
    return abs(zoned.timestamp() - near.timestamp()) < _TWO_DAYS


def _distinct(values: Sequence[Any]) -> int:
    return len({(json_type(v), v) for v in values})


def _same_making(place: Place, runs: Sequence[Mapping[Place, Finding]]) -> bool:
    """Whether a text is made alike in all runs: same words around values of the same places."""
    links = []
    for run in runs:
        finding = run.get(place)
        if finding is None or finding.link is None:
            return False
        links.append((finding.link, finding.through_input))
    if len({(link.encoding, sent, _skeleton(link)) for link, sent in links}) > 1:
        return False
    for index, part in enumerate(links[0][0].parts):
        if isinstance(part, str) or not part.base:
            continue
        sources = [
            {p for p, f in run.items() if f.base is not None and f.base == _text(link, index)}
            for run, (link, _) in zip(runs, links, strict=True)
        ]
        if any(sources) and not set.intersection(*sources):
            return False
    return True


def _text(link: Link, index: int) -> str:
    part = link.parts[index]
    return part if isinstance(part, str) else part.text


def _skeleton(link: Link) -> tuple[str | bool, ...]:
    return tuple(part if isinstance(part, str) else part.base for part in link.parts)
