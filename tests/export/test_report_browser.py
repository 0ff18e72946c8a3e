"""The report in a real browser, offline: figures drawn, no error, hostile names as text."""

from __future__ import annotations

import re

import pytest

from evolution_lab.export import write_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory, scene):
    files = write_report(
        tmp_path_factory.mktemp("report"),
        detection=scene.detection,
        windows=scene.windows,
        suggestions=scene.suggestions,
        provenance=scene.provenance,
    )
    return files.html


@pytest.fixture(scope="module")
def loaded(chromium, report):
    """The page in a browser without a network, its messages, requests and dialogs collected."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_offline(True)
    page = context.new_page()
    page.seen = []
    page.on("console", lambda m: page.seen.append((m.type, m.text)))
    page.on("pageerror", lambda error: page.seen.append(("error", str(error))))
    page.on("dialog", lambda d: (page.seen.append(("dialog", d.message)), d.dismiss()))
    page.on("request", lambda r: page.seen.append(("request", r.url)))
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-drawn]", timeout=60_000)
    yield page
    context.close()


@pytest.fixture
def opened(loaded):
    """The page as a test finds it: wide and light."""
    loaded.set_viewport_size({"width": 1280, "height": 900})
    loaded.emulate_media(color_scheme="light")
    return loaded


def _wait_for(page, expression):
    """Wait until an expression holds; playwright's own way needs ``eval``, which the page forbids."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{expression} does not hold after 5 s")


def test_all_figures_are_drawn_offline_without_a_message(opened, scene):
    expected = len(scene.detection.signals) + 1
    assert opened.locator(".js-plotly-plot").count() == expected
    assert opened.locator(".js-plotly-plot .main-svg").count() >= expected
    lines = opened.locator(".js-plotly-plot .scatterlayer .js-line").evaluate_all(
        "nodes => nodes.filter(node => node.getAttribute('d').length > 200).length"
    )
    assert lines >= len(scene.detection.signals)
    assert [message for message in opened.seen if message[0] != "request"] == []
    requested = [url for kind, url in opened.seen if kind == "request"]
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requested)


def test_hostile_names_are_text_in_the_page_and_in_figures(opened):
    hostile = "<img src=x onerror=alert(1)>"
    assert opened.locator("img").count() == 0
    assert opened.get_by_role("heading", name=hostile).count() >= 1
    ticks = opened.locator("[data-figure=overview] .ytick text").all_text_contents()
    assert any(tick.startswith("</script><b>edge</b> · <img src=x") for tick in ticks)
    marker = opened.locator("[data-figure=overview] .scatterlayer .point").first
    box = marker.bounding_box()
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    hover = opened.locator("[data-figure=overview] .hoverlayer .hovertext")
    hover.first.wait_for()
    assert hostile in re.sub(r"\s+", " ", hover.first.text_content().replace("\u00a0", " "))
    assert [message for message in opened.seen if message[0] in {"dialog", "error"}] == []


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_the_page_is_never_wider_than_the_screen(opened, width):
    opened.set_viewport_size({"width": width, "height": 900})
    _wait_for(opened, "document.documentElement.scrollWidth <= window.innerWidth")


def test_figures_follow_the_colour_scheme_and_print_is_light(opened):
    color = "document.querySelector('.js-plotly-plot')._fullLayout.font.color"
    light = opened.evaluate(color)
    opened.emulate_media(color_scheme="dark")
    _wait_for(opened, f"{color} !== '{light}'")
    opened.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    _wait_for(opened, f"{color} === '{light}'")
    assert opened.locator("details:not([open])").count() == 0
    opened.evaluate("window.dispatchEvent(new Event('afterprint'))")
    _wait_for(opened, f"{color} !== '{light}'")
    assert opened.locator("details[open]").count() == 0
