"""What a watch had said by the time it ended, so that the next one goes on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from evolution_lab.errors import CorruptFileError, FormatVersionError
from evolution_lab.records import IntentSignal
from evolution_lab.records.json_form import CAMEL_CASE, from_json, to_json
from evolution_lab.telemetry.publishing import publish_bytes

WATCH_FORMAT_VERSION: Final = 1
_FILE: Final = "last_watch.json"


@dataclass(frozen=True, kw_only=True)
class SaidSignal:
    """A signal as it was last said.

    Attributes:
        signal: The signal.
        provisional: Whether late rows could still change it.
    """

    __pydantic_config__ = CAMEL_CASE

    signal: IntentSignal
    provisional: bool


@dataclass(frozen=True, kw_only=True)
class LastWatch:
    """Where a watch stood.

    Attributes:
        window: Length of its windows; another length says other things, and starts anew.
        judged_until: Up to where windows were judged, UTC.
        data_digest: Of the lake that was judged.
        said: Signals as they were last said, by the id they were said under first.
        format_version: Of this file.
    """

    __pydantic_config__ = CAMEL_CASE

    window: timedelta
    judged_until: datetime
    data_digest: str
    said: Mapping[str, SaidSignal] = field(default_factory=dict)
    format_version: int = WATCH_FORMAT_VERSION


def read_last_watch(data: Path) -> LastWatch | None:
    """Return where the last watch of a lab stood, None before the first.

    Raises:
        CorruptFileError: The file is damaged.
        FormatVersionError: A newer version of the package wrote it.
    """
    path = data / _FILE
    if not path.is_file():
        return None
    try:
        found = from_json(LastWatch, path.read_bytes())
    except ValidationError as error:
        raise CorruptFileError(
            f"{path} cannot be read; remove it, and the next watch says again what is open."
        ) from error
    if found.format_version != WATCH_FORMAT_VERSION:
        raise FormatVersionError(str(path), found.format_version, WATCH_FORMAT_VERSION)
    return found


def write_last_watch(data: Path, last: LastWatch) -> None:
    """Keep where a watch stands; it appears whole or not at all."""
    publish_bytes(data / _FILE, to_json(last, indent=1) + b"\n")
