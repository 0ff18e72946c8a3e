"""The panel in a notebook: an anywidget that hands messages to the board."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evolution_lab.review.board import ReviewBoard

if TYPE_CHECKING:
    from anywidget import AnyWidget

ASSETS = Path(__file__).parent / "assets"


def review_panel(board: ReviewBoard) -> AnyWidget:
    """Return the panel as a widget for JupyterLab, marimo or voila.

    Nothing of a suggestion is kept in the notebook: the panel asks when it is shown. The widget's
    ``handle`` answers a message as the page's would be answered.

    Args:
        board: What it shows and who decides.
    """
    panel: AnyWidget = _panel_class()(board)
    return panel


@cache
def _panel_class() -> type[Any]:
    # a second of import time that only notebooks pay
    import anywidget

    class ReviewPanel(anywidget.AnyWidget):
        """Shows suggestions with their evidence and takes decisions."""

        _esm = ASSETS / "panel.js"
        _css = ASSETS / "panel.css"

        def __init__(self, board: ReviewBoard, **traits: Any) -> None:
            super().__init__(**traits)
            self.board = board
            self.on_msg(self._on_message)

        def _on_message(self, _: object, content: Any, __: object) -> None:
            self.send(self.handle(content))

        def handle(self, content: Any) -> dict[str, Any]:
            """Return the answer to a message of the page, with the number it was asked under."""
            number = content.get("number") if isinstance(content, dict) else None
            return {**self.board.handle(content), "number": number}

    return ReviewPanel
