"""Suites tried on the unchanged service before they are written.

Each case is run twice: what differs between the two runs changes from run to run, however equal it
was where it was recorded. What the service then does not reproduce is set aside with the reason. What
was found, and what people accepted since, is kept in the side file: generating again from the same
traffic writes the same bytes, without asking the service again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from evolution_lab.golden.code_power import code_power, reach_of
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.runners import LoadedRunner
from evolution_lab.golden.running import run_one, verify
from evolution_lab.golden.side_files import Accepted, SideFile
from evolution_lab.golden.suite import GoldenCase, GoldenSuite, Quarantined, canonical_json
from evolution_lab.golden.suite_power import added
from evolution_lab.records import TrafficSnapshot
from evolution_lab.records.json_form import to_plain

Progress = Callable[[int, int], None]

_RUNS: Final = 2
_ROUNDS: Final = 4
"""A step that is known to change lets the next one be reached: scenarios take a round a step."""


@dataclass(frozen=True, kw_only=True)
class ProvenSuite:
    """A suite and what is known of its cases.

    Attributes:
        suite: What is written.
        verified: By case id what the unchanged service said.
        basis: By case id a digest of what traffic alone made of the case.
        accepted: Changes of behaviour that hold for its cases, oldest first.
    """

    suite: GoldenSuite
    verified: Mapping[str, str] = field(default_factory=dict)
    basis: Mapping[str, str] = field(default_factory=dict)
    accepted: tuple[Accepted, ...] = ()


def proven_suites(
    generator: GoldenTestGenerator,
    snapshots: Iterable[TrafficSnapshot],
    *,
    operation: str | None = None,
    recordings: Sequence[Sequence[TrafficSnapshot]] = (),
    runner: LoadedRunner | None = None,
    earlier: Mapping[str, SideFile] | None = None,
    code_root: Path | None = None,
    timeout_seconds: float = 10.0,
    progress: Progress | None = None,
) -> dict[str, ProvenSuite]:
    """Generate suites, try them where a runner is given, and take over what is known already.

    Args:
        generator: Makes suites of traffic.
        snapshots: Recorded calls.
        operation: Only this operation's suite.
        recordings: Further recordings of the same traffic.
        runner: Calls the unchanged service; None leaves new cases untried.
        earlier: Side files of the suites as they are written now, by operation. A case whose
            traffic says what it said then stays as it is there.
        code_root: Folder of the user's own code, where the runner is Python and runs in this
            process: its code is changed place by place to say what each suite would notice.
        timeout_seconds: Most that one call may take.
        progress: Called with done and total.

    Raises:
        InputError: The runner cannot be reached; see ``GoldenTestGenerator`` for others.
        UnknownNameError: No snapshot is of the operation.
    """
    calls = list(snapshots)

    def made(reruns: Mapping[str, Sequence[Sequence[Any]]] | None = None) -> dict[str, GoldenSuite]:
        if operation is None:
            return generator.generate_all(calls, recordings=recordings, reruns=reruns)
        suite = generator.generate(calls, operation=operation, recordings=recordings, reruns=reruns)
        return {operation: suite}

    plain = made()
    known = dict(earlier or {})
    basis = {name: {c.id: digest_of(c) for c in suite.cases} for name, suite in plain.items()}
    held = {name: _held(basis[name], known.get(name)) for name in plain}
    suites = plain
    if runner is not None:
        suites = _rerun(plain, made, held, runner, timeout_seconds, progress)
    proven = {}
    for done, (name, suite) in enumerate(suites.items()):
        proven[name] = _proven(
            suite, basis[name], held[name], known.get(name), runner, timeout_seconds
        )
        if runner is not None and code_root is not None:
            proven[name] = _with_code_power(proven[name], runner, code_root, known.get(name))
        if progress is not None:
            progress(len(plain) + done + 1, 2 * len(plain))
    return proven


def _rerun(
    plain: dict[str, GoldenSuite],
    made: Callable[[dict[str, list[tuple[Any, ...]]]], dict[str, GoldenSuite]],
    held: Mapping[str, _Held],
    runner: LoadedRunner,
    timeout_seconds: float,
    progress: Progress | None,
) -> dict[str, GoldenSuite]:
    """Return suites that know what changes between runs; cases that are held are not run."""
    suites, reruns = plain, dict[str, list[tuple[Any, ...]]]()
    for _ in range(_ROUNDS):
        before = len(reruns)
        for done, (name, suite) in enumerate(suites.items()):
            known = held[name].said.keys() | reruns.keys()
            fresh = [case for case in suite.cases if case.id not in known]
            reruns.update(rerun_outputs(suite.operation, fresh, runner, timeout_seconds))
            if progress is not None and not before:
                progress(done + 1, 2 * len(plain))
        if len(reruns) == before:
            break
        suites = made(reruns)
    return suites


def _with_code_power(
    proven: ProvenSuite, runner: LoadedRunner, root: Path, side: SideFile | None
) -> ProvenSuite:
    """Add what the suite would notice of changes of code; what is known of the same cases stays."""
    suite = proven.suite
    before = None if side is None else side.suite
    if before is not None and before.cases == suite.cases and before.power is not None:
        return replace(proven, suite=replace(suite, power=before.power))
    found = code_power(suite, runner, reach_of(suite, runner, root=root))
    power = found if suite.power is None else added([suite.power, found])
    return replace(proven, suite=replace(suite, power=power))


def rerun_outputs(
    operation: str,
    cases: Iterable[GoldenCase],
    runner: LoadedRunner,
    timeout_seconds: float = 10.0,
) -> dict[str, list[tuple[Any, ...]]]:
    """Run cases twice and return by id what their steps gave, of those that ran to their end.

    All cases are run once before any is run again, so that what counts has counted on.
    """
    listed = list(cases)
    found: dict[str, list[tuple[Any, ...]]] = {}
    for _ in range(_RUNS):
        for case in listed:
            result = run_one(operation, case, runner, timeout_seconds)
            if len(result.outputs) == len(case.steps) and result.verdict in {"pass", "drift"}:
                found.setdefault(case.id, []).append(result.outputs)
    return {key: runs for key, runs in found.items() if len(runs) == _RUNS}


def digest_of(case: GoldenCase) -> str:
    """Return a digest of a case: equal for the same traffic and the same generator."""
    return hashlib.sha256(canonical_json(to_plain(case)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Held:
    """What an earlier suite knows of cases whose traffic has not changed."""

    cases: dict[str, GoldenCase]
    aside: dict[str, Quarantined]
    said: dict[str, str]


def _held(basis: Mapping[str, str], side: SideFile | None) -> _Held:
    if side is None:
        return _Held({}, {}, {})
    same = {key for key, digest in basis.items() if side.basis.get(key) == digest}
    return _Held(
        {case.id: case for case in side.suite.cases if case.id in same},
        {each.id: each for each in side.suite.quarantined if each.id in same},
        {key: said for key, said in side.verified.items() if key in same},
    )


def _proven(
    suite: GoldenSuite,
    basis: Mapping[str, str],
    held: _Held,
    side: SideFile | None,
    runner: LoadedRunner | None,
    timeout_seconds: float,
) -> ProvenSuite:
    known = held.cases.keys() | held.aside.keys()
    fresh = replace(suite, cases=tuple(c for c in suite.cases if c.id not in known))
    said = dict(held.said)
    if runner is not None and fresh.cases:
        fresh, spoken = verify(fresh, runner, timeout_seconds=timeout_seconds)
        said |= spoken
    cases = (*fresh.cases, *(held.cases[c.id] for c in suite.cases if c.id in held.cases))
    aside = (*fresh.quarantined, *(held.aside[c.id] for c in suite.cases if c.id in held.aside))
    titles = {case.title for case in held.cases.values()}
    accepted = tuple(a for a in side.accepted if titles.intersection(a.cases)) if side else ()
    return ProvenSuite(
        suite=replace(
            suite,
            cases=tuple(sorted(cases, key=lambda case: (case.name, case.id))),
            quarantined=tuple(sorted(set(aside), key=lambda each: (each.name, each.id))),
        ),
        verified=dict(sorted(said.items())),
        basis=dict(sorted(basis.items())),
        accepted=accepted,
    )
