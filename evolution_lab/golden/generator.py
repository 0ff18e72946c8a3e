"""`GoldenTestGenerator`: recorded traffic to a suite of golden cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from evolution_lab.errors import InputError, UnknownNameError
from evolution_lab.golden.cases import ERROR, Call, read_calls, readable_name, unique_ids
from evolution_lab.golden.expected_trees import Named, expected_tree, name_values, pointer
from evolution_lab.golden.matchers import Tree, ref
from evolution_lab.golden.power import response_power
from evolution_lab.golden.scenarios import Chain, chains_of, sent_tree
from evolution_lab.golden.selection import select
from evolution_lab.golden.suite import (
    ExpectedError,
    GoldenCase,
    GoldenStep,
    GoldenSuite,
    Quarantined,
    Refusal,
    Relaxation,
    SuiteSettings,
    canonical_json,
)
from evolution_lab.golden.suite_power import SuitePower
from evolution_lab.golden.volatile import Finding, KnownIds, Place
from evolution_lab.golden.volatile_evidence import (
    Alternatives,
    PlaceKnowledge,
    Subject,
    Verdict,
    changes_of,
    judge,
    learn_places,
)
from evolution_lab.golden.volatile_pairs import mask
from evolution_lab.records.traffic import TrafficSnapshot

Progress = Callable[[int, int], None]
Outputs = Sequence[Any]
"""What the steps of a case gave in one run."""


@dataclass(frozen=True)
class GoldenTestGenerator:
    """Turns recorded traffic into golden cases.

    Equal snapshots give an equal suite, in whatever order they come: ids, names and order follow
    from content.

    Attributes:
        budget: Most cases of one operation; None keeps all that differ. Failures with a status or
            code of their own are always kept, beyond the budget if need be.
        scenarios: Whether calls of one session whose values feed each other become one case.
        float_tolerance: Relative difference between repeats that counts as rounding.
        power_sites: Places of each case's answer at which each kind of wrong answer is tried, to say
            what share the suite would notice; 0 leaves that unsaid.

    Examples:
        >>> from datetime import UTC, datetime
        >>> from evolution_lab.records import OperationRef
        >>> paid = TrafficSnapshot(
        ...     id="1", operation=OperationRef("orders.pay"), input={"amount": 3}, success=True,
        ...     output={"id": "pay_8f3a2b1c9d0e", "url": "/payments/pay_8f3a2b1c9d0e"},
        ...     timestamp=datetime(2026, 1, 5, tzinfo=UTC),
        ... )
        >>> suite = GoldenTestGenerator().generate([paid])
        >>> suite.cases[0].steps[0].output["url"]["parts"][0]
        '/payments/'
        >>> [(r.path, r.evidence) for r in suite.cases[0].relaxations]
        [('/id', 'shape'), ('/url', 'link')]
    """

    budget: int | None = None
    scenarios: bool = True
    float_tolerance: float = 1e-9
    power_sites: int = 0

    def generate(
        self,
        snapshots: Iterable[TrafficSnapshot],
        *,
        operation: str | None = None,
        recordings: Sequence[Iterable[TrafficSnapshot]] = (),
        reruns: Mapping[str, Sequence[Outputs]] | None = None,
        reached: Mapping[str, Collection[tuple[str, int]]] | None = None,
        progress: Progress | None = None,
    ) -> GoldenSuite:
        """Return the suite of one operation.

        Args:
            snapshots: Recorded calls, sanitised; calls of other operations serve as steps of
                scenarios and as evidence.
            operation: Whose suite; may be left out where all snapshots have the same.
            recordings: Further recordings of the same traffic against the same system: what
                differs between them changes from run to run.
            reruns: By case id, what the steps of a case gave when it was run again.
            reached: By case id, files and lines it ran: reasons to keep it within a budget.
            progress: Called with operations done and in all.

        Raises:
            UnknownNameError: No snapshot is of the operation.
            InputError: No operation is named and the snapshots have several, or none.
        """
        calls, refused = read_calls(snapshots)
        names = sorted({call.operation for call in calls})
        if operation is None:
            if len(names) != 1:
                some = ", ".join(names[:5]) or "none"
                raise InputError(f"name the operation of the suite: the snapshots have {some}.")
            operation = names[0]
        elif operation not in names:
            raise UnknownNameError("operation", operation, names)
        suites = self._suites(
            calls, refused, [operation], recordings, reruns or {}, reached or {}, progress
        )
        return suites[operation]

    def generate_all(
        self,
        snapshots: Iterable[TrafficSnapshot],
        *,
        recordings: Sequence[Iterable[TrafficSnapshot]] = (),
        reruns: Mapping[str, Sequence[Outputs]] | None = None,
        reached: Mapping[str, Collection[tuple[str, int]]] | None = None,
        progress: Progress | None = None,
    ) -> dict[str, GoldenSuite]:
        """Return a suite for every operation of the snapshots, by name in sorted order."""
        calls, refused = read_calls(snapshots)
        names = sorted({call.operation for call in calls})
        return self._suites(
            calls, refused, names, recordings, reruns or {}, reached or {}, progress
        )

    def _suites(
        self,
        calls: Sequence[Call],
        refused: Sequence[Quarantined],
        operations: Sequence[str],
        recordings: Sequence[Iterable[TrafficSnapshot]],
        reruns: Mapping[str, Sequence[Outputs]],
        reached: Mapping[str, Collection[tuple[str, int]]],
        progress: Progress | None,
    ) -> dict[str, GoldenSuite]:
        others = [read_calls(recording)[0] for recording in recordings]
        known = KnownIds(call.exchange for group in (calls, *others) for call in group)
        groups = _groups(chains_of(calls, scenarios=self.scenarios))
        others_groups = [_groups(chains_of(o, scenarios=self.scenarios)) for o in others]
        ids = unique_ids({key: group[0].identity for key, group in groups.items()})
        pairs = [_paired(groups, other) for other in others_groups]
        subjects, changes = {}, {}
        places = PlaceKnowledge()
        wanted = set(operations)
        for key in sorted(groups):
            chain = groups[key][0]
            if chain.last.operation not in wanted:
                continue
            subject = _subject(
                chain,
                groups[key][1:],
                [p[key] for p in pairs if key in p],
                reruns.get(ids[key], ()),
            )
            subjects[key], changes[key] = subject, changes_of(subject)
            learn_places(subject, changes[key], places)
        keys: dict[str, list[str]] = {name: [] for name in operations}
        for key in sorted(subjects, key=lambda key: ids[key]):
            keys[groups[key][0].last.operation].append(key)
        counts = Counter(call.operation for call in calls)
        suites = {}
        for done, (name, own) in enumerate(keys.items()):
            chosen = select(
                [groups[key][0].last for key in own],
                budget=self.budget,
                reached=[reached.get(ids[key], ()) for key in own] if reached else (),
            )
            cases = {}
            for index, reasons in chosen.kept.items():
                key = own[index]
                verdict = judge(
                    subjects[key], changes[key], known, places, float_tolerance=self.float_tolerance
                )
                cases[key] = _case(ids[key], groups[key], verdict, reasons)
            outputs = {key: [c.snapshot.output for c in groups[key][0].calls] for key in cases}
            suites[name] = GoldenSuite(
                operation=name,
                cases=tuple(sorted(cases.values(), key=lambda case: (case.name, case.id))),
                quarantined=tuple(q for q in refused if q.name == name),
                settings=SuiteSettings(
                    budget=self.budget,
                    scenarios=self.scenarios,
                    float_tolerance=self.float_tolerance,
                ),
                snapshots=counts[name],
                lost=chosen.lost,
                power=self._power([(cases[key], outputs[key]) for key in sorted(cases)]),
            )
            if progress is not None:
                progress(done + 1, len(keys))
        return suites

    def _power(self, tried: Sequence[tuple[GoldenCase, Outputs]]) -> SuitePower | None:
        return response_power(tried, sites=self.power_sites) if self.power_sites else None


def _groups(chains: Iterable[Chain]) -> dict[str, list[Chain]]:
    """Equal cases together; the first of the commonest structure stands for them."""
    groups: dict[str, list[Chain]] = {}
    for chain in chains:
        groups.setdefault(chain.content, []).append(chain)
    for key, members in groups.items():
        if len(members) > 1:
            structures = [structure(c.last.snapshot.output) for c in members]
            counts = Counter(structures)
            best = max(counts.values())
            first = next(i for i, s in enumerate(structures) if counts[s] == best)
            groups[key] = [members[first], *members[:first], *members[first + 1 :]]
    return groups


def structure(value: Any) -> str:
    """Return one text for what a value is made of: its properties and types, arrays by element."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key!r}:{structure(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + "|".join(sorted({structure(item) for item in value})) + "]"
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "str"


def _paired(
    groups: Mapping[str, Sequence[Chain]], others: Mapping[str, Sequence[Chain]]
) -> dict[str, list[Chain]]:
    """Find each case's counterpart in another recording.

    First by what is sent, then, for what is left on both sides, by what is sent with identifiers
    and times masked, in order of time.
    """
    found = {key: list(others[key]) for key in groups.keys() & others.keys()}
    waiting: dict[str, list[Chain]] = {}
    for key in _by_time([k for k in others if k not in groups], others):
        waiting.setdefault(_masked(others[key][0]), []).append(others[key][0])
    for key in _by_time([k for k in groups if k not in others], groups):
        same = waiting.get(_masked(groups[key][0]))
        if same:
            found[key] = [same.pop(0)]
    return found


def _by_time(keys: Iterable[str], groups: Mapping[str, Sequence[Chain]]) -> list[str]:
    def when(key: str) -> tuple[datetime, str]:
        first = groups[key][0].last.snapshot
        return first.timestamp, first.id

    return sorted(keys, key=when)


def _masked(chain: Chain) -> str:
    return canonical_json(
        [[c.operation, _masked_input(c.snapshot.input), c.outcome] for c in chain.calls]
    )


def _masked_input(value: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(value.get("path"), str):
        pieces = [mask(piece, "id") for piece in value["path"].split("/")]
        return [pieces, {k: mask(v, str(k)) for k, v in value.items() if k != "path"}]
    return mask(value)


def _subject(
    chain: Chain,
    repeats: Sequence[Chain],
    recordings: Sequence[Sequence[Chain]],
    reruns: Sequence[Outputs],
) -> Subject:
    exchanges = tuple(call.exchange for call in chain.calls)
    alternatives: list[Alternatives] = []
    if repeats:
        runs = [[call.exchange for call in other.calls] for other in repeats]
        alternatives.append(Alternatives("replicates", runs))
    if recordings:
        runs = [[c.exchange for c in chains[0].calls] for chains in recordings]
        alternatives.append(Alternatives("recordings", runs))
    if reruns:
        runs = [
            [replace(exchanges[i], output=output) for i, output in enumerate(run[: len(exchanges)])]
            for run in reruns
        ]
        alternatives.append(Alternatives("reruns", runs))
    steps = tuple((call.operation, call.outcome) for call in chain.calls)
    return Subject(steps, exchanges, tuple(alternatives))


def _case(
    case_id: str, group: Sequence[Chain], verdict: Verdict, reasons: tuple[str, ...]
) -> GoldenCase:
    chain = group[0]
    findings = verdict.findings
    sent_later = {token for source in chain.sources for token in source}
    names = name_values(_with_sources(chain, findings), verdict.loose, sent_later)
    relaxations: list[Relaxation] = []
    steps = tuple(
        _step(index, call, chain, verdict, names, relaxations)
        for index, call in enumerate(chain.calls)
    )
    refusals = (*verdict.refusals, *_unresolved(chain, names))
    last = chain.last
    return GoldenCase(
        id=case_id,
        name=readable_name(last.operation, last.snapshot.input, last.outcome),
        outcome=last.outcome,
        steps=steps,
        relaxations=tuple(relaxations),
        refusals=refusals,
        snapshots=len(group),
        kept_for=reasons,
    )


def _with_sources(chain: Chain, findings: dict[Place, Finding]) -> dict[Place, Finding]:
    """Make sure that what later steps send can be named, however steady it looked."""
    for given in chain.sources:
        for token, source in given.items():
            place = (source.step, source.path)
            found = findings.get(place)
            if found is None or found.base is None or found.through_input:
                findings[place] = Finding(
                    matcher=found.matcher if found and found.matcher is not None else None,
                    evidence="link",
                    detail="sent by a later step",
                    base=token,
                )
    return findings


def _given(token: str, index: int, names: Mapping[str, Named]) -> bool:
    return token in names and names[token].place[0] < index


def _unresolved(chain: Chain, names: Mapping[str, Named]) -> list[Refusal]:
    """Identifiers a step sends that stand in an array without an order: which one, is a guess."""
    return [
        Refusal(
            step=index,
            path=pointer(source.path),
            reason="unresolved",
            detail=f"sent here, and given by step {source.step} in an array without an order",
        )
        for index, given in enumerate(chain.sources)
        for token, source in given.items()
        if not _given(token, index, names)
    ]


def _step(
    index: int,
    call: Call,
    chain: Chain,
    verdict: Verdict,
    names: Mapping[str, Named],
    relaxations: list[Relaxation],
) -> GoldenStep:
    snapshot = call.snapshot
    sent: Tree = call.sent
    if chain.sources and chain.sources[index]:
        sources = {t: s for t, s in chain.sources[index].items() if _given(t, index, names)}
        written = {t: ref(names[t].alias, names[t].check) for t in sources}
        sent = sent_tree(snapshot.input, sources, written)
    metadata: dict[str, str] = {"channel": snapshot.channel} if snapshot.channel else {}
    method = snapshot.metadata.get("method")
    if isinstance(method, str) and not call.operation.upper().startswith(f"{method.upper()} "):
        metadata["method"] = method.upper()
    loose = verdict.loose.get(index, set())
    came = call.exchange.output
    tree = expected_tree(index, came, verdict.findings, loose, names, relaxations)
    if snapshot.error is not None and snapshot.output is None:
        error = ExpectedError(
            name=snapshot.error.name, code=snapshot.error.code, message=tree[ERROR]
        )
        return GoldenStep(operation=call.operation, input=sent, metadata=metadata, error=error)
    return GoldenStep(operation=call.operation, input=sent, metadata=metadata, output=tree)
