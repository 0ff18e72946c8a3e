"""What the projection of each day covers: valid while the sample files that it was built from live.

    latency/date=YYYY-MM-DD/runs.json               the runs of a day, replaced by one rename
    latency/date=YYYY-MM-DD/run-<hash>-<n>.parquet  narrow rows
    latency/date=YYYY-MM-DD/failures-<hash>.parquet

The projection is derived: where it lacks a sample file, readers take that file itself. Sample files
that were merely joined count as what they were joined from; those that lost rows are other files, and
what was built from them before is passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from evolution_lab.errors import CorruptFileError, FormatVersionError
from evolution_lab.telemetry.batches import BatchFile, read_versioned_json
from evolution_lab.telemetry.lake import Lake, partition
from evolution_lab.telemetry.projection.runs import Run
from evolution_lab.telemetry.publishing import FORMAT_VERSION, publish_bytes
from evolution_lab.telemetry.rewriting import day_of, folder_of


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The runs of one day.

    Attributes:
        runs: Each sample file is in one of them at most.
        format_version: Of this file and of the runs.
    """

    runs: tuple[Run, ...] = ()
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class DayState:
    """What of a day can be read from the projection.

    Attributes:
        files: The live sample files.
        runs: Those that are still true.
        uncovered: Live sample files that no run was built from.
        leaves: What each live sample file was joined from: itself where it was not.
    """

    files: tuple[BatchFile, ...]
    runs: tuple[Run, ...]
    uncovered: tuple[BatchFile, ...]
    leaves: Mapping[str, frozenset[str]] = field(default_factory=dict)


_MANIFEST: Final = TypeAdapter(Manifest)
_MANIFESTS: Final = "latency/date=*/runs.json"


def folder_of_day(day: date) -> str:
    """Return the folder of a day's projection, relative to the lake."""
    return f"latency/{partition(day)}"


def projected_days(root: Path) -> list[date]:
    """Return the days that have a manifest, also those whose samples are gone."""
    found = (day_of(path.parent.relative_to(root).as_posix()) for path in root.glob(_MANIFESTS))
    return sorted(day for day in found if day is not None)


def read_manifest(root: Path, day: date) -> Manifest:
    """Return the runs of a day, none where there is no manifest.

    One that cannot be read, or that a newer version of this package wrote, counts as none: the
    projection is built again from the samples.
    """
    path = _path(root, day)
    if not path.is_file():
        return Manifest()
    try:
        return _MANIFEST.validate_python(read_versioned_json(path))
    except (CorruptFileError, FormatVersionError, ValidationError, OSError):
        return Manifest()


def publish_manifest(root: Path, day: date, manifest: Manifest) -> None:
    """Make runs count, and those it does not name count no more. Their files must be in place."""
    publish_bytes(_path(root, day), _MANIFEST.dump_json(manifest) + b"\n")


def day_states(lake: Lake, days: Collection[date] | None = None) -> dict[date, DayState]:
    """Return what of each day can be read from the projection, by day.

    Args:
        lake: The lake.
        days: Only these.
    """
    origins = _origins(lake)
    by_day: dict[date, list[BatchFile]] = {}
    for file in lake.live("samples"):
        day = day_of(folder_of(file))
        if day is not None and (days is None or day in days):
            by_day.setdefault(day, []).append(file)
    return {
        day: _state(files, read_manifest(lake.root, day).runs, origins)
        for day, files in sorted(by_day.items())
    }


def _state(
    files: Iterable[BatchFile], runs: tuple[Run, ...], origins: Mapping[str, tuple[str, ...]]
) -> DayState:
    live = {file.path: file for file in files}
    leaves = {path: frozenset(_leaves(path, origins)) for path in live}
    known = frozenset[str]().union(*leaves.values())
    valid = [run for run in runs if known.issuperset(run.built_from)]
    while True:
        covered = frozenset(path for run in valid for path in run.built_from)
        # A joined file that is covered in part is read itself, and not also what covers that part.
        torn = frozenset[str]().union(
            *(own for own in leaves.values() if own & covered and not own <= covered)
        )
        if not torn:
            break
        valid = [run for run in valid if not torn.intersection(run.built_from)]
    uncovered = tuple(live[path] for path in sorted(live) if not leaves[path] <= covered)
    return DayState(tuple(live[path] for path in sorted(live)), tuple(valid), uncovered, leaves)


def _origins(lake: Lake) -> dict[str, tuple[str, ...]]:
    """Return what each joined sample file was joined from."""
    return {
        file.path: swap.replaces
        for swap in lake.swaps()
        if swap.reason == "compact"
        for file in swap.adds.get("samples", ())
    }


def _leaves(path: str, origins: Mapping[str, tuple[str, ...]]) -> Iterable[str]:
    if path not in origins:
        yield path
        return
    for each in origins[path]:
        yield from _leaves(each, origins)


def _path(root: Path, day: date) -> Path:
    return root / folder_of_day(day) / "runs.json"
