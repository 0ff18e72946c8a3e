"""Recordings of other tools into snapshots: HAR, VCR, Keploy, OTLP with bodies, JSON lines."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import ValidationError

from evolution_lab.contracts.openapi import OpenApiDocument
from evolution_lab.display import ResultMixin
from evolution_lab.errors import ConfigError, InputError, UnknownFormatError
from evolution_lab.golden.http_snapshots import HeaderList, UnrecordableError, http_snapshot
from evolution_lab.golden.importing_formats import (
    ImportedCall,
    har_calls,
    keploy_calls,
    otlp_calls,
    vcr_calls,
)
from evolution_lab.golden.importing_routes import RouteNames
from evolution_lab.golden.importing_texts import json_document, yaml_documents
from evolution_lab.golden.snapshot_sanitising import Sanitize, SnapshotSanitiser, SnapshotSettler
from evolution_lab.golden.store import Added, TrafficStore
from evolution_lab.golden.store_lake import LakeTrafficStore
from evolution_lab.records import TrafficSnapshot, from_json, json_schema
from evolution_lab.redaction import LabKey
from evolution_lab.telemetry.sources import SourceFile, SourceStream, find_files

TrafficFormat = Literal["auto", "har", "vcr", "keploy", "otlp", "snapshots"]
FORMATS: Final = ("auto", "har", "vcr", "keploy", "otlp", "snapshots")

LINE_FORMAT_VERSION: Final = 1
"""Of the JSON lines; a line may state it as ``formatVersion``, and a newer one is refused."""
LARGEST_FILE: Final = 512 * 1024 * 1024
_LONGEST_LINE: Final = 16 * 1024 * 1024

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ImportReport(ResultMixin):
    """What an import brought.

    Attributes:
        added: Snapshots stored now.
        duplicates: Snapshots stored before.
        refused: Calls that were left out, by reason.
        files: Files that were read.
        skipped: Files that no format fits.
    """

    added: int
    duplicates: int
    refused: dict[str, int]
    files: int
    skipped: tuple[str, ...] = ()

    _title: ClassVar[str] = "Import of traffic"

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict."""
        return [
            {
                "added": self.added,
                "duplicates": self.duplicates,
                "refused": sum(self.refused.values()),
                "files": self.files,
                "skipped": len(self.skipped),
            }
        ]


@dataclass
class TrafficReader:
    """Reads recordings; what cannot be read is counted and stops nothing else.

    Nothing of what it yields is sanitised.

    Attributes:
        names: Names operations that the recording does not name.
        headers: Which headers are kept.
        refused: Calls left out so far, by reason.
    """

    names: RouteNames = field(default_factory=RouteNames)
    headers: HeaderList = field(default_factory=HeaderList)
    refused: Counter[str] = field(default_factory=Counter)

    def snapshots(self, file: SourceFile, format: str = "auto") -> Iterator[TrafficSnapshot]:  # noqa: A002
        """Yield the snapshots of a file, plain or compressed with gzip or zstd.

        Raises:
            UnknownFormatError: No format fits the file.
            InputError: It cannot be read as what it seems to be.
        """
        with file.opened() as stream:
            found = recognised(stream.head()) if format == "auto" else format
            if found is None:
                raise UnknownFormatError(
                    f"{file.name!r} is no recording that can be read: HAR, VCR, Keploy, OTLP with "
                    "bodies or snapshots as JSON lines."
                )
            if found == "snapshots":
                yield from self._lines(stream)
                return
            fallback = datetime.fromtimestamp(file.path.stat().st_mtime, UTC)
            calls = _calls(found, stream, file.name)
            for number, each in enumerate(calls):
                made = self._snapshot(each, f"{Path(file.name).name}#{number}", fallback)
                if made is not None:
                    yield made

    def _snapshot(
        self, each: ImportedCall | UnrecordableError, source: str, fallback: datetime
    ) -> TrafficSnapshot | None:
        if isinstance(each, UnrecordableError):
            self.refused[each.reason] += 1
            return None
        call = each.call
        operation = self.names.operation(call.method, call.path)
        if each.route is not None:
            operation = replace(operation, key=f"{call.method} {each.route}")
        try:
            return http_snapshot(
                call,
                operation=operation,
                timestamp=each.timestamp or fallback,
                duration_ms=each.duration_ms,
                headers=self.headers,
                metadata={**each.metadata, "source": source},
            )
        except UnrecordableError as error:
            self.refused[error.reason] += 1
            return None

    def _lines(self, stream: SourceStream) -> Iterator[TrafficSnapshot]:
        rest = b""
        while block := stream.read(1 << 20):
            *lines, rest = (rest + block).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise InputError(f"a line has more than {_LONGEST_LINE:,} bytes.")
            for line in lines:
                yield from self._line(line)
        yield from self._line(rest)

    def _line(self, line: bytes) -> Iterator[TrafficSnapshot]:
        if not line.strip():
            return
        try:
            value = json.loads(line)
            version = value.pop("formatVersion", LINE_FORMAT_VERSION)
            if isinstance(value.get("operation"), str):
                value["operation"] = {"key": value["operation"], "service": self.names.service}
            snapshot = from_json(TrafficSnapshot, value)
        except (ValueError, AttributeError, RecursionError, ValidationError):
            self.refused["unreadable"] += 1
            return
        if not isinstance(version, int) or version > LINE_FORMAT_VERSION:
            self.refused["newer-format"] += 1
            return
        yield replace(
            snapshot,
            input=self._listed(snapshot.input, self.headers.request),
            output=self._listed(snapshot.output, self.headers.response),
        )

    def _listed(self, value: Any, names: frozenset[str]) -> Any:
        """Keep only listed headers of HTTP, whoever wrote the line."""
        if not isinstance(value, dict) or not isinstance(value.get("headers"), dict):
            return value
        if not ({"path", "status"} & set(value)):
            return value
        kept = {
            str(name).lower(): text
            for name, text in sorted(value["headers"].items())
            if str(name).lower() in names
        }
        return {**value, "headers": kept}


def import_traffic(
    *paths: str | Path,
    data: str | Path | None = None,
    store: TrafficStore | None = None,
    format: TrafficFormat = "auto",  # noqa: A002 - the name of the command's flag
    document: OpenApiDocument | None = None,
    service: str | None = None,
    version: str | None = None,
    sanitize: Sanitize | None = None,
    headers: HeaderList | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Bring recordings into a store; importing twice is importing once.

    Each snapshot is sanitised before it is stored.

    Args:
        paths: Files, or folders of them.
        data: The lab directory to write into.
        store: A store to write to instead.
        format: ``auto``, or one of ``har``, ``vcr``, ``keploy``, ``otlp``, ``snapshots``.
        document: Names the operations of paths.
        service: The service that was recorded.
        version: Its version.
        sanitize: Called with each snapshot before the package's own sanitiser.
        headers: Which headers are kept.
        progress: Called with the files read so far and the files in all.

    Raises:
        ConfigError: Neither or both of ``data`` and ``store``, or an unknown format.
        PathNotFoundError: A path does not exist.
        UnknownFormatError: No format fits a named file; in folders such files are passed over.
        InputError: A file cannot be read as what it seems to be.
    """
    if (data is None) == (store is None):
        raise ConfigError("import_traffic needs data (a lab directory) or store, one of them.")
    if format not in FORMATS:
        raise ConfigError(f"format == {format!r}, must be one of {', '.join(FORMATS)}.")
    sanitiser = (
        SnapshotSanitiser(LabKey(secrets.token_bytes(32)))
        if data is None
        else SnapshotSanitiser.of_lab(Path(data))
    )
    target = store if store is not None else LakeTrafficStore(Path(str(data)))
    settler = SnapshotSettler(target, sanitiser, sanitize)
    reader = TrafficReader(RouteNames(document, service, version), headers or HeaderList())
    root = Path(str(data)) / "lake" if data is not None else Path("/nonexistent")
    files, skipped = find_files(map(Path, paths), root)
    read = 0
    passed = [name for name, _ in skipped]
    total = Added()
    for number, file in enumerate(files):
        try:
            total += target.add(_clean(reader.snapshots(file, format), settler))
            read += 1
        except UnknownFormatError:
            if file.named:
                raise
            passed.append(file.name)
        if progress is not None:
            progress(number + 1, len(files))
    refused = reader.refused + settler.refused
    return ImportReport(
        total.added, total.duplicates, dict(sorted(refused.items())), read, tuple(passed)
    )


def recognised(head: bytes) -> str | None:
    """Return the format of a file's first bytes, None where none fits.

    Examples:
        >>> recognised(b'{"log": {"version": "1.2"'), recognised(b"a,b,c")
        ('har', None)
    """
    text = head.decode("utf-8-sig", "replace").lstrip()
    start = text[:4096]
    if start.startswith("{"):
        line = start.split("\n", 1)[0]
        if '"operation"' in line and '"input"' in line:
            return "snapshots"
        if '"resourceSpans"' in start:
            return "otlp"
        if '"interactions"' in text or '"http_interactions"' in text:
            return "vcr"
        return "har" if '"log"' in start[:200] else None
    if "api.keploy.io" in start:
        return "keploy"
    found = any(
        line.startswith(("interactions:", "http_interactions:")) for line in start.split("\n")
    )
    return "vcr" if found else None


def snapshot_line_schema() -> dict[str, Any]:
    """Return the JSON Schema of one line of the import format ``snapshots``.

    Examples:
        >>> sorted(snapshot_line_schema()["required"])
        ['id', 'input', 'operation', 'success', 'timestamp']
    """
    schema = json_schema(TrafficSnapshot)
    schema["properties"]["operation"] = {
        "anyOf": [schema["properties"]["operation"], {"type": "string", "minLength": 1}]
    }
    schema["properties"]["formatVersion"] = {"const": LINE_FORMAT_VERSION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:evolution-lab:traffic-snapshot:1",
        **schema,
    }


_CLEANED_TOGETHER: Final = 2000
"""Calls looked at together for what one of a session tells of the others."""


def _clean(
    snapshots: Iterable[TrafficSnapshot], settler: SnapshotSettler
) -> Iterator[TrafficSnapshot]:
    source = iter(snapshots)
    while batch := list(islice(source, _CLEANED_TOGETHER)):
        yield from settler.cleaned(batch)


def _calls(
    found: str, stream: SourceStream, name: str
) -> Iterator[ImportedCall | UnrecordableError]:
    content = stream.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise InputError(
            f"{name!r} has more than {LARGEST_FILE:,} bytes unpacked, must have fewer."
        )
    text = content.decode("utf-8-sig", "replace")
    if found == "har":
        yield from har_calls(json_document(text, name))
    elif found == "otlp":
        for line in text.splitlines() if text.count("\n{") else [text]:
            if line.strip():
                yield from otlp_calls(json_document(line, name))
    elif found == "vcr" and text.lstrip().startswith("{"):
        yield from vcr_calls(json_document(text, name))
    else:
        for document in yaml_documents(text, name):
            yield from (vcr_calls if found == "vcr" else keploy_calls)(document)
