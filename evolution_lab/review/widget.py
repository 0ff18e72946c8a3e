"""The panel in a notebook: an anywidget that hands messages to the board."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import anywidget

from evolution_lab.review.board import ReviewBoard

ASSETS = Path(__file__).parent / "assets"


class ReviewPanel(anywidget.AnyWidget):
    """Shows suggestions with their evidence and takes decisions, in JupyterLab, marimo or voila.

    Nothing of a suggestion is kept in the notebook: the panel asks when it is shown.

    Args:
        board: What it shows and who decides.
    """

    _esm: ClassVar[Path] = ASSETS / "panel.js"
    _css: ClassVar[Path] = ASSETS / "panel.css"

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
