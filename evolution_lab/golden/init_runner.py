"""Starters of runners, in either language: what `evolution-lab test init-runner` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from evolution_lab.errors import InputError

_PYTHON: Final = '''\
"""Calls the system under test for golden tests: fill in ``run_contract``."""

from typing import Any


def run_contract(sent: Any, metadata: dict[str, Any]) -> Any:
    """Call the operation with a recorded input and return its output as JSON values.

    ``metadata["operation"]`` names the operation. Raise what the operation raises: name, code and
    message of the exception are compared with what was recorded. May be ``async``.
    """
    raise NotImplementedError(metadata["operation"])


def setup(case: str) -> None:
    """Bring the system into the state that a case needs."""


def teardown(case: str) -> None:
    """Undo what a case left behind; called whatever became of it."""
'''
_TYPESCRIPT: Final = """\
// Calls the system under test for golden tests: fill in runContract.

/**
 * Calls the operation with a recorded input and returns its output as JSON values.
 *
 * metadata.operation names the operation. Throw what the operation throws: name, code and message
 * of the error are compared with what was recorded.
 */
export const runContract = async (
  sent: any,
  metadata: { operation: string },
): Promise<unknown> => {
  throw new Error(`not implemented: ${metadata.operation}`);
};

/** Brings the system into the state that a case needs. */
export const setup = async (_case: string): Promise<void> => {};

/** Undoes what a case left behind; called whatever became of it. */
export const teardown = async (_case: string): Promise<void> => {};
"""


def write_starter(path: Path) -> Path:
    """Write a runner to start from, in the language the name asks for; nothing is overwritten.

    Raises:
        InputError: The file is there, or its name ends in neither ``.py`` nor ``.ts``.
    """
    text = {".py": _PYTHON, ".ts": _TYPESCRIPT}.get(path.suffix)
    if text is None:
        raise InputError(f"path == {path.name!r}, must end in .py or .ts.")
    if path.exists():
        raise InputError(f"{path.name} is there already, must be a new file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
