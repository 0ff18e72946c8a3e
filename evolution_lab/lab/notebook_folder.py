"""The bundled notebooks put where somebody works, pointed at their lab directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from evolution_lab.datasets import notebooks_path
from evolution_lab.errors import CorruptFileError, LakeError

_PARAMETER: Final = 'data = ""'


def copy_notebooks(folder: str | Path, *, data: str | Path | None = None) -> tuple[Path, ...]:
    """Copy the notebooks into a folder; one that is there already stays as it is.

    Args:
        folder: Where to; created when absent.
        data: The lab directory that they look at; a temporary one with the sample without it.

    Returns:
        All notebooks in order, those that were there among them.

    Raises:
        LakeError: The folder cannot be written to.

    Examples:
        >>> import tempfile
        >>> [path.stem for path in copy_notebooks(tempfile.mkdtemp())][0]
        '01_land_telemetry'
    """
    target = Path(folder)
    found = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for source in sorted(notebooks_path().glob("*.ipynb")):
            path = target / source.name
            found.append(path)
            if not path.exists():
                path.write_text(_pointed_at(source, data), encoding="utf-8")
    except OSError as error:
        raise LakeError(f"{target} cannot hold the notebooks: {error.strerror}.") from error
    return tuple(found)


def _pointed_at(source: Path, data: str | Path | None) -> str:
    """Return a notebook with the lab directory among its parameters."""
    text = source.read_text(encoding="utf-8")
    if data is None:
        return text
    notebook: dict[str, Any] = json.loads(text)
    absolute = f"data = {json.dumps(str(Path(data).resolve()))}"
    for cell in notebook["cells"]:
        if "parameters" in cell.get("metadata", {}).get("tags", ()):
            lines = [
                line.replace(_PARAMETER, absolute) if line.startswith(_PARAMETER) else line
                for line in cell["source"]
            ]
            if lines == cell["source"]:
                raise CorruptFileError(f"{source.name} has no parameter 'data': install anew.")
            cell["source"] = lines
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
