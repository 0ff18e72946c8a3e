"""Redacted text, attributes and excerpts; measured on labelled payloads where they are at hand."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.redaction import LabKey, Redactor

REDACTOR = Redactor(LabKey(b"k" * 32))
PAYLOADS = (
    Path(__file__).parents[2].parent / "shared" / "data" / "traffic" / "pii" / "payloads.jsonl.gz"
)
TYPED = ("card", "email", "iban", "ip", "phone", "secret", "ssn")
PIECES = st.sampled_from(
    ["jane@example.org", "password=", "Bearer ", "4111 1111 1111 1111", "tel ", "030 901820", "cookie: a=",
     "203.0.113.7", '"', "'", "\\", " ", "[", "]", "[secret]", "219-09-9999", "GB82WEST12345698765432",
     "Zx9qLm2VbT7sKd4RwYpA8cNf", "born 5/21/1950", "://", ":", "@", "=", "x", "1", "token"]
)  # fmt: skip


def test_masks_say_what_was_there():
    assert REDACTOR.text("jane@example.org paid 4111111111111111, password=hunter2") == (
        "[email] paid [card], password=[secret]"
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=8).map("".join))
def test_masking_masked_text_changes_nothing(text):
    once = REDACTOR.text(text)
    assert REDACTOR.text(once) == once


def test_long_texts_are_masked_like_short_ones():
    text = "x " * 5_000 + "jane@example.org"
    assert REDACTOR.text(text) == "x " * 5_000 + "[email]"
    assert REDACTOR.operation_key(text) == "x " * 5_000 + "[email]"


@pytest.mark.parametrize(
    "key", ["GET /users/{id}", "query ProductPage", "shop.v1.Cart/AddItem", "orders process", ""]
)
def test_names_of_operations_stay(key):
    assert REDACTOR.operation_key(key) == key


def test_names_of_operations_lose_people_and_secrets():
    key = "GET /users/jane@example.org/cards?token=abc"
    assert REDACTOR.operation_key(key) == "GET /users/[email]/cards?token=[secret]"


def test_attributes_keep_what_is_allowed_and_count_the_rest():
    kept, dropped = REDACTOR.attributes(
        {"b": "jane@example.org", "a": 1, "c": True, "d": None, "shoe": 42, "mail a@b.org": 1},
        ("a", "b", "c", "d"),
    )
    assert list(kept.items()) == [("a", "1"), ("b", "[email]"), ("c", "true")]
    assert dropped == Counter({"shoe": 1, "mail [email]": 1})


def test_attributes_are_masked_by_their_names_at_any_depth():
    value = {"user": {"password": ["a", {"b": "c"}], "firstName": "Jane", "age": 7}, "ok": [1, "x"]}
    kept, _ = REDACTOR.attributes({"body": value, "api_key": 123}, ("body", "api_key"))
    assert orjson.loads(kept["body"]) == {
        "user": {"password": "[secret]", "firstName": "[name]", "age": 7},
        "ok": [1, "x"],
    }
    assert kept["api_key"] == "[secret]"


def test_numbers_names_and_odd_values_are_looked_at_too():
    deep: object = "jane@example.org"
    for _ in range(200):
        deep = [deep]
    values = {
        "n": 4111111111111111,
        "m": {"jane@example.org": 1},
        "deep": deep,
        "big": 10**30,
        "s": ["\ud800"],
    }
    kept, _ = REDACTOR.attributes(values, values)
    assert kept["n"] == "[card]"
    assert kept["m"] == '{"[email]":1}'
    assert "jane" not in kept["deep"]
    assert kept["big"] == str(10**30)
    assert kept["s"] == '["?"]'


def test_excerpts_are_short_and_on_one_line():
    excerpt = REDACTOR.excerpt("a\r\n\x1b[31mb\u202ec\t" + "d" * 500, limit=50)
    assert len(excerpt) == 50
    assert excerpt.endswith("…")
    assert excerpt.isprintable()
    assert REDACTOR.excerpt(b"\xff\x00ok") == "\ufffd ok"
    assert REDACTOR.excerpt("\ud800 ok").encode()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2_000), st.integers(2, 200))
def test_excerpts_never_show_half_a_number(position, limit):
    raw = "x" * position + " 4111 1111 1111 1111 " + "y" * 2_000
    excerpt = REDACTOR.excerpt(raw.encode(), limit=limit)
    assert "4111" not in excerpt
    assert len(excerpt) <= limit


def leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, f"{path}.{key}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from leaves(each, f"{path}[{index}]")
    else:
        yield path, value


def test_labelled_payloads_lose_typed_values_and_keep_the_rest():
    if not PAYLOADS.is_file():
        pytest.skip(f"{PAYLOADS.parent.name}: the labelled payloads are not beside the checkout")
    leaked: Counter[str] = Counter()
    changed = safe = 0
    with gzip.open(PAYLOADS, "rt", encoding="utf-8") as lines:
        for payload in map(json.loads, lines):
            kept, _ = REDACTOR.attributes({"doc": payload["doc"]}, ("doc",))
            found = dict(leaves(json.loads(kept["doc"]), "$"))
            text = "\n".join(map(str, found.values()))
            leaked.update(label["kind"] for label in payload["labels"] if label["value"] in text)
            changed += sum(found[leaf["path"]] != leaf["value"] for leaf in payload["safe"])
            safe += len(payload["safe"])
    assert {kind: leaked[kind] for kind in TYPED} == dict.fromkeys(TYPED, 0)
    assert changed / safe <= 0.01
