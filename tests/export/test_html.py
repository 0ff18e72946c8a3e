"""The page is self-contained, allows its own scripts only, and shows strangers' text as text."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plotly.offline import get_plotlyjs

from evolution_lab.export import html
from evolution_lab.export.content import report_content
from evolution_lab.records import EvidenceItem, OperationRef


class Page(HTMLParser):
    """Elements, links and scripts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.sources: list[str] = []
        self.policy = ""
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text: list[str] = []
        self._in: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.elements.append(tag)
        self._in = tag
        self.handlers += [name for name in named if name.startswith("on")]
        self.sources += [named[name] for name in ("src", "href") if named.get(name)]
        if named.get("id"):
            self.ids.append(named["id"])
        if tag == "a":
            self.links.append(named["href"])
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"]
        if tag == "script":
            self.scripts.append((named, ""))

    def handle_endtag(self, _tag):
        self._in = None

    def handle_data(self, data):
        if self._in == "script":
            named, text = self.scripts[-1]
            self.scripts[-1] = (named, text + data)
        else:
            self.text.append(data)


def _render(scene, **changes):
    parts = {
        "detection": scene.detection,
        "windows": scene.windows,
        "suggestions": scene.suggestions,
        "provenance": scene.provenance,
    }
    return html.render_html(report_content(**(parts | changes)))


@pytest.fixture(scope="module")
def page(scene):
    return Page(_render(scene))


def test_nothing_is_fetched(page):
    assert all(source.startswith(("#", "data:,")) for source in page.sources)
    assert not {"img", "iframe", "object", "embed", "base", "form"} & set(page.elements)
    assert page.handlers == []


def test_every_link_leads_somewhere_and_ids_are_unique(page):
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


def test_the_policy_allows_exactly_the_scripts_of_the_page(page):
    inline = [text for named, text in page.scripts if "type" not in named]
    (packed,) = [text for named, text in page.scripts if named.get("id") == "plotly"]
    unpacked = gzip.decompress(base64.b64decode(packed)).decode()
    assert unpacked == get_plotlyjs()
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (unpacked, *inline)
    ]
    assert len(inline) == 1
    assert f"script-src {' '.join(hashes)};" in page.policy
    assert page.policy.startswith("default-src 'none'")


def test_hostile_names_are_text(page):
    assert "<img src=x onerror=alert(1)>" in "".join(page.text)
    assert "</script><b>edge</b>" in "".join(page.text)


def test_there_is_a_figure_for_each_signal_and_one_for_all(page, scene):
    ((_, data),) = [(n, t) for n, t in page.scripts if n.get("type") == "application/json"]
    figures = json.loads(data)["figures"]
    assert set(figures) == {"overview", *(s.id for s in scene.detection.signals)}
    assert all("template" not in figure["layout"] for figure in figures.values())


def test_the_gravest_signals_get_the_figures(scene, monkeypatch):
    monkeypatch.setattr(html, "MOST_FIGURES", 4)
    page = Page(_render(scene))
    ((_, data),) = [(n, t) for n, t in page.scripts if n.get("type") == "application/json"]
    high = {s.id for s in scene.detection.signals if s.severity == "high"}
    assert set(json.loads(data)["figures"]) == {"overview", *high}


def test_a_diff_keeps_its_lines(scene):
    changed = replace(
        scene.suggestions[0],
        proposal=replace(
            scene.suggestions[0].proposal, diff="--- a\n+++ b\n@@ -1 +1 @@\n-<b>\n+</pre>\n same"
        ),
    )
    text = _render(scene, suggestions=(changed,))
    found = re.search(r'<pre class="diff">(.*?)</pre>', text).group(1)
    assert re.findall(r"<(\w+)>", found) == [
        "i",
        "i",
        "b",
        "del",
        "ins",
        "span",
    ]
    assert "&lt;/pre&gt;" in found


HOSTILE = st.text(
    st.sampled_from("<>&\"'/`=!-%{}$\u2028\u202e\x00\x1b aimg"), min_size=1, max_size=40
)


@given(HOSTILE)
@settings(max_examples=4)
def test_no_name_adds_an_element(scene, name):
    signal = scene.detection.signals[0]

    def named(text):
        return replace(
            signal,
            operation=OperationRef(text, service=text, version=text, tenant_id=text),
            evidence=(EvidenceItem(description=text, data={"metric": text}),),
            attribution={"tenantId": {"value": text}, text: text},
        )

    def elements(text):
        detection = replace(scene.detection, signals=(named(text),), incidents=())
        return Page(_render(scene, detection=detection, suggestions=())).elements

    assert elements(name) == elements("plain")
