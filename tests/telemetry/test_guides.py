"""The guides' code runs as it stands there, and does what they say."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import pytest

from evolution_lab.telemetry import Lake

GUIDES = Path(__file__).parents[2] / "evolution_lab" / "telemetry" / "guides"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Call with a guide's name: what its code defines, run in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run_guide(name: str) -> dict:
        text = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
        defined = {"__name__": f"guide_{name}"}
        for block in BLOCK.findall(text):
            exec(compile(block, f"{name}.md", "exec"), defined)
        return defined

    return run_guide


def landed(guide: dict) -> list[tuple]:
    counters = guide["tracing"].close()
    assert counters.hook_errors == {}
    assert counters.written == counters.seen > 0
    rows = Lake(Path("data")).samples().collect().sort("timestamp")
    return rows.select("operation_key", "status_code", "tenant_id").rows()


def test_every_guide_has_a_test():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in GUIDES.glob("*.md")} <= tested


def test_fastapi(run, get_asgi):
    guide = run("fastapi")
    answers = get_asgi(guide["app"], "/invoices/7", "/invoices/101", headers={"x-tenant": "acme"})
    assert [(answer.status, answer.body) for answer in answers] == [
        (200, b'{"id":7}'),
        (404, b'{"detail":"Not Found"}'),
    ]
    key = "GET /invoices/{invoice_id}"
    assert landed(guide) == [(key, 200, "acme"), (key, 404, "acme")]
    guide["provider"].shutdown()


def test_flask(run, get_wsgi):
    guide = run("flask")
    answers = get_wsgi(guide["app"], "/invoices/7", "/no/such/page", headers={"X-User": "ann"})
    assert [answer.status for answer in answers] == [200, 404]
    assert landed(guide) == [
        ("GET /invoices/<int:invoice_id>", 200, None),
        ("GET /no/such/page", 404, None),
    ]
    actors = Lake(Path("data")).samples().collect()["actor_id"]
    assert actors.n_unique() == 1
    assert actors[0].startswith("actor_")


@pytest.fixture
def django_project(tmp_path, monkeypatch):
    """A project of one view, as ``startproject`` would make it."""
    (tmp_path / "billing_settings.py").write_text(
        textwrap.dedent(
            """
            SECRET_KEY = "of a test"
            ALLOWED_HOSTS = ["*"]
            ROOT_URLCONF = "billing_urls"
            USE_TZ = True
            """
        )
    )
    (tmp_path / "billing_urls.py").write_text(
        textwrap.dedent(
            """
            from django.http import JsonResponse
            from django.urls import path

            def invoice(request, pk):
                return JsonResponse({"id": pk})

            urlpatterns = [path("invoices/<int:pk>/", invoice)]
            """
        )
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "billing_settings")
    yield
    for name in ("billing_settings", "billing_urls"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("django_project")
def test_django(run, get_asgi, get_wsgi):
    guide = run("django")
    (wsgi,) = get_wsgi(guide["application"], "/invoices/7/", headers={"X-Tenant": "acme"})
    (asgi,) = get_asgi(guide["asgi_application"], "/invoices/8/", headers={"x-tenant": "acme"})
    assert (wsgi.status, wsgi.body) == (200, b'{"id": 7}')
    assert (asgi.status, asgi.body) == (200, b'{"id": 8}')
    assert landed(guide) == [("GET invoices/<int:pk>/", 200, "acme")] * 2


def test_asgi(run, get_asgi):
    guide = run("asgi")
    get_asgi(guide["app"], "/invoices", method="POST")
    get_asgi(guide["app"], "/invoices/7")
    assert landed(guide) == [
        ("billing.createInvoice", 200, None),
        ("GET /invoices/{id}", 200, None),
    ]


def test_celery(run):
    guide = run("celery")
    assert guide["send_invoice"].apply(args=(7,), kwargs={"tenant": "acme"}).get() == "INV-7"
    assert guide["send_invoice"].apply(args=(-1,), kwargs={"tenant": "acme"}).failed()
    guide["tracing"].close()
    rows = Lake(Path("data")).samples().collect().sort("timestamp")
    told = rows.select("service", "operation_key", "kind", "channel", "tenant_id", "success")
    task = ("billing", "billing.sendInvoice", "consumer", "worker", "acme")
    assert told.rows() == [(*task, True), (*task, False)]
    assert rows["error_code"].to_list() == [None, "ValueError"]
