"""The page of the panel: in a real browser, and against requests it must refuse."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evolution_lab.approval import InMemorySpecSuggestionRepository, SpecSuggestionOrchestrator
from evolution_lab.cli import main
from evolution_lab.records import (
    OperationRef,
    SpecSuggestion,
    Target,
)
from evolution_lab.review.board import ReviewBoard
from evolution_lab.review.server import ReviewServer
from evolution_lab.review.widget import review_panel

Suggested = Callable[..., SpecSuggestion]
HOSTILE = "<img src=x onerror=document.title='hit'><script>document.title='hit'</script>"


def board_of(*suggestions: SpecSuggestion, reviewer: str = "kim") -> ReviewBoard:
    orchestrator = SpecSuggestionOrchestrator(InMemorySpecSuggestionRepository())
    with orchestrator.repository.transaction() as table:
        for each in suggestions:
            table.save(each, at=each.created_at)
    return ReviewBoard(orchestrator, reviewer=reviewer)


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    context = chromium.new_context()
    opened = context.new_page()
    opened.errors = []
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.on(
        "console",
        lambda said: opened.errors.append(said.text) if said.type == "error" else None,
    )
    yield opened
    context.close()


def test_a_person_approves_and_rejects_and_sees_the_history(
    suggestion: Suggested, page: Any
) -> None:
    board = board_of(*(suggestion(n) for n in range(1, 4)))
    with ReviewServer(board) as server:
        page.goto(server.url)
        page.locator("[data-id]").nth(2).wait_for()
        assert "token" not in page.url
        page.get_by_text("Limit items of op1", exact=True).first.click()
        page.get_by_role("heading", name="Limit items of op1").wait_for()
        page.get_by_role("button", name="Reject").click()
        page.get_by_role("alert").get_by_text("must say why").wait_for()
        page.get_by_label("Notes").fill("not worth it")
        page.get_by_role("button", name="Reject").click()
        page.get_by_text("rejected by kim, revision 1: not worth it").wait_for()
        page.get_by_text("Limit items of op2", exact=True).first.click()
        page.get_by_role("heading", name="Limit items of op2").wait_for()
        page.get_by_role("button", name="Approve").click()
        page.get_by_role("alert").get_by_text("approved: Limit items of op2").wait_for()
        assert page.errors == []
    states = {s.proposal.summary[-3:]: s.status for s in board.orchestrator.list()}
    assert states == {"op1": "rejected", "op2": "approved", "op3": "pending"}


def test_a_stale_revision_is_refused_and_the_other_reviewer_is_told(
    suggestion: Suggested, page: Any
) -> None:
    board = board_of(suggestion(1))
    with ReviewServer(board) as server:
        page.goto(server.url)
        page.get_by_role("button", name="Approve").wait_for()
        with board.orchestrator.repository.transaction() as table:
            table.save(suggestion(1, revision=2), at=datetime(2026, 3, 2, tzinfo=UTC))
        page.get_by_role("button", name="Approve").click()
        page.get_by_role("alert").get_by_text("has new evidence since").wait_for()
        board.orchestrator.approve(f"{1:016x}", reviewer="lou")
        page.reload()
        page.get_by_label("any status").select_option("approved")
        page.locator("[data-id]").click()
        page.get_by_text("approved by lou").wait_for()
        assert page.get_by_role("button", name="Approve").count() == 0


def test_hostile_texts_are_shown_as_texts(suggestion: Suggested, page: Any) -> None:
    bad = suggestion(1)
    proposal = replace(bad.proposal, summary=HOSTILE, rationale=HOSTILE, diff=f"+{HOSTILE}")
    target = Target(operation=OperationRef(HOSTILE), path="/x")
    board = board_of(replace(bad, proposal=proposal, target=target, tags=(HOSTILE,)))
    with ReviewServer(board) as server:
        page.goto(server.url)
        page.get_by_role("heading", name="<img src=x").wait_for()
        assert page.locator("img, .er-panel script").count() == 0
        assert page.title() == "evolution_lab: review"


def test_all_can_be_done_with_the_keyboard(suggestion: Suggested, page: Any) -> None:
    board = board_of(*(suggestion(n) for n in range(1, 5)))
    with ReviewServer(board) as server:
        page.goto(server.url)
        page.get_by_role("heading", name="op3").wait_for()
        page.keyboard.press("j")
        page.get_by_role("heading", name="op1").wait_for()
        page.keyboard.press("a")
        page.get_by_role("alert").get_by_text("approved: Limit items of op1").wait_for()
        page.keyboard.press("j")
        page.get_by_role("button", name="Reject").wait_for()
        page.keyboard.press("r")
        page.keyboard.type("no")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_role("alert").get_by_text("rejected:").wait_for()
    assert sorted(s.status for s in board.orchestrator.list()) == [
        "approved", "pending", "pending", "rejected",
    ]  # fmt: skip


def test_a_thousand_suggestions_do_not_lag(suggestion: Suggested, page: Any) -> None:
    board = board_of(*(suggestion(n) for n in range(1000)))
    with ReviewServer(board) as server:
        page.goto(server.url)
        page.locator("[data-id]").nth(999).wait_for(state="attached")
        took = page.evaluate(
            """() => { const box = document.querySelector("input[type=search]");
            const began = performance.now(); box.value = "op77";
            box.dispatchEvent(new Event("input")); document.body.offsetHeight;
            return performance.now() - began; }"""
        )
        assert page.locator("[data-id]").count() == 11
        assert took < 300


def asked(
    server: ReviewServer, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(server.address, timeout=10)
    sent = {
        "Host": server.address,
        "Content-Type": "application/json",
        "X-Review-Token": server.token,
    }
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body=body, headers={k: v for k, v in sent.items() if v})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


LIST = json.dumps({"kind": "list"}).encode()


def test_the_page_refuses_what_is_not_its_own(suggestion: Suggested) -> None:
    with ReviewServer(board_of(suggestion(1))) as server:
        assert asked(server, "POST", "/api", LIST)[0] == 200
        assert asked(server, "POST", "/api", LIST, X_Review_Token="")[0] == 401
        assert asked(server, "POST", "/api", LIST, X_Review_Token="wrong")[0] == 401
        assert asked(server, "POST", "/api", LIST, Host="evil.test")[0] == 421
        assert asked(server, "GET", "/", Host="evil.test")[0] == 421
        assert asked(server, "POST", "/api", LIST, Origin="http://evil.test")[0] == 403
        assert asked(server, "POST", "/api", LIST, Origin="null")[0] == 403
        own = f"http://{server.address}"
        assert asked(server, "POST", "/api", LIST, Origin=own)[0] == 200
        for path in ("/../server.py", "/%2e%2e/server.py", "/assets/panel.js", "//etc/passwd"):
            assert asked(server, "GET", path)[0] == 404, path
        for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
            assert asked(server, method, "/api", LIST)[0] == 501, method
        assert asked(server, "POST", "/api", b"{" * 200)[0] == 400
        assert asked(server, "POST", "/api", LIST, Content_Type="text/plain")[0] == 415
        headers = {k.lower(): v for k, v in asked(server, "GET", "/")[1].items()}
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_ten_megabytes_are_refused_unread() -> None:
    with ReviewServer(board_of()) as server:
        connection = http.client.HTTPConnection(server.address, timeout=10)
        connection.putrequest("POST", "/api", skip_host=True)
        for name, value in {
            "Host": server.address,
            "X-Review-Token": server.token,
            "Content-Type": "application/json",
            "Content-Length": str(10 * 2**20),
        }.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()


def test_behind_a_sign_in_the_header_says_who_decides(suggestion: Suggested) -> None:
    board = board_of(suggestion(1), reviewer="")
    with ReviewServer(board, user_header="X-User", public_host="lab.test") as server:
        assert asked(server, "POST", "/api", LIST, Host="lab.test")[0] == 401
        decision = {"kind": "decide", "id": f"{1:016x}", "decision": "approve", "revision": 1}
        body = json.dumps({**decision, "reviewer": "mallory"}).encode()
        status, _, answer = asked(server, "POST", "/api", body, Host="lab.test", X_User="kim")
        assert status == 200
        assert json.loads(answer)["suggestion"]["history"][0]["reviewer"] == "kim"


def test_without_a_reviewer_nothing_is_decided(suggestion: Suggested) -> None:
    board = board_of(suggestion(1), reviewer="")
    answer = board.handle(
        {"kind": "decide", "id": f"{1:016x}", "decision": "approve", "revision": 1}
    )
    assert answer["reason"] == "MissingReviewerError"


def test_the_widget_answers_under_the_number_it_was_asked(suggestion: Suggested) -> None:
    panel = review_panel(board_of(suggestion(1)))
    answer = panel.handle({"kind": "list", "number": 7})
    assert answer["number"] == 7
    assert len(answer["suggestions"]) == 1
    assert "Limit items of op1" not in json.dumps(panel.get_state(), default=str)


def test_for_a_team_the_sign_ins_header_says_who_decides(suggestion: Suggested) -> None:
    board = board_of(suggestion(1), reviewer="")
    with ReviewServer(board, user_header="x-user", public_host="review.example") as server:
        status, _, refused = asked(server, "POST", "/api", LIST)
        assert status == 401
        assert b"does not say who asks" in refused
        status, _, told = asked(server, "POST", "/api", LIST, x_user="ada", Host="review.example")
        assert (status, json.loads(told)["kind"]) == (200, "list")
        status, _, _ = asked(server, "POST", "/api", LIST, x_user="ada", Host="other.example")
        assert status == 421


def test_a_team_needs_a_database_that_several_may_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listen = ["review", "--listen", "127.0.0.1:0", "--data", str(tmp_path)]
    assert main([*listen, "--trust-user-header", "x-user"]) == 2
    assert "PostgreSQL" in capsys.readouterr().err
    assert main(listen) == 2
    assert "go together" in capsys.readouterr().err
