"""Templates of paths: what is one operation, what stays, and that nobody is named in them."""

from __future__ import annotations

import uuid
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.redaction import LabKey, Redactor
from evolution_lab.telemetry.naming import LONGEST_PATH, shortened, template_path

REDACTOR = Redactor(LabKey(b"k" * 32))


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ("7", "{id}"),
        ("-1", "{id}"),
        ("72286832", "{id}"),
        ("20250304", "{id}"),
        ("515435940", "{id}"),
        ("0" * 39 + "1", "{id}"),
        ("550e8400-e29b-41d4-a716-446655440000", "{id}"),
        ("550E8400E29B41D4A716446655440000", "{id}"),
        ("9f1c44aa", "{id}"),
        ("cus_NffrFeUfNV2Hib", "{id}"),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "{id}"),
        ("jane%40example.org", "{id}"),
        ("jane@example.org", "{id}"),
        ("%2B4930901820", "{id}"),
        ("Zx9qLm2VbT7sKd4RwYpA8cNf", "{id}"),
        ("a%2Fb", "{id}"),
        ("x" * 41, "{id}"),
        ("2025-03-04", "{date}"),
        ("2025-03", "{date}"),
        ("2025-03-04T10:00:00Z", "{date}"),
        ("2025-13-04", "{id}"),
        ("users", "users"),
        ("oauth2", "oauth2"),
        ("v1", "v1"),
        ("index.html", "index.html"),
        ("add-to-cart", "add-to-cart"),
        ("{userId}", "{userId}"),
        (":id", ":id"),
        ("<int:id>", "<int:id>"),
        ("*", "*"),
    ],
)
def test_segments(segment: str, expected: str):
    assert template_path(f"/a/{segment}/z") == f"/a/{expected}/z"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "/"),
        ("/", "/"),
        ("users", "/users"),
        ("/users/", "/users/"),
        ("/users?email=jane@example.org", "/users"),
        ("/users#jane", "/users"),
        ("https://user:pass@shop.example/users/7?x=1", "/users/{id}"),
        ("https://[broken/users", "/"),
    ],
)
def test_paths(path: str, expected: str):
    assert template_path(path) == expected


def test_long_paths_are_cut_at_a_segment():
    cut = template_path("/abcdefghij" * 40)
    assert len(cut) <= LONGEST_PATH + 2
    assert cut.endswith("/abcdefghij/…")


@given(st.uuids(), st.uuids())
def test_ids_of_a_kind_are_one_operation(a: uuid.UUID, b: uuid.UUID):
    assert template_path(f"/orders/{a}/items") == template_path(f"/orders/{b}/items")


@given(st.integers(0, 10**20), st.integers(0, 10**20))
def test_numbers_are_one_operation_whatever_their_length(a: int, b: int):
    assert template_path(f"/orders/{a}") == template_path(f"/orders/{b}")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=12),
            st.emails(),
            st.ip_addresses().map(str),
            st.sampled_from(["4111111111111111", "GB82WEST12345698765432", "219-09-9999", "users"]),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_templates_name_nobody_and_are_their_own_templates(segments: list[str], escaped: bool):
    template = template_path("/" + "/".join(quote(s, safe="") if escaped else s for s in segments))
    assert REDACTOR.find(template) == []
    assert template_path(template) == template


def test_a_cut_leaves_no_half_values():
    assert shortened("short", 5) == "short"
    assert shortened("a" * 10, 5) == "aaaa…"
    assert shortened("GET /users/jane@example.org", 20) == "GET /users…"


@given(st.text(alphabet="ab /@.1", max_size=60), st.integers(2, 40))
def test_a_cut_text_keeps_to_its_limit(text: str, limit: int):
    assert len(shortened(text, limit)) <= limit


@given(st.integers(0, 120), st.sampled_from(["4111 1111 1111 1111", "jane@example.org"]))
def test_what_was_cut_cannot_be_read(position: int, value: str):
    cut = shortened("word " * (position // 5) + value + " tail" * 30, 100)
    assert value in cut or value[:4] not in cut
