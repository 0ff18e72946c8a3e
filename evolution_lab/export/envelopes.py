"""Approved suggestions as files for review in git: one JSON envelope each."""

from __future__ import annotations

import json
import os
import re
import secrets
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evolution_lab.records import SpecSuggestion, to_python

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
    text = json.dumps(
        envelope(suggestion), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False
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


@dataclass(frozen=True)
class FileSystemSuggestionWriter:
    """Writes each approved suggestion to one file in a directory.

    Attributes:
        directory: Where to; created when absent.
    """

    directory: Path

    def write(self, suggestion: SpecSuggestion) -> Path:
        """Write the envelope and return its path; a reader sees the old file or the new, whole.

        A file that holds these bytes already is left alone.

        Raises:
            OSError: The directory cannot be written to.
        """
        directory = Path(self.directory)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / envelope_name(suggestion)
        content = envelope_bytes(suggestion)
        if path.is_file() and path.read_bytes() == content:
            return path
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
