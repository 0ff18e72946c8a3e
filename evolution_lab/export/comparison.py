"""Two reports held against each other: what appeared, what is gone, what changed its state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from evolution_lab.display import ResultMixin, escape_markdown
from evolution_lab.errors import CorruptFileError, FormatVersionError, PathNotFoundError
from evolution_lab.export.report import REPORT_FORMAT_VERSION

_WATCHED: Final = {"signal": ("severity", "state"), "suggestion": ("status", "revision")}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One signal or suggestion that is not in both reports as it was.

    Attributes:
        kind: ``signal`` or ``suggestion``.
        id: Its id.
        about: The operation, or the summary; may hold text from traffic.
        change: ``new``, ``gone``, or what changed: ``state: open → recovered``.
    """

    kind: str
    id: str
    about: str
    change: str


@dataclass(frozen=True, kw_only=True)
class ReportComparison(ResultMixin):
    """What differs between two reports.

    Attributes:
        before: The digest of the earlier one's data.
        after: The digest of the later one's.
        differences: Signals first, then suggestions, each by id.
    """

    _title: ClassVar[str] = "Since the earlier report"

    before: str
    after: str
    differences: tuple[Difference, ...]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row a difference: ``what``, ``id``, ``change`` and ``about``."""
        return [
            {"what": d.kind, "id": d.id[:12], "change": d.change, "about": d.about}
            for d in self.differences
        ]

    def to_document(self) -> str:
        """Return it as Markdown with both digests; text from traffic is escaped."""
        return (
            "# Since the earlier report\n\n"
            f"Data {escape_markdown(self.before)} before, {escape_markdown(self.after)} now.\n\n"
            f"{self.to_markdown()}"
        )


def compare_reports(
    before: str | Path | Mapping[str, Any], after: str | Path | Mapping[str, Any]
) -> ReportComparison:
    """Hold two ``suggestions.json`` against each other.

    Args:
        before: The earlier one: its file, or what ``read_report`` gave.
        after: The later one, likewise.

    Raises:
        PathNotFoundError: One does not exist.
        CorruptFileError: One is no report.
        FormatVersionError: A newer version of the package wrote one.
    """
    old, new = (
        given if isinstance(given, Mapping) else read_report(given) for given in (before, after)
    )
    return ReportComparison(
        before=str(old["provenance"]["dataDigest"]),
        after=str(new["provenance"]["dataDigest"]),
        differences=(
            *_between("signal", old["detection"]["signals"], new["detection"]["signals"]),
            *_between("suggestion", old["suggestions"], new["suggestions"]),
        ),
    )


def read_report(file: str | Path) -> Mapping[str, Any]:
    """Read the ``suggestions.json`` of a report, as ``report_document`` made it.

    Raises:
        PathNotFoundError: It does not exist.
        CorruptFileError: It is no report.
        FormatVersionError: A newer version of the package wrote it.
    """
    path = Path(file)
    if not path.is_file():
        raise PathNotFoundError(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = document["formatVersion"]
        if version == REPORT_FORMAT_VERSION:  # What is looked up later must be there.
            document["provenance"]["dataDigest"], document["detection"]["signals"]
            for entry in (*document["detection"]["signals"], *document["suggestions"]):
                entry["id"], _about(entry)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFileError(f"{path} is no report: name the suggestions.json of one.") from error
    if version != REPORT_FORMAT_VERSION:
        raise FormatVersionError(str(path), version, REPORT_FORMAT_VERSION)
    return document  # type: ignore[no-any-return]


def _between(
    kind: str, before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> Iterator[Difference]:
    old, new = ({entry["id"]: entry for entry in entries} for entries in (before, after))
    for name in sorted(old.keys() | new.keys()):
        changes = _changes(kind, old.get(name), new.get(name))
        if changes:
            about = _about(new.get(name) or old[name])
            yield Difference(kind=kind, id=name, about=about, change=changes)


def _changes(kind: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    if before is None:
        return "new"
    if after is None:
        return "gone"
    return ", ".join(
        f"{field}: {before.get(field)} → {after.get(field)}"
        for field in _WATCHED[kind]
        if before.get(field) != after.get(field)
    )


def _about(entry: Mapping[str, Any]) -> str:
    if "proposal" in entry:
        return str(entry["proposal"]["summary"])
    operation = entry["operation"]
    return f"{entry['kind']} of {operation.get('service') or ''} {operation['key']}".replace(
        "  ", " "
    )
