"""A shop that answers over loopback, and the same requests sent to any number of them."""

import re
from contextlib import contextmanager

import httpx
import pytest

from evolution_lab.demo.sessions import draw_sessions
from evolution_lab.demo.shop import ServedApp, ShopSettings, create_shop
from evolution_lab.demo.shoppers import Shopper

WHO = {"X-Tenant-Id": "acme", "X-User-Id": "acme.user-001@example.com", "X-Session-Id": "s-1"}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r'(?<=edAt":")[^"]+')


@pytest.fixture(scope="session")
def serve():
    """A context manager that serves a shop and gives it with a client that is signed in."""

    @contextmanager
    def serve_(*, regressions=(), failure_rate=0.0, pace=0.0, **options):
        settings = ShopSettings(
            regressions=frozenset(regressions), failure_rate=failure_rate, pace=pace
        )
        app = create_shop(settings, **options)
        with (
            ServedApp(app) as server,
            httpx.Client(base_url=server.url, headers=WHO, trust_env=False) as client,
        ):
            yield app, client

    return serve_


@pytest.fixture(scope="session")
def send_sessions():
    """A function that sends drawn sessions one after the other and returns (operation, answer)."""

    def send(client, *, seed=11, minutes=1.0, rate=3.0, bulk=False):
        found = []
        drawn = draw_sessions(seed, minutes=minutes, rate=rate, workflow_from=minutes * 30)
        for session in drawn:
            shopper = Shopper(session)
            for step in session.steps:
                request = shopper.request(step, bulk=bulk)
                answer = client.request(
                    request.method, request.path, headers=dict(request.headers), json=request.body
                )
                if answer.is_success:
                    shopper.learn(step, answer.json())
                found.append((step.key, answer))
        return found

    return send


@pytest.fixture(scope="session")
def stable():
    """A function that returns what of an answer does not depend on when and where it was given."""

    def stable_(answer):
        return answer.status_code, _TIME.sub("T", _UUID.sub("ID", answer.text))

    return stable_
