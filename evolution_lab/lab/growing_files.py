"""Files that grow: of those that hold a span a line only the new lines are read at each look."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from evolution_lab.lab.every_night import TelemetryToLand
from evolution_lab.lab.whole import Lab
from evolution_lab.telemetry import LandingReport
from evolution_lab.telemetry.formats import recognise
from evolution_lab.telemetry.landing import OTLP_JSON
from evolution_lab.telemetry.spool import SPOOL_FOLDER

_HEAD: Final = 1 << 16
_BLOCK: Final = 1 << 20
_LONGEST_TAIL: Final = 256 << 20
"""Bytes; of a file that grew by more the copy would cost more than reading it anew saves."""

FileState = tuple[int, int, int]
"""Inode, bytes, and time of the last change."""


@dataclass(eq=False)
class GrowingFiles:
    """Lands what came to files and folders since the last look.

    Spans know themselves by their ids, so a line of them says the same wherever it is read. All
    other files are read whole when they change: landing knows what it has.

    Attributes:
        telemetry: The files and folders, and how they are read.
    """

    telemetry: TelemetryToLand
    _states: dict[str, dict[str, FileState]] = field(default_factory=dict, init=False)
    _ends: dict[str, tuple[int, int]] = field(default_factory=dict, init=False)

    def land(self, lab: Lab) -> LandingReport | None:
        """Land what is new; None where nothing has changed.

        Raises:
            PathNotFoundError: A path does not exist.
            UnknownFormatError: Nothing recognises a named file.
        """
        present = {str(path): _states_of(Path(path)) for path in self.telemetry.paths}
        changed = {
            path: {name for name in files if files[name] != self._states.get(path, {}).get(name)}
            for path, files in present.items()
            if files != self._states.get(path) or not files
        }
        if not changed:
            return None
        whole = [path for path, files in changed.items() if not self._only_grew(files, path)]
        grown = sorted({name for path in changed.keys() - set(whole) for name in changed[path]})
        read = {name: state for path in whole for name, state in present[path].items()}
        ends = {name: end for name in read if (end := _end_of_lines(Path(name))) is not None}
        with _tails(lab.data, {name: self._ends[name] for name in grown}) as tails:
            paths: tuple[str | Path, ...] = (*whole, *(tail for tail, _ in tails.values()))
            if not paths:
                self._states.update(present)
                return None
            report = replace(self.telemetry, paths=paths).land(lab)
        self._states.update(present)
        self._ends.update(ends)
        self._ends.update({name: end for name, (_, end) in tails.items()})
        return report

    def _only_grew(self, names: set[str], path: str) -> bool:
        """Whether each changed file is one whose lines were read, and has become longer."""
        if not names:
            # Files are gone or were never there: landing says which.
            return bool(self._states.get(path)) and Path(path).is_dir()
        return all(_has_grown(Path(name), self._ends.get(name)) for name in names)


def _has_grown(path: Path, end: tuple[int, int] | None) -> bool:
    if end is None:
        return False
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_ino == end[0] and 0 <= found.st_size - end[1] <= _LONGEST_TAIL


def _states_of(path: Path) -> dict[str, FileState]:
    """Return the state of a file, or of each file of a folder, by its path."""
    names = (
        (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)  # noqa: PTH118 - many files
        if path.is_dir()
        else (str(path),)
    )
    states = {}
    for name in names:
        try:
            found = os.stat(name)  # noqa: PTH116 - many files
        except OSError:
            continue
        states[name] = (found.st_ino, found.st_size, found.st_mtime_ns)
    return states


def _end_of_lines(path: Path) -> tuple[int, int] | None:
    """Return the inode and the end of the last whole line, of a file with spans a line."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            reader = recognise(head, path.name)
            if reader is None or reader.name != OTLP_JSON or not head.startswith(b"{"):
                return None
            found = os.fstat(file.fileno())
            end = found.st_size
            while end:
                begin = max(0, end - _BLOCK)
                file.seek(begin)
                at = file.read(end - begin).rfind(b"\n")
                if at >= 0:
                    return (found.st_ino, begin + at + 1)
                end = begin
    except OSError:
        return None
    return None


@contextmanager
def _tails(
    data: Path, ends: dict[str, tuple[int, int]]
) -> Iterator[dict[str, tuple[Path, tuple[int, int]]]]:
    """Copy the whole lines that came after each end; the copies go when they are landed."""
    if not ends:
        yield {}
        return
    spool = data / SPOOL_FOLDER
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="tail-", dir=spool))
    try:
        copied = {}
        for number, (name, (inode, begin)) in enumerate(ends.items()):
            (folder / str(number)).mkdir()
            copy = folder / str(number) / Path(name).name
            length = _copy_lines(Path(name), begin, copy)
            if length:
                copied[name] = (copy, (inode, begin + length))
        yield copied
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_lines(source: Path, begin: int, target: Path) -> int:
    """Copy from ``begin`` to the end of the last whole line; return how many bytes that is."""
    with source.open("rb") as file, target.open("wb") as out:
        file.seek(begin)
        shutil.copyfileobj(file, out, _BLOCK)
    end = _end_of_lines(target)
    length = 0 if end is None else end[1]
    os.truncate(target, length)
    return length
