"""Golden tests of five small services: do they stay green, and do they go red when they should?

Flake: suites from two recordings, run again against fresh, unchanged services over real HTTP. Kill:
the same suites against services whose code was changed in one place, beside exact comparison in a
world whose clock and chance stand still, which is as much as any test of the same calls can notice.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from evolution_lab.bench.golden_volatile import two_recordings
from evolution_lab.bench.services import (
    DEVELOPED_ON,
    KEPT_FOR_JUDGING,
    FrozenWorld,
    RealWorld,
    served,
    served_by_node,
)
from evolution_lab.bench.services.traffic import asked, recording, sent
from evolution_lab.bench.services.world import Request, Response, Service, World
from evolution_lab.bench.targets import BenchReport, Peer, Target, share_interval
from evolution_lab.golden.code_mutants import code_mutants
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.runners import LoadedRunner, http_runner
from evolution_lab.golden.running import run_one
from evolution_lab.golden.suite import GoldenSuite
from evolution_lab.golden.suite_power import SuitePower, added
from evolution_lab.golden.verifying import proven_suites
from evolution_lab.records import TrafficSnapshot

_SECONDS: Final = 10.0
_SEED: Final = 4_711
_NOISE_NAMES: Final = (
    "id", "uuid", "timestamp", "createdat", "updatedat", "date", "time", "token", "requestid",
    "etag", "nonce", "traceid",
)  # fmt: skip
"""What lists of noisy names in recording tools begin with; matched against whole names."""


def service_module(name: str) -> ModuleType:
    """Return the module of a service."""
    return importlib.import_module(f"evolution_lab.bench.services.{name}")


def new_service(module: ModuleType, world: World) -> Service:
    """Return a service as it is after its start."""
    service: Service = module.Service(world)
    return service


def asking(base_url: str) -> tuple[Callable[[Request], Response], LoadedRunner]:
    """Return how to ask a served service: for the recording, and for the suite."""
    runner = http_runner(base_url)

    def call(request: Request) -> Response:
        answer = runner.run(sent(request), {"operation": request.method, "method": request.method})
        return answer["status"], answer["body"]

    def without_headers(value: Any, metadata: Mapping[str, Any]) -> Any:
        return {**runner.run(value, metadata), "headers": {}}

    return call, LoadedRunner(without_headers)


@dataclass(frozen=True)
class _Subject:
    """A service in one language, and how to start it."""

    name: str
    language: str
    start: Callable[[int], AbstractContextManager[str]]


def _subjects(names: Sequence[str]) -> list[_Subject]:
    found = []
    for name in names:

        def start(seed: int, name: str = name) -> AbstractContextManager[str]:
            return served(new_service(service_module(name), RealWorld(seed)))

        found.append(_Subject(name, "Python", start))
        if name in {"orders", "bookings"}:

            def start_node(seed: int, name: str = name) -> AbstractContextManager[str]:
                return served_by_node(name, seed)

            found.append(_Subject(name, "JavaScript", start_node))
    return found


def made_suites(
    subject: str,
    start: Callable[[int], AbstractContextManager[str]],
    *,
    sessions: int,
    sites: int = 0,
) -> tuple[list[list[TrafficSnapshot]], dict[str, GoldenSuite]]:
    """Return two recordings of a service and the suites made of them, each case verified once."""
    recordings = []
    for seed in (1, 2):
        with start(seed) as url:
            call, _ = asking(url)
            recordings.append(recording(subject, call, sessions=sessions, seed=_SEED))
    with start(3) as url:
        _, runner = asking(url)
        proven = proven_suites(
            GoldenTestGenerator(power_sites=sites),
            recordings[0],
            recordings=[recordings[1]],
            runner=runner,
            timeout_seconds=_SECONDS,
        )
    suites = {name: each.suite for name, each in proven.items()}
    return recordings, suites


def flake(*, quick: bool = False) -> BenchReport:
    """Measure how often a case goes red while nothing changes.

    Args:
        quick: 2 reruns of fewer cases instead of 20 reruns of a thousand.
    """
    return measured_flake(2, 120, least=200) if quick else measured_flake(20, 800)


def measured_flake(reruns: int, sessions: int, *, least: int = 1000) -> BenchReport:
    """Measure flake with a number of reruns, of cases from a number of sessions.

    Args:
        reruns: How often each case is run again.
        sessions: Sessions that are recorded of each service kept for judging.
        least: Cases that there should be.
    """
    rows: list[dict[str, Any]] = []
    for subject in _subjects((*KEPT_FOR_JUDGING, *DEVELOPED_ON)):
        judging = subject.name in KEPT_FOR_JUDGING
        recordings, suites = made_suites(
            subject.name, subject.start, sessions=sessions if judging else sessions // 4
        )
        cases = [(suite, case) for suite in suites.values() for case in suite.cases]
        aside = sum(len(suite.quarantined) for suite in suites.values())
        red: dict[str, int] = {}
        for rerun in range(reruns):
            with subject.start(100 + rerun) as url:
                _, runner = asking(url)
                for suite, case in cases:
                    result = run_one(suite.operation, case, runner, _SECONDS)
                    if result.verdict != "pass":
                        red[case.id] = red.get(case.id, 0) + 1
        rows.append(
            {
                "service": subject.name,
                "language": subject.language,
                "kept for judging": judging,
                "cases": len(cases),
                "runs": len(cases) * reruns,
                "flaky": len(red),
                "quarantined": aside,
                **_flaky_peers(recordings),
            }
        )
    judged = [row for row in rows if row["kept for judging"]]
    cases_judged = sum(row["cases"] for row in judged)
    flaky = sum(row["flaky"] for row in judged)
    aside = sum(row["quarantined"] for row in judged)
    peers = tuple(
        Peer(
            name=name,
            what="golden.flake",
            value=sum(row[key] * row["cases"] for row in judged) / max(cases_judged, 1),
            note="share of cases that differ between two recordings of the unchanged service",
        )
        for key, name in (("exact", "exact recording"), ("names", "list of noisy names"))
    )
    return BenchReport(
        targets=(
            Target(
                id="golden.flake",
                value=flaky / cases_judged,
                interval=share_interval(flaky, cases_judged),
                target=0.0,
                bound="at most",
                what=f"Share of {cases_judged:,} cases that went red in any of {reruns} reruns "
                "against unchanged services kept for judging, over HTTP.",
            ),
            Target(
                id="golden.flake.cases",
                value=cases_judged,
                target=least,
                bound="at least",
                what="Cases behind it.",
            ),
            Target(
                id="golden.quarantined",
                value=aside / (aside + cases_judged),
                interval=share_interval(aside, aside + cases_judged),
                target=0.02,
                bound="at most",
                what=f"Share of {aside + cases_judged:,} cases set aside.",
            ),
        ),
        peers=peers,
        tables={"Flake by service": tuple(rows)},
    )


def _flaky_peers(recordings: Sequence[Sequence[TrafficSnapshot]]) -> dict[str, float]:
    """Return the shares of calls whose answers differ, for exact comparison and for noisy names."""
    exact = names = 0
    for first, second in zip(*recordings, strict=True):
        exact += first.output != second.output
        names += _without_noise(first.output) != _without_noise(second.output)
    calls = len(recordings[0])
    return {"exact": exact / calls, "names": names / calls}


def _without_noise(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_noise(v) for k, v in value.items() if k.lower() not in _NOISE_NAMES}
    return [_without_noise(v) for v in value] if isinstance(value, list) else value


def pairs(*, quick: bool = False) -> BenchReport:
    """Measure how well two recordings tell changing values from steady ones, on services kept for it.

    Args:
        quick: Fewer calls and recordings.
    """
    sessions, times = (60, 4) if quick else (400, 12)
    report = BenchReport()
    for name in KEPT_FOR_JUDGING:
        module = service_module(name)
        recordings = []
        for seed in range(1, times + 1):
            service = new_service(module, RealWorld(seed))
            # a living service has answered others before: its counters stand elsewhere each time
            recording(name, service.call, sessions=50 * (seed - 1), seed=-seed)
            calls = recording(name, service.call, sessions=sessions, seed=_SEED)
            recordings.append(_steady(calls))
        report += two_recordings(name, recordings)
    return report


def _steady(snapshots: Sequence[TrafficSnapshot]) -> list[TrafficSnapshot]:
    """Return the first call of each session: what it sends does not depend on an answer."""
    seen: set[str] = set()
    found = []
    for snapshot in snapshots:
        session = str(snapshot.metadata["sessionId"])
        if session not in seen:
            seen.add(session)
            found.append(snapshot)
    return found


def code(*, quick: bool = False) -> BenchReport:
    """Measure what share of changes of code suites notice, of what exact comparison could notice.

    Args:
        quick: 25 changes of each service instead of 150.
    """
    return measured_code(25, 60, sites=2) if quick else measured_code(150, 200)


def measured_code(most: int, sessions: int, *, sites: int = 4) -> BenchReport:
    """Measure what share of changes of code is noticed.

    Args:
        most: Changes of each service.
        sessions: Sessions that are recorded of it.
        sites: Places of each answer at which wrong answers are tried.
    """
    rows: list[dict[str, Any]] = []
    powers: list[SuitePower] = []
    for name in (*DEVELOPED_ON, *KEPT_FOR_JUDGING):
        module = service_module(name)

        def start(seed: int, name: str = name) -> AbstractContextManager[str]:
            return served(new_service(service_module(name), RealWorld(seed)))

        _, suites = made_suites(name, start, sessions=sessions, sites=sites)
        powers += [
            s.power for s in suites.values() if s.power is not None and name in KEPT_FOR_JUDGING
        ]
        frozen = recording(
            name, new_service(module, FrozenWorld()).call, sessions=sessions, seed=_SEED
        )
        exact = ours = both = tried = 0
        for mutant in code_mutants(module, most=most, seed=_SEED):
            tried += 1
            by_exact = _differs(name, mutant, frozen)
            by_ours = _red(mutant, suites)
            exact += by_exact
            ours += by_ours
            both += by_exact and by_ours
        rows.append(
            {
                "service": name,
                "kept for judging": name in KEPT_FOR_JUDGING,
                "changes": tried,
                "exact": exact,
                "ours": ours,
                "of exact's": both,
            }
        )
    judged = [row for row in rows if row["kept for judging"]]
    noticed, could = sum(r["of exact's"] for r in judged), sum(r["exact"] for r in judged)
    power = added(powers)
    targets = [
        Target(
            id="golden.kill.code",
            value=noticed / could,
            interval=share_interval(noticed, could),
            target=0.95,
            bound="at least",
            what=f"Share noticed of {could} changes of code that exact comparison in a frozen world "
            "notices, services kept for judging.",
        )
    ]
    targets += [
        Target(
            id=f"golden.kill.services.{kind}",
            value=hit / n,
            interval=share_interval(hit, n),
            target=limit,
            bound="at least",
            what=f"Share of {n} {kind} changes of answers noticed, services kept for judging.",
        )
        for kind, limit, (hit, n) in (
            ("value", 0.98, power.values),
            ("structural", 0.99, power.structural),
        )
    ]
    return BenchReport(targets=tuple(targets), tables={"Changes of code, by service": tuple(rows)})


def _differs(name: str, mutant: ModuleType, frozen: Sequence[TrafficSnapshot]) -> bool:
    """Whether exact comparison in a frozen world notices a change, session by session."""
    sessions = len({each.metadata["sessionId"] for each in frozen})
    try:
        again = recording(
            name, _guarded(new_service(mutant, FrozenWorld())), sessions=sessions, seed=_SEED
        )
    except Exception:  # noqa: BLE001 - a service that fails is noticed by any client
        return True
    return [each.output for each in again] != [each.output for each in frozen]


def _guarded(service: Service) -> Callable[[Request], Response]:
    def call(request: Request) -> Response:
        try:
            return service.call(request)
        except Exception as error:  # noqa: BLE001 - what a server answers where its code fails
            return 500, {"error": type(error).__name__}

    return call


def _red(mutant: ModuleType, suites: Mapping[str, GoldenSuite]) -> bool:
    """Whether any case of a service's suites notices a change."""
    try:
        call = _guarded(new_service(mutant, RealWorld(77)))
    except Exception:  # noqa: BLE001 - a service that does not start is noticed
        return True

    def run(value: Any, metadata: Mapping[str, Any]) -> Any:
        status, body = call(asked(value, metadata))
        return {"status": status, "headers": {}, "body": body}

    runner = LoadedRunner(run)
    return any(
        run_one(suite.operation, case, runner, _SECONDS).verdict != "pass"
        for suite in suites.values()
        for case in suite.cases
    )
