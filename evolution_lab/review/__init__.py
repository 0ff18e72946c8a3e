"""Review: takes suggestions with their evidence, shows them to people, hands on what they decide.

One panel in two places: ``ReviewPanel`` in a notebook and ``ReviewServer`` as a page of this machine.
Both show what ``ReviewBoard`` says and send it what a person decides; every rule is the
orchestrator's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolution_lab.review.board import ReviewBoard

if TYPE_CHECKING:
    from evolution_lab.review.server import ReviewServer
    from evolution_lab.review.widget import ReviewPanel

__all__ = ["ReviewBoard", "ReviewPanel", "ReviewServer"]


def __getattr__(name: str) -> object:
    if name == "ReviewPanel":
        from evolution_lab.review.widget import ReviewPanel

        return ReviewPanel
    if name == "ReviewServer":
        from evolution_lab.review.server import ReviewServer

        return ReviewServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
