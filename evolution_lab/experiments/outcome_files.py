"""Where counted outcomes are kept: each process adds files of its own, and reading adds them up.

A file holds what one writer counted from one flush to another, and says so in its name:
``<writer>-<first flush>-<last flush>``. A writer that joins files of its own publishes the joined one
before it deletes the others; whoever sees both leaves out what another one covers. So files hold
memory small, nothing is counted twice, and no process waits for another.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from evolution_lab.errors import CorruptFileError, EvolutionLabError, FormatVersionError
from evolution_lab.experiments.decisions import CountedOutcomes
from evolution_lab.experiments.definition import SpecExperiment
from evolution_lab.experiments.tallies import TALLY, Tallies, added, counts_of, unit_number
from evolution_lab.redaction import LabKey
from evolution_lab.telemetry.publishing import publish_bytes

FORMAT_VERSION: Final = 1
_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9]{10})-([0-9]{10})\.tallies\Z")
_JOIN_FROM: Final = 0.5
"""Join the last two files once the later has half the rows of the earlier: a row is rewritten as
often as the logarithm of their number, and that many files are left."""
_MOST_TRIES: Final = 50


def outcomes_folder(data: Path, experiment: SpecExperiment) -> Path:
    """Return where outcomes of one version of an experiment are."""
    return data / "lake" / "outcomes" / f"{experiment.key}@{experiment.version}"


class Part(NamedTuple):
    """One file: what ``writer`` counted from its flush ``first`` to its flush ``last``."""

    writer: str
    first: int
    last: int

    @property
    def name(self) -> str:
        """Its file name."""
        return f"{self.writer}-{self.first:010d}-{self.last:010d}.tallies"


@dataclass(eq=False)
class OutcomeWriter:
    """Adds what one process counts of one experiment to the lab.

    Attributes:
        folder: Of the experiment's version, see ``outcomes_folder``.
        writer: 16 hexadecimal digits that no other process has.
    """

    folder: Path
    writer: str
    _flushes: int = field(default=0, init=False)
    _parts: list[tuple[Part, int]] = field(default_factory=list, init=False, repr=False)

    def add(self, table: Tallies, newest: datetime) -> None:
        """Publish what was counted since the last time.

        Args:
            table: The rows.
            newest: When the last of them was counted, UTC.

        Raises:
            OSError: It cannot be written; nothing was added, and it may be tried again.
        """
        part = Part(self.writer, self._flushes, self._flushes)
        publish_bytes(self.folder / part.name, _packed(table, newest))
        self._flushes += 1
        self._parts.append((part, len(table)))
        # It is added: whatever fails from here on must not have it added again.
        with contextlib.suppress(OSError, EvolutionLabError):
            while len(self._parts) > 1 and self._parts[-1][1] >= _JOIN_FROM * self._parts[-2][1]:
                self._join_last_two()

    def _join_last_two(self) -> None:
        (one, _), (two, _) = self._parts[-2:]
        read = [_unpacked(self.folder / part.name) for part in (one, two)]
        table = added(table for table, _ in read)
        joined = Part(self.writer, one.first, two.last)
        publish_bytes(self.folder / joined.name, _packed(table, max(newest for _, newest in read)))
        self._parts[-2:] = [(joined, len(table))]
        for part in (one, two):
            (self.folder / part.name).unlink(missing_ok=True)


def merged_counts(data: Path, experiment: SpecExperiment) -> CountedOutcomes:
    """Return what all processes counted of an experiment so far, each execution once.

    Args:
        data: The lab directory.
        experiment: The definition; another version of it has counts of its own.

    Raises:
        CorruptFileError: A file is not what it should be.
        FormatVersionError: A newer version of the package wrote one.
    """
    folder = outcomes_folder(data, experiment)
    for _ in range(_MOST_TRIES):
        parts = _listed(folder)
        try:
            read = [_unpacked(folder / part.name) for part in parts]
        except FileNotFoundError:  # Joined meanwhile.
            continue
        newest = max((newest for _, newest in read), default=None)
        table = added(table for table, _ in read)
        return CountedOutcomes(counts=counts_of(experiment, table), newest=newest)
    raise CorruptFileError(f"files of {folder.name!r} vanish while they are read.")


def counted_in(data: Path) -> Callable[[SpecExperiment], CountedOutcomes]:
    """Return what ``SpecExperimentController`` asks for outcomes.

    Examples:
        >>> from evolution_lab.experiments import Binding
        >>> arm = {"operation": "checkout"}
        >>> experiment = SpecExperiment(key="try", operation="checkout",
        ...     control=Binding(version="1", **arm), variant=Binding(version="2", **arm))
        >>> print(counted_in(Path("no/such/lab"))(experiment).newest)
        None
    """
    return lambda experiment: merged_counts(data, experiment)


def forget_unit(data: Path, forms: Sequence[str]) -> tuple[str, ...]:
    """Give a unit's counts a random number: they stay as they are, and are nobody's any more.

    A service that counts right now may write a last time under the old number; so the files are
    looked through until none has it, and a service that knew the unit has to be told of the erasure.

    Args:
        data: The lab directory.
        forms: How the unit may be named.

    Returns:
        The folders of experiments where the unit was found: ``<key>@<version>``.

    Raises:
        CorruptFileError: A file is not what it should be.
    """
    root = data / "lake" / "outcomes"
    if not root.is_dir():
        return ()
    key = LabKey.open(data).secret
    theirs = np.array([unit_number(form, key) for form in forms], dtype=np.int64)
    found = set()
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        stranger = secrets.randbits(63) or 1
        for _ in range(_MOST_TRIES):
            seen = [_renumbered(folder / part.name, theirs, stranger) for part in _names(folder)]
            if not any(seen):
                break
            found.add(folder.name)
    return tuple(sorted(found))


def _renumbered(path: Path, theirs: npt.NDArray[np.int64], stranger: int) -> bool:
    try:
        table, newest = _unpacked(path)
    except FileNotFoundError:  # Joined meanwhile: the joined file is looked at next.
        return True
    mine = np.isin(table["unit"], theirs)
    if not mine.any():
        return False
    table = table.copy()
    table["unit"][mine] = stranger
    if path.exists():
        publish_bytes(path, _packed(added([table]), newest))
    return True


def _listed(folder: Path) -> list[Part]:
    """Return the files that count: listed twice alike, and none that another one covers."""
    before: list[Part] | None = None
    for _ in range(_MOST_TRIES):
        found = sorted(_names(folder))
        if found == before:
            break
        before = found
    by_writer: defaultdict[str, list[Part]] = defaultdict(list)
    for part in before or ():
        by_writer[part.writer].append(part)
    counting: list[Part] = []
    for parts in by_writer.values():
        covered = -1
        for part in sorted(parts, key=lambda part: (part.first, -part.last)):
            if part.last > covered:
                counting.append(part)
                covered = part.last
    return counting


def _names(folder: Path) -> list[Part]:
    if not folder.is_dir():
        return []
    matched = (_NAME.match(path.name) for path in folder.iterdir())
    return [Part(m[1], int(m[2]), int(m[3])) for m in matched if m]


def _packed(table: Tallies, newest: datetime) -> bytes:
    said = {"formatVersion": FORMAT_VERSION, "rows": len(table), "newest": newest.isoformat()}
    body = zlib.compress(table.astype(TALLY).tobytes(), level=1)
    return json.dumps(said).encode() + b"\n" + body


def _unpacked(path: Path) -> tuple[Tallies, datetime]:
    content = path.read_bytes()
    head, _, body = content.partition(b"\n")
    try:
        said = json.loads(head)
        version = said["formatVersion"]
        if version != FORMAT_VERSION:
            raise FormatVersionError(path.name, version, FORMAT_VERSION)
        wanted = int(said["rows"]) * TALLY.itemsize
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(body, wanted + 1)
        newest = datetime.fromisoformat(said["newest"]).astimezone(UTC)
        if len(raw) != wanted or not unpacker.eof:
            raise ValueError(f"{len(raw)} bytes instead of {wanted}")
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise CorruptFileError(f"{path.name!r} holds no outcomes: {error}.") from None
    return np.frombuffer(raw, dtype=TALLY), newest
