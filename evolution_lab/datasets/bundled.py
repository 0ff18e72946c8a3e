"""Where the files that come with the package are: in the wheel, or in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from evolution_lab.errors import PathNotFoundError

_PACKAGE: Final = Path(__file__).parents[1]


def sample_path() -> Path:
    """Return the folder of the bundled sample: spans, traffic, spec, labels and settings.

    Raises:
        PathNotFoundError: The package was installed without it.

    Examples:
        >>> sorted(path.name for path in sample_path().iterdir() if path.suffix != ".md")
        ['evolution_lab.toml', 'faults.json', 'openapi.json', 'spans.jsonl.gz', 'traffic.har.zst']
    """
    return _bundled("sample", checkout="data/sample")


def notebooks_path() -> Path:
    """Return the folder of the bundled notebooks.

    Raises:
        PathNotFoundError: The package was installed without them.
    """
    return _bundled("notebooks", checkout="notebooks")


def _bundled(name: str, *, checkout: str) -> Path:
    """A wheel carries the files inside the package; a checkout has them beside it."""
    in_checkout = _PACKAGE.parent / checkout
    for folder in (_PACKAGE / "_bundled" / name, in_checkout):
        if folder.is_dir():
            return folder
    raise PathNotFoundError(in_checkout)
