"""Documents cut into elements: whatever stands in strings, wherever blocks end."""

from __future__ import annotations

import io
import re

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.telemetry import json_documents
from evolution_lab.telemetry.json_documents import JsonValues, json_parts

ROWS = re.compile(rb'^\s*\{[^\[{]*?"rows"\s*:\s*\[')
TEXT = st.text(st.sampled_from('ab"\\[]{},: \n'), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ELEMENTS = st.lists(st.dictionaries(TEXT, VALUES, max_size=3) | st.lists(VALUES, max_size=3))


@settings(max_examples=200, deadline=None)
@given(ELEMENTS, st.integers(1, 40), st.booleans(), st.booleans())
def test_elements_are_those_a_parser_finds(
    elements: list[object], block: int, wrapped: bool, indented: bool
):
    document: object = {"total": 1, "rows": elements, "after": [{"x": 1}]} if wrapped else elements
    content = orjson.dumps(document, option=orjson.OPT_INDENT_2 if indented else 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_documents, "_BLOCK", block)
        patch.setattr(json_documents, "HEAD", 30)
        parts = list(json_parts(io.BytesIO(content), ROWS))
        if len(parts) == 1 and parts[0].of_lines:
            assert parts[0].parsed() == document
        else:
            assert [part.parsed() for part in parts] == elements


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_random_bytes_never_stop_it(noise: bytes):
    for head in (b"", b"[", b'{"rows":[{"a":1},'):
        list(JsonValues(io.BytesIO(head + noise), lambda *_: None, ROWS))


@pytest.mark.parametrize("broken", ["{x}", "[1, 2, ]", "5", '"text"', "{]"])
def test_a_broken_element_keeps_its_neighbours(broken: str):
    content = f'{{"rows": [\n{{"n": 1}}, {broken}, {{"n": 2}}]}}'.encode()
    refused: list[tuple[object, ...]] = []
    found = JsonValues(io.BytesIO(content), lambda *told: refused.append(told), ROWS)
    numbers = [value["n"] for value, _ in found if isinstance(value, dict)]
    assert numbers == [1, 2]


@pytest.mark.parametrize("broken", ["[1, }]", "{]}", "]"])
def test_a_stray_bracket_loses_nothing_in_silence(broken: str):
    content = f'{{"rows": [\n{{"n": 1}}, {broken}, {{"n": 2}}]}}'.encode()
    refused: list[tuple[object, ...]] = []
    found = JsonValues(io.BytesIO(content), lambda *told: refused.append(told), ROWS)
    assert {"n": 1} in [value for value, _ in found]
    assert refused


def test_lines_are_lines_and_the_last_may_wait():
    refused: list[tuple[object, ...]] = []
    content = b'{"n": 1}\n{"n": \n{"n": 3}\n{"n"'
    found = JsonValues(io.BytesIO(content), lambda *told: refused.append(told))
    assert [(value["n"], line) for value, line in found] == [(1, 1), (3, 3)]
    assert [told[0] for told in refused] == [2]
    assert found.waiting == 1


@pytest.mark.parametrize("cut", [b'[\n{"n": 1}, {"n"', b'[\n{"n": 1},', b'[\n{"n": 1}'])
def test_a_document_that_is_cut_off_says_so(cut: bytes):
    refused: list[tuple[object, ...]] = []
    found = JsonValues(io.BytesIO(cut), lambda *told: refused.append(told))
    assert [value["n"] for value, _ in found] == [1]
    assert ["ends within it" in str(told[1]) for told in refused] == [True]


def test_an_element_that_is_too_large_is_passed_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(json_documents, "LARGEST_ELEMENT", 100)
    monkeypatch.setattr(json_documents, "HEAD", 10)
    monkeypatch.setattr(json_documents, "_BLOCK", 16)
    refused: list[tuple[object, ...]] = []
    content = orjson.dumps([{"n": 1}, {"big": "x" * 300}, {"n": 2}])
    found = JsonValues(io.BytesIO(content), lambda *told: refused.append(told))
    assert [value["n"] for value, _ in found] == [1, 2]
    assert "longer than 100 bytes" in str(refused[0][1])


def test_nesting_without_end_is_refused_in_bounded_memory():
    refused: list[tuple[object, ...]] = []
    content = b'[{"n": 1},' + b"[" * 300_000
    assert len(list(JsonValues(io.BytesIO(content), lambda *told: refused.append(told)))) == 1
    assert len(refused) == 1
