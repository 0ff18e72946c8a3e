"""Golden tests of the demo shop, against the shop: green while it is unchanged, red when it is not."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from evolution_lab.demo.sessions import draw_sessions
from evolution_lab.demo.shop import REGRESSIONS, ServedApp, ShopSettings, create_shop
from evolution_lab.demo.shoppers import Shopper
from evolution_lab.golden import EmitSettings, GoldenTestGenerator, emit, run_golden_tests
from evolution_lab.golden.http_snapshots import HttpCall, http_snapshot, split_target
from evolution_lab.golden.runners import http_runner
from evolution_lab.golden.running import run_written, verify
from evolution_lab.records import OperationRef

WHO = {"X-Tenant-Id": "acme", "X-User-Id": "acme.user-001@example.com", "X-Session-Id": "s-1"}
START = datetime(2026, 1, 5, tzinfo=UTC)


@contextmanager
def served(*regressions):
    settings = ShopSettings(regressions=frozenset(regressions), failure_rate=0.0, pace=0.0)
    with ServedApp(create_shop(settings)) as shop:
        yield shop.url


def recorded(seed):
    """What a fresh shop answers to drawn sessions."""
    found = []
    with served() as url, httpx.Client(base_url=url, trust_env=False) as client:
        for number, session in enumerate(
            draw_sessions(seed, minutes=1.0, rate=3.0, workflow_from=30)
        ):
            shopper = Shopper(session)
            for step in session.steps:
                request = shopper.request(step, bulk=False)
                headers = {**request.headers, **WHO}
                answer = client.request(
                    request.method, request.path, headers=headers, json=request.body
                )
                if answer.is_success:
                    shopper.learn(step, answer.json())
                path, query = split_target(str(answer.request.url))
                call = HttpCall(
                    method=request.method,
                    path=path,
                    query=query,
                    request_headers=list(answer.request.headers.items()),
                    request_body=answer.request.content,
                    status=answer.status_code,
                    response_headers=list(answer.headers.items()),
                    response_body=answer.content,
                )
                found.append(
                    http_snapshot(
                        call,
                        operation=OperationRef(step.key),
                        timestamp=START + timedelta(seconds=len(found)),
                        metadata={"sessionId": f"s{number}"},
                    )
                )
    return found


@pytest.fixture(scope="module")
def suites():
    """Suites of two recordings and two reruns, each case tried on the unchanged shop."""
    traffic, again = recorded(11), recorded(11)
    made = GoldenTestGenerator().generate_all(traffic, recordings=[again])
    with served() as url:
        runner = http_runner(url, headers=WHO)
        results = [run_golden_tests(made.values(), runner).results for _ in range(2)]
        reruns = {
            first.case.split("-")[0]: (first.outputs, second.outputs)
            for first, second in zip(*results, strict=True)
        }
        made = GoldenTestGenerator().generate_all(traffic, recordings=[again], reruns=reruns)
        checked = [verify(suite, runner)[0] for suite in made.values()]
    aside = sum(len(suite.quarantined) for suite in checked)
    assert aside <= 0.02 * sum(len(suite.cases) for suite in made.values())
    return checked


def test_green_on_the_unchanged_shop(suites):
    assert sum(len(suite.cases) for suite in suites) > 150
    with served() as url:
        found = run_golden_tests(suites, http_runner(url, headers=WHO))
    assert found.exit_code == 0, found.groups


@pytest.mark.parametrize("name", sorted(REGRESSIONS))
def test_red_on_each_regression(suites, name):
    with served(name) as url:
        found = run_golden_tests(suites, http_runner(url, headers=WHO))
    assert found.exit_code == 1
    assert found.counts["drift"] > 0


def test_written_for_pytest_they_say_the_same(suites, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    output = tmp_path / "test_products.py"
    suite = next(s for s in suites if s.operation == "GET /products/{sku}")
    emit(suite, output, EmitSettings(framework="pytest")).write(output)
    for regressions, expected in (((), 0), (("dropped-field",), 1)):
        with served(*regressions) as url:
            assert run_written([output], base_url=url, headers=WHO).exit_code == expected


def test_a_shop_that_is_not_there_is_no_drift(suites):
    with served() as url:
        pass
    found = run_golden_tests(suites[:1], http_runner(url, headers=WHO))
    assert found.exit_code == 2
    assert found.counts["could-not-run"] == len(found.results)
