"""Review: takes suggestions with their evidence, shows them to people, hands on what they decide.

One panel in two places: ``review_panel`` in a notebook and ``ReviewServer`` as a page of this machine.
Both show what ``ReviewBoard`` says and send it what a person decides; every rule is the
orchestrator's.
"""

from evolution_lab.review.board import ReviewBoard
from evolution_lab.review.server import ReviewServer
from evolution_lab.review.widget import review_panel

__all__ = ["ReviewBoard", "ReviewServer", "review_panel"]
