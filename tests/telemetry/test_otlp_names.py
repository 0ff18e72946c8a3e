"""Names of operations by convention: old and new spellings name alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.schemas import CHANNELS, NAME_SOURCES
from evolution_lab.telemetry.otlp_names import LONGEST_NAME, operation_name

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=400), st.lists(st.text())
)
NAMES = st.sampled_from(
    ["graphql.operation.type", "graphql.operation.name", "http.request.method", "http.method",
     "http.route", "url.template", "url.path", "http.target", "url.full", "rpc.method", "rpc.service",
     "messaging.system", "messaging.destination.name", "messaging.operation", "db.operation",
     "db.query.summary", "db.sql.table"]
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "old", "new", "key"),
    [
        (
            "server",
            {"http.method": "get", "http.route": "/users/{id}"},
            {"http.request.method": "GET", "http.route": "/users/{id}"},
            "GET /users/{id}",
        ),
        (
            "client",
            {"http.method": "GET", "http.url": "http://shop.example/users/7?x=1"},
            {"http.request.method": "GET", "url.full": "http://shop.example/users/7?x=1"},
            "GET /users/{id}",
        ),
        (
            "consumer",
            {
                "messaging.system": "kafka",
                "messaging.destination": "orders",
                "messaging.operation": "process",
            },
            {"messaging.destination.name": "orders", "messaging.operation.type": "process"},
            "process orders",
        ),
        (
            "client",
            {"db.operation": "SELECT", "db.sql.table": "users"},
            {"db.operation.name": "SELECT", "db.collection.name": "users"},
            "SELECT users",
        ),
        (
            "server",
            {"rpc.service": "shop.Cart", "rpc.method": "Add"},
            {"rpc.method": "shop.Cart/Add"},
            "shop.Cart/Add",
        ),
    ],
)
def test_old_and_new_spellings_name_alike(kind, old, new, key):
    assert operation_name("x", kind, old) == operation_name("x", kind, new)
    assert operation_name("x", kind, old)[0] == key


def test_a_client_is_named_by_its_template_and_a_server_by_its_route():
    both = {"http.method": "GET", "http.route": "/r", "url.template": "/t"}
    assert operation_name("x", "client", both)[0] == "GET /t"
    assert operation_name("x", "server", both)[0] == "GET /r"


@pytest.mark.parametrize("method", ["_OTHER", "1' OR 1=1", "<img>", "x" * 50, "G\u0415T"])
def test_a_method_that_is_none_is_http(method: str):
    assert operation_name("x", "server", {"http.method": method, "http.route": "/"})[0] == "HTTP /"


def test_queues_made_for_one_answer_are_one_operation():
    queue = {
        "messaging.system": "rabbitmq",
        "messaging.destination.name": "amq.gen-JzTY20BRgKO",
        "messaging.operation.type": "receive",
        "messaging.destination.anonymous": True,
    }
    assert operation_name("x", "consumer", queue)[0] == "receive (anonymous)"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GET /users/7", ("GET /users/{id}", "derived", None)),
        ("GET /users/{userId}", ("GET /users/{userId}", "span", None)),
        ("/api/orders/550e8400-e29b-41d4-a716-446655440000", ("/api/orders/{id}", "derived", None)),
        ("checkout", ("checkout", "span", None)),
        ("shop.Cart/Add", ("shop.Cart/Add", "span", None)),
        ("", ("", "span", None)),
    ],
)
def test_a_raw_path_in_a_spans_name_is_templated(name: str, expected: tuple[Any, ...]):
    assert operation_name(name, "server", {}) == expected


@given(st.text(max_size=400), st.dictionaries(NAMES, VALUES, max_size=6))
def test_whatever_stands_there_the_name_is_a_bounded_text(name: str, attributes: dict[str, Any]):
    key, source, channel = operation_name(name, "server", attributes)
    assert isinstance(key, str)
    assert len(key) <= LONGEST_NAME
    assert source in NAME_SOURCES
    assert channel is None or channel in CHANNELS
