"""A lab's contents without anybody's data, before they leave the lab."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import polars as pl

from evolution_lab.errors import UnsafePayloadError
from evolution_lab.export.lab_file import LabContents
from evolution_lab.records import DetectionResult, SpecSuggestion, from_json, to_python
from evolution_lab.redaction import LabKey, Redactor
from evolution_lab.redaction.scan import leaks_in_text

_WRITTEN_BY_PEOPLE: Final = frozenset({"notes", "samples"})
"""Parts in which every recogniser looks, those that guess included."""
_NAMES_OF_PEOPLE: Final = frozenset({"reviewer", "createdBy"})
_IDS: Final = frozenset({"id", "suggestionId", "signalId", "signalIds", "incidentId"})
"""Hashes of this package: digits and letters that mean nothing, and that others refer to."""
_NAME_COLUMNS: Final = ("service", "operation_key", "operation_version")


def sanitised(contents: LabContents, key: LabKey) -> LabContents:
    """Return a lab's contents without personal data and secrets.

    Texts are masked as at landing; what people wrote (notes, sample requests) is masked by what
    merely looks personal, too. A reviewer who is named by an address gets a pseudonym. Names of
    services, operations and tenants stay: without them the lab says nothing.

    Args:
        contents: What leaves.
        key: The lab's key.

    Raises:
        UnsafePayloadError: Something personal or secret would remain; says where.
    """
    redactor = Redactor(key)
    detection = _cleaned(to_python(contents.detection), redactor)
    suggestions = [_cleaned(to_python(each), redactor) for each in contents.suggestions]
    windows = _cleaned_windows(contents.windows, redactor)
    texts = {
        "windows": _names_in(windows),
        "detection": _texts_in(detection),
        "suggestions": _texts_in(suggestions),
    }
    for part, said in texts.items():
        for leak in leaks_in_text("\n".join(said), name=part):
            raise UnsafePayloadError(f"its {part} still show what looks like {leak.kind}")
    return replace(
        contents,
        windows=windows,
        detection=from_json(DetectionResult, detection),
        suggestions=tuple(from_json(SpecSuggestion, each) for each in suggestions),
    )


def _cleaned(value: Any, redactor: Redactor, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {
            redactor.operation_key(key): _cleaned(
                each, redactor, name if name in _WRITTEN_BY_PEOPLE else key
            )
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_cleaned(each, redactor, name) for each in value]
    if not isinstance(value, str) or name in _IDS:
        return value
    if name in _NAMES_OF_PEOPLE:
        masked = redactor.text(value)
        return value if masked == value else redactor.pseudonym("reviewer", value)
    return redactor.text(value) if name in _WRITTEN_BY_PEOPLE else redactor.operation_key(value)


def _cleaned_windows(windows: pl.DataFrame, redactor: Redactor) -> pl.DataFrame:
    """Mask names and error codes; landing did so before, with the recognisers of its day."""
    codes = _error_codes(windows)
    masked = {code: redactor.operation_key(code) for code in codes}
    names = [
        pl.col(column).replace(
            {name: redactor.operation_key(name) for name in windows[column].unique().drop_nulls()}
        )
        for column in _NAME_COLUMNS
    ]
    errors = pl.element().struct.with_fields(pl.field("error_code").replace(masked))
    return windows.with_columns(*names, pl.col("top_errors").list.eval(errors))


def _error_codes(windows: pl.DataFrame) -> list[str]:
    listed = windows["top_errors"].drop_nulls().explode().drop_nulls()
    return listed.struct.field("error_code").unique().drop_nulls().sort().to_list()


def _names_in(windows: pl.DataFrame) -> Iterator[str]:
    for column in _NAME_COLUMNS:
        yield from windows[column].unique().drop_nulls()
    yield from _error_codes(windows)


def _texts_in(value: Any, name: str = "") -> Iterator[str]:
    """Yield every text of a JSON value but ids: numbers and hashes only look like numbers of cards."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield key
            yield from _texts_in(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _texts_in(each, name)
    elif isinstance(value, str) and name not in _IDS:
        yield value
