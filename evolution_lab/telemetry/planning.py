"""What a call of ``land`` asks for, brought to one form before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from evolution_lab.errors import ConfigError, InputError, UnknownFormatError
from evolution_lab.telemetry.formats import readers, recognise
from evolution_lab.telemetry.mapping import ColumnMapping
from evolution_lab.telemetry.parquet_tables import FrameSource
from evolution_lab.telemetry.reading import Reader
from evolution_lab.telemetry.sources import SourceFile


@dataclass(frozen=True)
class PlannedFile:
    """A file and who reads it.

    Attributes:
        file: The file.
        reader: None where the file is empty, cannot be opened, or nothing recognises it.
        size: Bytes on disk.
        empty: Whether it holds nothing but white space.
        problem: Why it cannot be opened, in a sentence.
    """

    file: SourceFile
    reader: Reader | None
    size: int
    empty: bool
    problem: str | None = None


def planned_file(file: SourceFile, chosen: Reader | None) -> PlannedFile:
    """Find the reader of a file.

    Args:
        file: The file.
        chosen: The reader that the caller named for all files; a file of a folder must still look
            right to it.

    Raises:
        UnknownFormatError: Nothing recognises a named file.
        InputError: A named file cannot be opened.
    """
    try:
        with file.opened() as stream:
            size, head, failure = stream.size, stream.head(), stream.failure
    except InputError as error:
        if file.named:
            raise
        return PlannedFile(file, None, 0, empty=False, problem=str(error))
    if not head.strip() and failure is None:
        return PlannedFile(file, None, size, empty=True)
    name = file.path.name
    if chosen is None:
        reader = recognise(head, name)
    else:
        reader = chosen if file.named or chosen.recognises(head, name) else None
    if reader is None and file.named:
        known = ", ".join(reader.name for reader in readers())
        raise UnknownFormatError(
            f"nothing recognises {file.name!r}. Readers: {known}; name one with --format."
        )
    return PlannedFile(file, reader, size, empty=False)


def paths_and_frames(sources: object) -> tuple[list[Path], list[FrameSource]]:
    """Part the sources, one or several, into paths and frames.

    Raises:
        InputError: A source is neither a path nor a frame.
    """
    single = isinstance(sources, (str, Path)) or FrameSource.accepts(sources)
    many: Iterable[object] = [sources] if single else cast("Iterable[object]", sources)
    if not isinstance(many, Iterable):
        raise InputError(f"{sources!r} is neither a path nor a frame.")
    paths, frames = [], []
    for source in many:
        if isinstance(source, (str, Path)):
            paths.append(Path(source))
        elif isinstance(source, FrameSource):
            frames.append(source)
        elif FrameSource.accepts(source):
            frames.append(FrameSource(source, f"frame {len(frames) + 1}"))
        else:
            raise InputError(f"{source!r} is neither a path nor a frame.")
    return paths, frames


def column_mapping(
    mapping: ColumnMapping | Iterable[str] | Mapping[str, str],
) -> ColumnMapping | None:
    """Return the mapping that the caller gave in one form or another, None for none.

    Raises:
        MappingError: It names an unknown role or unit, or lacks a role.
    """
    if isinstance(mapping, ColumnMapping):
        return mapping
    items = mapping if isinstance(mapping, Mapping) else list(mapping)
    return ColumnMapping.parse(items) if items else None


def kept_mappings(
    mappings: Iterable[Mapping[str, str]], tz: str | None
) -> tuple[ColumnMapping, ...]:
    """Return the mappings that the settings keep.

    Args:
        mappings: Roles to ``COLUMN[:UNIT]``, and perhaps ``tz``.
        tz: The zone that the caller names; it wins over those that were kept.

    Raises:
        MappingError: One names an unknown role or unit, or lacks a role.
        ConfigError: There is no such zone.
    """
    found = []
    for each in mappings:
        roles = {role: column for role, column in each.items() if role != "tz"}
        zone = tz or zone_name(each.get("tz"))
        found.append(replace(ColumnMapping.parse(roles), tz=zone))
    return tuple(found)


def zone_name(name: str | None) -> str | None:
    """Return the name of a zone that exists.

    Raises:
        ConfigError: There is no such zone.
    """
    if name is None:
        return None
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"tz == {name!r}, must be the name of a time zone such as UTC or Europe/Berlin."
        ) from error
