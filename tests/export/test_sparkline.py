"""Small charts keep their spikes and their gaps, and no label breaks out of them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.export import sparkline_svg, sparkline_text

VALUES = st.lists(st.none() | st.floats(0, 1e12, allow_subnormal=False), max_size=300)


@given(VALUES, st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20))
@settings(max_examples=30)
def test_every_sparkline_is_well_formed_and_inside_its_box(values, label):
    root = ET.fromstring(sparkline_svg(values, marked=(0, 0), label=label))
    path = root.find("path").get("d")
    heights = [float(point.split()[1]) for point in path.replace("L", "M").split("M")[1:]]
    assert all(0 <= y <= 28 for y in heights)
    assert root.get("aria-label").split() == label.split()


@given(st.integers(0, 999))
@settings(max_examples=20)
def test_one_spike_among_a_thousand_is_seen(position):
    values = [0.0] * 1000
    values[position] = 5.0
    assert sparkline_text(values).count("█") == 1
    assert sparkline_svg(values).count(" 2.0") == 1


def test_gaps_lift_the_pen():
    assert sparkline_svg([1, None, 1, 1]).count("M") == 2
    assert sparkline_text([]) == ""
    assert sparkline_text([None, float("nan")]) == "  "
