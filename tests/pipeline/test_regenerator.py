"""Proposals open by themselves; what is decided reaches every destination, whatever dies on the way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal as signals
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evolution_lab.approval import DuckDBSpecSuggestionRepository, SpecSuggestionOrchestrator
from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import ConfigError
from evolution_lab.export import FileSystemSuggestionWriter
from evolution_lab.pipeline import (
    CallableHook,
    DirectoryDestination,
    EvolutionPipeline,
    GitBranchDestination,
    Regenerator,
    SuggestionEvent,
    WebhookDestination,
)
from evolution_lab.pipeline.suggestion_events import events_of
from evolution_lab.records import (
    EvidenceItem,
    OperationRef,
    Proposal,
    SpecSuggestion,
    Target,
    TelemetrySample,
)
from evolution_lab.suggestions import suggestion_id

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def suggested(code: str = "E1", **changes: Any) -> SpecSuggestion:
    target = Target(operation=OperationRef("POST /orders", service="shop"), path=f"/errors/{code}")
    ask = {"declare-error": code}
    made = SpecSuggestion(
        id=suggestion_id(target, "revision", ask),
        intent="error-spike",
        target=target,
        proposal=Proposal(
            summary=f"Declare {code}.",
            rationale="Errors rose.",
            change_type="revision",
            spec={"errors": {code: {"when": "…"}}},
            metadata={"ask": ask, "strength": 0.1},
        ),
        confidence=None,
        risk=0.2,
        created_at=datetime(2026, 3, 2, 10, tzinfo=UTC),
        evidence=(EvidenceItem(description="Errors rose.", data={"signalId": "s-1"}),),
        priority="high",
    )
    return replace(made, **changes)


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def orchestrator(tmp_path: Path, clock: Clock) -> SpecSuggestionOrchestrator:
    repository = DuckDBSpecSuggestionRepository(tmp_path / "data")
    return SpecSuggestionOrchestrator(repository, clock=clock)


@pytest.fixture
def regenerator(orchestrator, clock, tmp_path) -> Callable[..., Regenerator]:
    def make(*destinations: Any, **options: Any) -> Regenerator:
        return Regenerator(orchestrator, tmp_path / "data", destinations, clock=clock, **options)

    return make


def hook(told: list[SuggestionEvent], name: str = "hook:told", **options: Any) -> CallableHook:
    return CallableHook(function=told.append, name=name, **options)


def test_every_event_is_told_once_in_its_order(regenerator, orchestrator):
    told: list[SuggestionEvent] = []
    loop = regenerator(hook(told))
    loop.submit([suggested()])
    assert loop.deliver().delivered == 1
    orchestrator.approve(suggested().id, reviewer="ada")
    orchestrator.reopen(suggested().id, reviewer="ben", why="too early")
    orchestrator.reject(suggested().id, reviewer="ben", notes="no")
    assert loop.deliver().delivered == 3
    assert [event.type for event in told] == [
        "suggestion.proposed",
        "suggestion.approved",
        "suggestion.withdrawn",
        "suggestion.rejected",
    ]
    assert len({event.key for event in told}) == 4
    assert loop.deliver().delivered == 0
    assert loop.outbox()["hook:told"].delivered == 4


def test_the_first_of_two_approvals_is_no_approval(tmp_path, clock):
    repository = DuckDBSpecSuggestionRepository(tmp_path / "data")
    config = EvolutionConfig(required_approvals=2)
    orchestrator = SpecSuggestionOrchestrator(repository, config=config, clock=clock)
    told: list[SuggestionEvent] = []
    loop = Regenerator(orchestrator, tmp_path / "data", [hook(told)], clock=clock)
    loop.submit([suggested()])
    orchestrator.approve(suggested().id, reviewer="ada")
    loop.deliver()
    orchestrator.approve(suggested().id, reviewer="ben")
    loop.deliver()
    types = [event.type for event in told if event.decision is not None]
    assert types == ["suggestion.seconded", "suggestion.approved"]


def test_what_fails_is_told_again_later_and_holds_up_nobody_else(regenerator, clock):
    told: list[SuggestionEvent] = []
    attempts: list[str] = []

    def failing(event: SuggestionEvent) -> None:
        attempts.append(event.key)
        if len(attempts) < 3:
            raise OSError("no network")

    loop = regenerator(CallableHook(function=failing, name="hook:failing"), hook(told))
    loop.submit([suggested()])
    first = loop.deliver()
    assert (first.delivered, first.failed) == (1, 1)
    assert loop.outbox()["hook:failing"].last_error == "OSError: no network"
    assert loop.deliver().failed == 0  # Not yet.
    for wait in (5, 10):
        clock.now += timedelta(seconds=wait)
        loop.deliver()
    assert len(attempts) == 3
    assert len(set(attempts)) == 1
    assert loop.outbox()["hook:failing"].waiting == 0
    assert len(told) == 1


def test_async_functions_are_hooks_and_hooks_need_a_lasting_name(regenerator):
    told: list[SuggestionEvent] = []

    async def tell(event: SuggestionEvent) -> None:
        told.append(event)

    loop = regenerator(CallableHook(function=tell, name="hook:async"))
    loop.submit([suggested()])
    assert loop.deliver().delivered == 1
    assert told
    with pytest.raises(ConfigError, match="no lasting name"):
        regenerator(lambda _: None)
    with pytest.raises(ConfigError, match="named twice"):
        regenerator(hook(told), hook(told))


def files(folder: Path) -> dict[str, str]:
    return {p.name: json.loads(p.read_text())["status"] for p in folder.glob("*.suggestion.json")}


def test_a_directory_holds_what_is_approved_as_it_stands(regenerator, orchestrator, tmp_path):
    folder = tmp_path / "generated"
    loop = regenerator(DirectoryDestination(FileSystemSuggestionWriter(folder)))
    loop.submit([suggested("E1"), suggested("E2")])
    orchestrator.approve(suggested("E1").id, reviewer="ada")
    orchestrator.reject(suggested("E2").id, reviewer="ada", notes="no")
    loop.deliver()
    assert list(files(folder).values()) == ["approved"]
    orchestrator.reopen(suggested("E1").id, reviewer="ada", why="too early")
    loop.deliver()
    assert list(files(folder).values()) == ["withdrawn"]
    orchestrator.approve(suggested("E1").id, reviewer="ben")
    loop.deliver()
    assert list(files(folder).values()) == ["approved"]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=True)
    return done.stdout.decode()


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.com")
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "README").write_text("Here.\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder


def test_a_branch_gets_one_commit_a_decision(regenerator, orchestrator, repo):
    branch = GitBranchDestination(repository=repo)
    loop = regenerator(branch)
    hostile = "Nice\n\nDecided-by: mallory"
    loop.submit([suggested("E1"), suggested("E2")])
    orchestrator.approve(suggested("E1").id, reviewer="ada", notes=hostile)
    orchestrator.approve(suggested("E2").id, reviewer="ben")
    loop.deliver()
    subjects = git(repo, "log", "--format=%s", "--reverse", f"main..{branch.branch}").splitlines()
    assert subjects == ["Approve: Declare E1.", "Approve: Declare E2."]
    who = "--format=%(trailers:key=Decided-by,valueonly)"
    assert git(repo, "log", who, f"main..{branch.branch}").split() == ["ben", "ada"]
    assert git(repo, "status", "--porcelain") == ""
    orchestrator.reopen(suggested("E2").id, reviewer="ada", why="too early")
    loop.deliver()
    name = git(repo, "ls-tree", "-r", "--name-only", branch.branch).splitlines()
    shown = [json.loads(git(repo, "show", f"{branch.branch}:{n}")) for n in name if n != "README"]
    assert sorted(each["status"] for each in shown) == ["approved", "withdrawn"]
    # Told anew by an outbox that has forgotten: nothing is committed twice.
    before = git(repo, "rev-parse", branch.branch)
    other = replace(branch, repository=repo / ".")
    for event in [*_events(orchestrator)]:
        if other.wants(event):
            other.deliver(event, orchestrator.get(event.suggestion.id))
    assert git(repo, "rev-parse", branch.branch) == before


def _events(orchestrator: SpecSuggestionOrchestrator) -> Iterator[SuggestionEvent]:
    for kept in orchestrator.list():
        yield from (e for e in events_of(kept) if e.type == "suggestion.approved")


def test_a_branch_that_is_checked_out_is_left_alone(regenerator, orchestrator, repo):
    git(repo, "checkout", "-q", "-b", "evolution-lab/suggestions")
    loop = regenerator(GitBranchDestination(repository=repo))
    loop.submit([suggested()])
    orchestrator.approve(suggested().id, reviewer="ada")
    assert loop.deliver().failed == 1
    (counts,) = loop.outbox().values()
    assert "is checked out" in str(counts.last_error)
    with pytest.raises(ConfigError, match="must be a git repository"):
        GitBranchDestination(repository=repo.parent)


@dataclass
class Received:
    answers: list[int]
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[tuple[str, Received]]:
    """A real server on loopback that answers what it is told, then 200; 0 is no answer in time."""
    received = Received([])
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            code = received.answers.pop(0) if received.answers else 200
            if code == 0:
                ended.wait(20)
                self.close_connection = True
                return
            self.send_response(code)
            if code == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_is_told_until_it_says_yes(regenerator, clock, receiver):
    url, received = receiver
    received.answers = [500, 0, 302, 429]
    loop = regenerator(
        WebhookDestination(url=url, secret="s3cret", clock=clock, timeout_seconds=0.5)
    )
    loop.submit([suggested()])
    said = []
    for _ in range(5):
        loop.deliver()
        (counts,) = loop.outbox().values()
        said.append(str(counts.last_error).removeprefix(loop.destinations[0].name).strip(": "))
        clock.now += timedelta(hours=1)
    wanted = "must be 200 to 299."
    assert said == [
        f"answered 500, {wanted}",
        "TimeoutError.",
        f"answered 302, {wanted}",
        f"answered 429, {wanted}",
        "None",
    ]
    assert (counts.delivered, counts.waiting) == (1, 0)
    keys = {headers["idempotency-key"] for headers, _ in received.got}
    assert len(received.got) == 5
    assert len(keys) == 1
    bodies = {body for _, body in received.got}
    assert len(bodies) == 1
    headers, body = received.got[-1]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.digest(b"s3cret", signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    assert json.loads(body)["type"] == "suggestion.proposed"


def test_a_webhook_nobody_answers_is_kept_and_its_address_told_nowhere(regenerator, clock):
    loop = regenerator(WebhookDestination(url="http://127.0.0.1:9/T0/secret", clock=clock))
    loop.submit([suggested()])
    assert loop.deliver().failed == 1
    ((name, counts),) = loop.outbox().items()
    assert "secret" not in f"{name}{counts.last_error}{loop!r}"
    with pytest.raises(ConfigError, match="must be 'https' or 'http'"):
        WebhookDestination(url="file:///etc/passwd")


def test_a_pipelines_signals_become_proposals_by_themselves(regenerator, orchestrator):
    start = datetime(2025, 3, 4, 9, tzinfo=UTC)
    pipeline = EvolutionPipeline(config=EvolutionConfig(window=MINUTE), clock=lambda: start)
    told: list[SuggestionEvent] = []
    loop = regenerator(hook(told))
    loop.listen(pipeline)
    for minute in range(60):
        bad = 40 <= minute < 50
        for n in range(100):
            pipeline.ingest(
                TelemetrySample(
                    operation=OperationRef("POST /orders", service="shop"),
                    timestamp=start + minute * MINUTE + timedelta(milliseconds=500 * n),
                    duration_ns=5_000_000 + 1000 * n,
                    success=not (bad and n % 2),
                    error_code="CARD_DECLINED" if bad and n % 2 else None,
                )
            )
        if minute >= 40 and minute % 4 == 3:  # A run reads all that came since the last.
            pipeline.run(start + (minute + 1) * MINUTE + timedelta(seconds=30))
    loop.deliver()
    pending = orchestrator.list("pending")
    assert len(pending) == 1
    assert pending[0].intent == "error-spike"
    assert {event.type for event in told} <= {"suggestion.proposed", "suggestion.revised"}
    assert told
    assert loop.counters.outcomes["added"] == 1
    assert loop.counters.outcomes["revised"] >= 1


def test_the_thread_delivers_and_ends(regenerator):
    told: list[SuggestionEvent] = []
    done = threading.Event()

    def tell(event: SuggestionEvent) -> None:
        told.append(event)
        done.set()

    with regenerator(CallableHook(function=tell, name="hook:thread")) as loop:
        loop.start(timedelta(milliseconds=20))
        loop.submit([suggested()])
        assert done.wait(20)
    assert len(told) == 1


# What a process does that is killed on the way: at the named call, by itself, with SIGKILL.
KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    import evolution_lab.approval.orchestrator as orchestrator
    import evolution_lab.export.envelopes as envelopes
    import evolution_lab.pipeline.git_branch as git_branch
    from evolution_lab.pipeline import *
    from evolution_lab.pipeline.outbox import Outbox
    from evolution_lab.approval import *
    from evolution_lab.export import FileSystemSuggestionWriter

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    data, out, repo, point, which = sys.argv[1:]
    kept = SpecSuggestionOrchestrator(DuckDBSpecSuggestionRepository(Path(data)))
    where = (WebhookDestination(url=repo) if repo.startswith("http")
             else DirectoryDestination(FileSystemSuggestionWriter(Path(out))) if repo == "-"
             else GitBranchDestination(repository=Path(repo)))
    loop = Regenerator(kept, Path(data), [where])
    kept.approve(which, reviewer="ada")
    if point == "decided":
        die()
    if point == "put":
        Outbox.due = die
    if point == "writing":
        envelopes.os.fsync = die
    if point == "before the branch moves":
        git_branch.GitBranchDestination._refuse_checked_out = die
    if point == "told":
        Outbox.delivered = die
    loop.deliver()
    """
)


def run_killed(tmp_path: Path, repo: str, point: str, which: str) -> None:
    arguments = [str(tmp_path / "data"), str(tmp_path / "out"), repo, point, which]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signals.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize(
    "point",
    [
        "decided",
        pytest.param("put", marks=pytest.mark.slow),
        "writing",
        pytest.param("told", marks=pytest.mark.slow),
    ],
)
def test_killed_between_decision_and_envelope_there_is_one_envelope_after_a_restart(
    tmp_path, orchestrator, point
):
    orchestrator.submit(suggested())
    run_killed(tmp_path, "-", point, suggested().id)
    assert orchestrator.get(suggested().id).status == "approved"
    where = DirectoryDestination(FileSystemSuggestionWriter(tmp_path / "out"))
    assert Regenerator(orchestrator, tmp_path / "data", [where]).deliver().delivered == 1
    assert list(files(tmp_path / "out").values()) == ["approved"]
    assert Regenerator(orchestrator, tmp_path / "data", [where]).deliver().delivered == 0
    leftovers = [p.name for p in (tmp_path / "out").iterdir() if p.name.endswith(".tmp")]
    assert len(leftovers) <= (point == "writing")


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("decided", marks=pytest.mark.slow),
        "before the branch moves",
        pytest.param("told", marks=pytest.mark.slow),
    ],
)
def test_killed_between_decision_and_commit_there_is_one_commit_after_a_restart(
    tmp_path, orchestrator, repo, point
):
    orchestrator.submit(suggested())
    run_killed(tmp_path, str(repo), point, suggested().id)
    where = GitBranchDestination(repository=repo)
    assert Regenerator(orchestrator, tmp_path / "data", [where]).deliver().delivered == 1
    assert Regenerator(orchestrator, tmp_path / "data", [where]).deliver().delivered == 0
    log = git(repo, "log", "--format=%s", "main..evolution-lab/suggestions")
    assert log.splitlines() == ["Approve: Declare E1."]


def test_killed_after_a_webhook_the_receiver_knows_the_repeat_by_its_key(
    tmp_path, orchestrator, receiver
):
    url, received = receiver
    orchestrator.submit(suggested())
    run_killed(tmp_path, url, "told", suggested().id)
    Regenerator(orchestrator, tmp_path / "data", [WebhookDestination(url=url)]).deliver()
    first, second = received.got
    assert first[0]["idempotency-key"] == second[0]["idempotency-key"]
    assert first[1] == second[1]
    assert json.loads(first[1])["type"] == "suggestion.approved"
