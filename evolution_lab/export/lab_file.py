"""A lab in one file, for colleagues: what was found, proposed and decided, without anybody's data.

The file is a zip archive of ``lab.json`` (what it is), ``windows.parquet``, ``detection.json`` and
``suggestions.json``. Equal labs give equal bytes. It holds no samples and no recorded calls.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl
from pydantic import ValidationError

from evolution_lab.errors import (
    CorruptFileError,
    FormatVersionError,
    FrameContractError,
    LakeError,
    PathNotFoundError,
)
from evolution_lab.records import DetectionResult, SpecSuggestion, from_json, to_json
from evolution_lab.schemas import WINDOWS, check

FORMAT_VERSION: Final = 1
"""Written into ``lab.json``; a newer one is refused."""
_FORMAT: Final = "evolution_lab.lab"
_ABOUT, _WINDOWS, _DETECTION, _SUGGESTIONS = (
    "lab.json",
    "windows.parquet",
    "detection.json",
    "suggestions.json",
)
_MEMBERS: Final = (_ABOUT, _WINDOWS, _DETECTION, _SUGGESTIONS)
_LARGEST_MEMBER: Final = 256 * 2**20
_MOST_WINDOWS: Final = 5_000_000
_BEGINNING: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every member: when a lab is handed on says nothing about it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabContents:
    """What a lab knows, and hands on.

    Attributes:
        windows: A ``schemas.WINDOWS`` frame.
        detection: What was found in them.
        suggestions: What was proposed, each with the decisions on it.
        data_digest: The digest of the lake all of this came from.
        package_version: The version of this package that found it.
    """

    windows: pl.DataFrame
    detection: DetectionResult
    suggestions: tuple[SpecSuggestion, ...]
    data_digest: str
    package_version: str

    def about(self) -> dict[str, Any]:
        """Return what the file says of itself, JSON-ready."""
        starts, ends = self.windows["window_start"], self.windows["window_end"]
        first, last = starts.min(), ends.max()
        return {
            "format": _FORMAT,
            "formatVersion": FORMAT_VERSION,
            "packageVersion": self.package_version,
            "dataDigest": self.data_digest,
            "windowStart": first.isoformat() if isinstance(first, datetime) else None,
            "windowEnd": last.isoformat() if isinstance(last, datetime) else None,
            "operations": self.windows["op_id"].n_unique(),
            "windows": self.windows.height,
            "signals": len(self.detection.signals),
            "incidents": len(self.detection.incidents),
            "suggestions": len(self.suggestions),
            "decisions": sum(len(each.approvals) for each in self.suggestions),
        }


def write_lab_file(contents: LabContents, file: Path) -> Path:
    """Write a lab's contents to one file, whole or not at all, and return where it is.

    Raises:
        LakeError: The file cannot be written.
    """
    table = io.BytesIO()
    contents.windows.write_parquet(table, compression="zstd")
    members = {
        _ABOUT: orjson.dumps(contents.about(), option=orjson.OPT_INDENT_2),
        _WINDOWS: table.getvalue(),
        _DETECTION: to_json(contents.detection),
        _SUGGESTIONS: b"[" + b",".join(to_json(each) for each in contents.suggestions) + b"]",
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{file.name[:100]}.", dir=file.parent)
        try:
            with os.fdopen(handle, "wb") as out, zipfile.ZipFile(out, "w") as archive:
                for member, content in members.items():
                    entry = zipfile.ZipInfo(member, _BEGINNING)
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    entry.external_attr = 0o644 << 16
                    archive.writestr(entry, content)
            Path(name).replace(file)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise LakeError(
            f"{file} cannot be written: {error.strerror}; name a file in a folder of yours."
        ) from error
    return file


def read_lab_file(file: Path) -> LabContents:
    """Read what ``write_lab_file`` wrote; nothing is unpacked to the disk.

    Raises:
        PathNotFoundError: There is no such file.
        CorruptFileError: It is no lab file, is damaged, or is larger than any lab's.
        FormatVersionError: A newer version of the package wrote it.
    """
    if not file.is_file():
        raise PathNotFoundError(file)
    try:
        with zipfile.ZipFile(file) as archive:
            about = _about(file, _member(archive, _ABOUT))
            members = {name: _member(archive, name) for name in _MEMBERS[1:]}
        rows = pl.scan_parquet(io.BytesIO(members[_WINDOWS])).select(pl.len()).collect().item()
        if rows > _MOST_WINDOWS:
            raise _not_a_lab(file, f"{_WINDOWS} has {rows} rows, at most {_MOST_WINDOWS} are read")
        windows = check(pl.read_parquet(io.BytesIO(members[_WINDOWS])), WINDOWS)
        suggestions = orjson.loads(members[_SUGGESTIONS])
        if not isinstance(suggestions, list):
            raise _not_a_lab(file, f"{_SUGGESTIONS} is no list")
        return LabContents(
            windows=windows,
            detection=from_json(DetectionResult, members[_DETECTION]),
            suggestions=tuple(from_json(SpecSuggestion, orjson.dumps(s)) for s in suggestions),
            data_digest=str(about.get("dataDigest", "")),
            package_version=str(about.get("packageVersion", "")),
        )
    except KeyError as error:
        raise _not_a_lab(file, str(error.args[0])) from None
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
        EOFError,
        OSError,
        RuntimeError,  # zipfile's word for an encrypted member
        ValidationError,
        ValueError,
        FrameContractError,
        pl.exceptions.PolarsError,
    ) as error:
        first_line = str(error).partition("\n")[0][:300]
        raise _not_a_lab(file, first_line or type(error).__name__) from None


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a member; its stated size is a stranger's word, so no more than fits is read."""
    with archive.open(name) as opened:
        content = opened.read(_LARGEST_MEMBER + 1)
    if len(content) > _LARGEST_MEMBER:
        raise ValueError(f"{name} is larger than {_LARGEST_MEMBER} bytes")
    return content


def _about(file: Path, content: bytes) -> Mapping[str, Any]:
    about = orjson.loads(content)
    if not isinstance(about, dict) or about.get("format") != _FORMAT:
        raise ValueError(f"{_ABOUT} does not say that it is one")
    version = about.get("formatVersion")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise FormatVersionError(str(file), version, FORMAT_VERSION)
    return about


def _not_a_lab(file: Path, why: str) -> CorruptFileError:
    return CorruptFileError(
        f"{file} cannot be read as an exported lab ({why}); ask for one that "
        "evolution-lab lab export wrote."
    )
