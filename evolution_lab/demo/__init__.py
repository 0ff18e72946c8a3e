"""The demo: a real small shop to watch and record, and the bundled recording walked down the line.

- ``demo.shop`` is the service (extra ``demo``): ``python -m evolution_lab.demo.shop`` serves it, with
  regressions and faults on demand;
- ``python -m evolution_lab.demo.record OUT`` drives it over loopback while planned faults come and
  go (``demo.timeline`` says which), and leaves spans, exchanges and labels;
- ``walk_through`` takes the bundled sample and gives a lab directory, a report and a score, with no
  server and no key.

Names are resolved at first use, so that serving the shop does not load the whole line.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evolution_lab.demo.scoring import (
        FaultScore,
        Score,
        SuggestionScore,
        score_detection,
        score_suggestions,
    )
    from evolution_lab.demo.walkthrough import Walkthrough, walk_through

_HOMES = {
    "FaultScore": "scoring",
    "Score": "scoring",
    "SuggestionScore": "scoring",
    "Walkthrough": "walkthrough",
    "score_detection": "scoring",
    "score_suggestions": "scoring",
    "walk_through": "walkthrough",
}

__all__ = [
    "FaultScore",
    "Score",
    "SuggestionScore",
    "Walkthrough",
    "score_detection",
    "score_suggestions",
    "walk_through",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'evolution_lab.demo' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"evolution_lab.demo.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
