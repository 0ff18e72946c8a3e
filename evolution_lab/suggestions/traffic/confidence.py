"""Confidence of what traffic says: how often findings of a kind were right on drawn shops.

Of each kind, ``(true + 1) / (said + 2)`` (Laplace's rule) over the shops that
``python -m evolution_lab.bench.suggestion_confidence`` draws; none of them is among those that
``evolution-lab bench suggestions`` judges.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from evolution_lab.suggestions.traffic.findings import TrafficFinding

BUNDLED: Final = Path(__file__).with_name("confidence.json")
FEWEST: Final = 5
"""Findings of a kind below which nothing is known of it."""


@cache
def bundled_counts() -> Mapping[str, Any]:
    """Return the counts that come with the package: ``kinds`` with ``said`` and ``true``, ``seeds``."""
    counts: Mapping[str, Any] = json.loads(BUNDLED.read_text(encoding="utf-8"))
    return counts


def confidence_of(kind: str, counts: Mapping[str, Any] | None = None) -> float | None:
    """Return the share of findings of a kind that is right; None where too few are known.

    Examples:
        >>> confidence_of("drift", {"kinds": {"drift": {"said": 98, "true": 98}}})
        0.99
        >>> confidence_of("drift", {"kinds": {}}) is None
        True
    """
    known = (bundled_counts() if counts is None else counts)["kinds"].get(kind)
    if known is None or known["said"] < FEWEST:
        return None
    return float((known["true"] + 1) / (known["said"] + 2))


def with_confidence(finding: TrafficFinding) -> TrafficFinding:
    """Return a finding with its confidence."""
    return replace(finding, confidence=confidence_of(finding.kind))
