"""Approved suggestions as files for review in git: envelope, overlay and changed document each."""

from __future__ import annotations

import json
import os
import re
import secrets
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.errors import EvolutionLabError
from evolution_lab.export.changed_documents import changed_document
from evolution_lab.records import SpecSuggestion, to_python
from evolution_lab.suggestions import SpecSource, subject_of

ENVELOPE_FORMAT_VERSION: Final = 1
_LONGEST_PART: Final = 80
_ID_DIGITS: Final = 8
_UNSAFE = re.compile(r"[^A-Za-z0-9._]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
"""Names that Windows takes for devices, with any extension."""


def envelope(suggestion: SpecSuggestion) -> dict[str, Any]:
    """Return a suggestion as the JSON document that is written for it.

    Names are the suggestion's own in camelCase, with ``formatVersion``. As in the seed system
    ``proposal.spec`` gives way to ``proposal.specMeta``, which says what the spec is of; the changed
    part of the spec itself stands in ``change``.
    """
    document = to_python(suggestion)
    proposal = document["proposal"]
    change = proposal.pop("spec")
    proposal["specMeta"] = _spec_meta(suggestion)
    return {"formatVersion": ENVELOPE_FORMAT_VERSION, **document, "change": change}


def envelope_bytes(suggestion: SpecSuggestion) -> bytes:
    """Return the envelope as UTF-8 JSON: keys sorted, two spaces, a line break at the end.

    The same suggestion with the same decisions gives the same bytes. Characters that do not print
    (controls, bidirectional overrides, lone surrogates) are written as escapes, so that a reviewer
    sees every character of the file.

    Raises:
        ValueError: The suggestion holds NaN or an infinity.
    """
    return _json_bytes(envelope(suggestion), in_order=False)


def overlay_bytes(suggestion: SpecSuggestion) -> bytes | None:
    """Return the suggestion's overlay as UTF-8 JSON, its version being the revision; None without.

    Actions stand in the order in which they apply.
    """
    overlay = suggestion.overlay
    if overlay is None:
        return None
    info = {**overlay.get("info", {}), "version": str(suggestion.revision)}
    return _json_bytes({**overlay, "info": info}, in_order=True)


def _json_bytes(document: object, *, in_order: bool) -> bytes:
    text = json.dumps(
        document, indent=2, sort_keys=not in_order, ensure_ascii=False, allow_nan=False
    )
    return ("".join(map(_visible, text)) + "\n").encode()


def envelope_name(suggestion: SpecSuggestion) -> str:
    """Return the file name: ``<key>.v<version>.<first 8 of the id>.suggestion.json``.

    Key and version come from traffic. Everything but ASCII letters, digits, dot and underscore
    becomes a hyphen, each is cut at 80 characters, and no name is a device or hidden. Names that
    become the same that way still differ in the id.

    Examples:
        >>> safe_name("GET /users/{id}"), safe_name("../../etc/passwd"), safe_name("Café")
        ('GET-users-id', 'etc-passwd', 'Cafe')
    """
    meta = _spec_meta(suggestion)
    key = safe_name(str(meta["key"]))
    version = safe_name(str(meta["version"] or "unknown"))
    digits = re.sub(r"[^0-9a-f]", "", suggestion.id.lower())[:_ID_DIGITS]
    return f"{key}.v{version}.{digits}.suggestion.json"


def suggestion_files(suggestion: SpecSuggestion) -> tuple[str, ...]:
    """Return the names of all files that a suggestion may have."""
    stem = envelope_name(suggestion).removesuffix(".suggestion.json")
    return tuple(
        f"{stem}{ending}"
        for ending in (".suggestion.json", ".overlay.json", ".changed.json", ".changed.yaml")
    )


def safe_name(text: str) -> str:
    """Return text as a part of a file name that every file system takes and no shell obeys."""
    letters = unicodedata.normalize("NFKD", text[: 4 * _LONGEST_PART])
    name = _UNSAFE.sub("-", "".join(c for c in letters if not unicodedata.combining(c)))
    name = re.sub(r"\.{2,}", "-", name)[:_LONGEST_PART].strip("-.")
    name = re.sub(r"-+", "-", name) or "operation"
    return f"_{name}" if _RESERVED.match(name) else name


def _spec_meta(suggestion: SpecSuggestion) -> dict[str, Any]:
    """Return what the changed spec is of: the target, or the operation that is drafted."""
    operation = suggestion.target.operation
    spec = suggestion.proposal.spec or {}
    return {
        "service": None if operation is None else operation.service,
        "key": (spec.get("key") or "operation") if operation is None else operation.key,
        "version": spec.get("version") if operation is None else operation.version,
        "tenantId": None if operation is None else operation.tenant_id,
        "kind": suggestion.proposal.kind,
    }


def _visible(char: str) -> str:
    if char.isprintable() or char == "\n":
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


@dataclass(frozen=True, kw_only=True)
class WrittenSuggestion:
    """The files of one suggestion.

    Attributes:
        envelope: The suggestion with its evidence and decisions.
        overlay: Its overlay; None where it has none, or is not approved any more.
        document: The team's document with the overlay applied; None where there is none.
        refused: Why the overlay does not fit the document as it is now; None where it does.
    """

    envelope: Path
    overlay: Path | None = None
    document: Path | None = None
    refused: str | None = None


@dataclass(frozen=True)
class FileSystemSuggestionWriter:
    """Writes each approved suggestion to files in a directory.

    Beside ``<name>.suggestion.json`` stand ``<name>.overlay.json`` and, where the team's document is
    known, ``<name>.changed.json`` or ``.yaml``: the document with this one overlay applied. A
    suggestion that is taken back keeps its envelope and loses both.

    Attributes:
        directory: Where to; created when absent.
        specs: Knows the documents that overlays are of; None writes no changed documents.
    """

    directory: Path
    specs: SpecSource | None = None

    def write(self, suggestion: SpecSuggestion) -> Path:
        """Write the files and return the envelope's path; see ``write_all``.

        Raises:
            OSError: The directory cannot be written to.
        """
        return self.write_all(suggestion).envelope

    def write_all(self, suggestion: SpecSuggestion) -> WrittenSuggestion:
        """Write the files and return their paths; a reader sees an old file or a new one, whole.

        A file that holds its bytes already is left alone. The envelope comes last: where it is, the
        others are. An overlay that does not fit the document any more (the document has changed
        since) is written without a changed document, and says why.

        Raises:
            OSError: The directory cannot be written to.
        """
        directory = Path(self.directory)
        directory.mkdir(parents=True, exist_ok=True)
        name = envelope_name(suggestion)
        stem = name.removesuffix(".suggestion.json")
        overlay, document, refused = self._changes(suggestion)
        suffix = None if document is None else document[0]
        for ending in (".changed.json", ".changed.yaml"):
            if ending != suffix:
                (directory / f"{stem}{ending}").unlink(missing_ok=True)
        written = WrittenSuggestion(
            envelope=directory / name,
            overlay=_written(directory / f"{stem}.overlay.json", overlay),
            document=None
            if document is None
            else _written(directory / f"{stem}{suffix}", document[1]),
            refused=refused,
        )
        _written(written.envelope, envelope_bytes(suggestion))
        return written

    def _changes(
        self, suggestion: SpecSuggestion
    ) -> tuple[bytes | None, tuple[str, bytes] | None, str | None]:
        if suggestion.status not in {"approved", "adopted"} or suggestion.overlay is None:
            return None, None, None
        overlay = overlay_bytes(suggestion)
        document = self._document_of(suggestion)
        if document is None:
            return overlay, None, None
        try:
            return overlay, changed_document(document, suggestion.overlay), None
        except EvolutionLabError as error:
            return overlay, None, str(error)

    def _document_of(self, suggestion: SpecSuggestion) -> OpenApiDocument | None:
        subject = subject_of(suggestion)
        return None if self.specs is None or subject is None else self.specs.document_of(subject)


def _written(path: Path, content: bytes | None) -> Path | None:
    if content is None:
        path.unlink(missing_ok=True)
        return None
    if not (path.is_file() and path.read_bytes() == content):
        _write_whole(path, content)
    return path


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
