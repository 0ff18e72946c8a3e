"""Every request that is watched is a sample in the lake, or is counted as one that is not."""

from __future__ import annotations

import pytest

from evolution_lab.telemetry import Lake, create_tracing_middleware


async def app(scope, receive, send):
    if scope["path"] == "/boom":
        raise RuntimeError("no such luck")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def test_requests_become_samples_in_the_lake(tmp_path, get_asgi):
    tracing = create_tracing_middleware(
        resolve_tenant=lambda exchange: exchange.header("x-tenant"), data=tmp_path, service="shop"
    )
    answers = get_asgi(tracing.asgi(app), "/users/7", "/boom", headers={"x-tenant": "acme"})
    assert [answer.status for answer in answers] == [200, None]
    assert str(answers[1].error) == "no such luck"
    counters = tracing.close()
    assert (counters.seen, counters.written, counters.waiting) == (2, 2, 0)
    landed = Lake(tmp_path).samples().collect().sort("operation_key")
    assert landed["operation_key"].to_list() == ["GET /boom", "GET /users/{id}"]
    assert landed["tenant_id"].to_list() == ["acme", "acme"]
    assert landed["success"].to_list() == [False, True]
    assert landed["error_code"].to_list() == ["RuntimeError", None]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_hook_that_raises_breaks_no_request_and_is_counted(asynchronous, caplog, get_asgi):
    def broken(exchange):
        raise KeyError("tenant")

    async def broken_later(exchange):
        raise KeyError("tenant")

    seen = []
    tracing = create_tracing_middleware(
        resolve_tenant=broken_later if asynchronous else broken, on_sample=seen.append
    )
    answers = get_asgi(tracing.asgi(app), "/a", "/b", "/c")
    assert [answer.status for answer in answers] == [200, 200, 200]
    counters = tracing.close()
    assert counters.hook_errors == {"resolve_tenant": 3}
    assert [sample.tenant_id for sample in seen] == [None, None, None]
    assert len([r for r in caplog.records if "resolve_tenant" in r.getMessage()]) == 1
