"""Under which licence each pinned library is, by its own metadata; writes ``requirements/licences.md``.

python tests/licences.py
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "requirements" / "licences.md"
HEAD = """# Licences of the pinned libraries

By the metadata that each carries; `python tests/licences.py` writes this page anew. Refused: AGPL, GPL and
whatever says nothing. LGPL libraries are used as they are, unchanged and replaceable.

| library | licence |
|---|---|
"""
SAID_ELSEWHERE = {
    "oas-patch": "MIT (by the file it carries)",
    "osparc-client": "not said in the package; of the tests' libraries, not of ours",
}
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


def pinned() -> list[str]:
    """Return the names of the pinned libraries."""
    text = (ROOT / "requirements" / "test.txt").read_text(encoding="utf-8")
    return sorted(set(_PINNED.findall(text)))


def licence_of(name: str) -> str | None:
    """Return a library's licence, None where it is not installed (another platform's)."""
    try:
        about = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    classified = [
        entry.rpartition(" :: ")[2]
        for entry in about.get_all("Classifier") or []
        if entry.startswith("License :: ")
    ]
    told = about.get("License-Expression") or "; ".join(classified) or about.get("License") or ""
    return SAID_ELSEWHERE.get(name) or told.strip().partition("\n")[0][:80]


def page() -> str:
    """Return the page."""
    rows = [(name, licence_of(name)) for name in pinned()]
    return HEAD + "".join(f"| {name} | {licence} |\n" for name, licence in rows if licence)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
