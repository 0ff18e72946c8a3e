"""Markdown for a pull request: complete, and safe whatever an operation is called."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.export import markdown
from evolution_lab.export.content import report_content
from evolution_lab.records import DetectionResult

ALLOWED = {"<details>", "<summary>", "</summary>", "</details>"}


def _render(scene, **changes):
    parts = {
        "detection": scene.detection,
        "windows": scene.windows,
        "suggestions": scene.suggestions,
        "provenance": scene.provenance,
    }
    return markdown.render_markdown(report_content(**(parts | changes)))


@pytest.fixture(scope="module")
def text(scene):
    return _render(scene)


def _outside_of_code(text):
    return re.sub(r"^(`{3,})\w*\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)


def test_it_has_the_parts_in_order(text):
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == [
        "Incidents",
        "Suggestions",
        "Repeated workflows",
        "Where traffic is too thin to tell",
    ]
    assert "evolution-lab report --data data --every 15m" in text
    assert "9f2c4e7a81b0d35c66aa01" in text


def test_html_from_traffic_is_escaped(text):
    tags = re.findall(r"(?<!\\)</?[a-zA-Z][^>]*>", _outside_of_code(text))
    assert set(tags) == ALLOWED
    assert r"\<img src=x onerror=alert(1)\>" in text


def test_tables_have_one_width(text):
    for table in re.findall(r"(?:^\|.*\|$\n?)+", _outside_of_code(text), flags=re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.strip().split("\n")}
        assert len(widths) == 1


def test_decisions_are_told(text):
    assert r"Known load test \| not a \| change." in text
    assert "| approved | mona | 1 |" in text


def test_a_fence_is_longer_than_what_it_holds(scene):
    proposal = replace(scene.suggestions[0].proposal, diff="+ ````\n+ # not a heading")
    text = _render(scene, suggestions=(replace(scene.suggestions[0], proposal=proposal),))
    assert "`````diff\n+ ````\n+ # not a heading\n`````" in text


def test_a_quiet_lab_is_short(scene):
    text = _render(scene, detection=DetectionResult(), suggestions=())
    assert text.startswith("# Nothing changed beyond chance.")
    assert "No incident." in text


@given(st.text(st.sampled_from("<>[]()!`*_#|@:/\\ \n\tawx.~-+1&;"), max_size=40))
@settings(max_examples=60)
def test_inline_text_is_on_one_line_without_mentions_links_or_markup(hostile):
    shown = markdown._text(hostile)
    assert "\n" not in shown
    assert not re.search(r"[@#]\w|://|www\.", shown)
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>\[\]`*_|&]", shown)
    assert "\n" not in markdown._code(hostile)
