"""Files looked through for personal data and secrets: the proof that what was written shows none.

Any directory: text as it is, Parquet by its values, DuckDB and other binary files by the texts within
them. Stand-ins and this package's own masks are no findings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from evolution_lab.display import ResultMixin
from evolution_lab.errors import PathNotFoundError
from evolution_lab.redaction.recognisers import RECOGNISERS, Recogniser
from evolution_lab.redaction.stand_ins import stands_in

Progress = Callable[[int, int], None]

KINDS: Final = ("email", "phone", "card", "iban", "ssn", "ip", "secret")
"""Kinds that a scan names; ``all_kinds`` adds those that guess in text of any sort."""
_CERTAIN: Final = tuple(
    each
    for each in RECOGNISERS
    if each.in_names and each.kind in KINDS and each.find.__name__ != "find_assigned_secrets"
)
_GUESSING: Final = tuple(each for each in RECOGNISERS if each.kind in KINDS)
_CHUNK: Final = 1 << 20
_OVERLAP: Final = 512
_TEXT_RUN = re.compile(rb"[\x20-\x7e\xc2-\xf4\x80-\xbf]{6,}")
_SKIPPED: Final = frozenset({".git", "node_modules", "__pycache__", ".venv"})
_VERSION_BEFORE = re.compile(r"(?i)(?:==|>=|<=|~=|\^|version\W{0,3}|[/@-]v?)$")
_FRACTION_BEFORE = re.compile(r"\d\.$")
_RESERVED: Final = (".test", ".example", ".invalid", ".localhost", "example.com", "example.org")
_DOCUMENTATION: Final = ("192.0.2.", "198.51.100.", "203.0.113.", "10.", "192.168.", "127.", "0.")


@dataclass(frozen=True)
class Leak:
    """One place where a file shows something; never the value itself.

    Attributes:
        path: The file.
        line: Line, beginning with 1; 0 in a file that has none.
        kind: What kind of value it is.
        shape: The value with each letter as ``a`` and each digit as ``9``, cut at 24 characters.
    """

    path: str
    line: int
    kind: str
    shape: str


@dataclass(frozen=True)
class ScanReport(ResultMixin):
    """What a scan found.

    Attributes:
        leaks: Each place, in order of path and line.
        files: How many files were looked through.
        unread: Files that could not be read, with the reason.
    """

    _title: ClassVar[str] = "Personal data and secrets"

    leaks: tuple[Leak, ...]
    files: int
    unread: tuple[tuple[str, str], ...] = ()

    @property
    def clean(self) -> bool:
        """Whether all was read and nothing was found."""
        return not self.leaks and not self.unread

    def by_kind(self) -> dict[str, int]:
        """Return how many places were found of each kind."""
        return dict(sorted(Counter(leak.kind for leak in self.leaks).items()))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a place."""
        return [
            {"file": leak.path, "line": leak.line, "kind": leak.kind, "looks like": leak.shape}
            for leak in self.leaks
        ]


def scan_paths(
    paths: list[Path], *, all_kinds: bool = False, progress: Progress | None = None
) -> ScanReport:
    """Look through files and folders for what should not be in them.

    Args:
        paths: Files, or folders with all below them.
        all_kinds: Also look with recognisers that guess (telephone numbers, random tokens,
            values behind telling names), which find things in code that are none.
        progress: Called with the files read so far and the files in all.

    Raises:
        PathNotFoundError: A path does not exist.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "case.json").write_text('{"mail": "jane@shop.io"}')
        >>> scan_paths([folder]).by_kind()
        {'email': 1}
    """
    files = list(_files(paths))
    recognisers = _GUESSING if all_kinds else _CERTAIN
    leaks: list[Leak] = []
    unread: list[tuple[str, str]] = []
    for number, (root, path) in enumerate(files):
        name = path.relative_to(root).as_posix() if root != path else path.name
        try:
            for line, text in _texts(path):
                leaks += _found(name, line, text, recognisers)
        except (OSError, ValueError) as error:
            unread.append((name, type(error).__name__))
        if progress is not None:
            progress(number + 1, len(files))
    ordered = sorted(set(leaks), key=lambda each: (each.path, each.line, each.kind, each.shape))
    return ScanReport(tuple(ordered), len(files), tuple(unread))


def leaks_in_text(text: str, *, name: str = "text", all_kinds: bool = False) -> tuple[Leak, ...]:
    """Return the places where a text shows something.

    Examples:
        >>> [leak.kind for leak in leaks_in_text("card 4111 1111 1111 1111")]
        ['card']
    """
    recognisers = _GUESSING if all_kinds else _CERTAIN
    lines = enumerate(text.splitlines(), start=1)
    return tuple(leak for n, line in lines for leak in _found(name, n, line, recognisers))


def _found(name: str, line: int, text: str, recognisers: tuple[Recogniser, ...]) -> Iterator[Leak]:
    for recogniser in recognisers:
        for start, end in recogniser.find(text):
            value = text[start:end]
            if not _harmless(recogniser.kind, value, text[max(0, start - 12) : start]):
                yield Leak(name, line, recogniser.kind, _shape(value))


def _harmless(kind: str, value: str, before: str) -> bool:
    """Say whether a value stands in for another, or is reserved for documentation."""
    if kind == "card" and _FRACTION_BEFORE.search(before):
        return True  # The digits of a number such as 0.4111111111111111.
    if stands_in(kind, value) or (value.startswith("[") and value.endswith("]")):
        return True
    if kind == "email":
        return value.lower().endswith(_RESERVED)
    if kind == "ip":
        return value.startswith(_DOCUMENTATION) or _VERSION_BEFORE.search(before) is not None
    return False


def _shape(value: str) -> str:
    drawn = re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", value))
    return drawn if len(drawn) <= 24 else drawn[:23] + "…"


def _files(paths: list[Path]) -> Iterator[tuple[Path, Path]]:
    for root in paths:
        if not root.exists():
            raise PathNotFoundError(root)
        if root.is_file():
            yield root, root
            continue
        for path in sorted(root.rglob("*")):
            below = path.relative_to(root).parts
            if path.is_file() and not path.is_symlink() and not _SKIPPED.intersection(below):
                yield root, path


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    if path.suffix == ".parquet":
        yield from _parquet_texts(path)
        return
    with path.open("rb") as file:
        binary = b"\x00" in file.read(4096)
        file.seek(0)
        if binary:
            before = b""
            while chunk := file.read(_CHUNK):
                for run in _TEXT_RUN.finditer(before + chunk):
                    yield 0, run[0].decode("utf-8", "replace")
                before = chunk[-_OVERLAP:]
            return
        for number, line in enumerate(file, start=1):
            text = line.decode("utf-8", "replace")
            # a line without an end is looked at in pieces that overlap
            for start in range(0, max(len(text), 1), _CHUNK):
                yield number, text[max(0, start - _OVERLAP) : start + _CHUNK]


def _parquet_texts(path: Path) -> Iterator[tuple[int, str]]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    for batch in file.iter_batches(batch_size=2048):
        for column in batch.columns:
            for value in column.to_pylist():
                yield 0, value if isinstance(value, str) else str(value)
