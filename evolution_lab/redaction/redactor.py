"""Text and values without personal data and secrets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import orjson

from evolution_lab.redaction.key_names import kind_of_name
from evolution_lab.redaction.pseudonyms import LabKey
from evolution_lab.redaction.recognisers import Finding, find_all

_LONGEST_CACHED: Final = 2000
_LONGEST_NAME: Final = 200
_DEEPEST: Final = 32
_MARGIN: Final = 512
_MOST_PASSES: Final = 8
_LARGEST_INTEGER: Final = 2**63
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")


@dataclass(frozen=True)
class Redactor:
    """Masks personal data and secrets; gives people keyed pseudonyms.

    Equal input gives equal output, and masked text stays as it is when it is masked again.

    Attributes:
        key: The lab's key; pseudonyms depend on it, masks do not.

    Examples:
        >>> redactor = Redactor(LabKey(b"k" * 32))
        >>> redactor.text("no user jane@example.org at 203.0.113.7")
        'no user [email] at [ip]'
        >>> redactor.operation_key("GET /users/{id}")
        'GET /users/{id}'
    """

    key: LabKey

    def find(self, text: str) -> list[Finding]:
        """Return what would be masked in a text, in order of place, without overlaps."""
        return find_all(text)

    def text(self, text: str) -> str:
        """Return a text with a mask such as ``[email]`` in place of each finding."""
        return _masked(text) if len(text) <= _LONGEST_CACHED else _mask(text)

    def operation_key(self, key: str) -> str:
        """Return the name of an operation without what is certainly personal or secret.

        Recognisers that guess (telephone numbers, random tokens) are left out: a name made of
        digits and long words is a name.
        """
        return masked_name(key) if len(key) <= _LONGEST_CACHED else _mask(key, names_only=True)

    def pseudonym(self, kind: str, value: str) -> str:
        """Return a stable name for a person or session, such as ``actor_`` and 24 hex digits.

        Raises:
            ValueError: ``kind`` is not a lower-case word.
        """
        return self.key.pseudonym(kind, value)

    def attributes(
        self, attributes: Mapping[str, object], allowed: Collection[str]
    ) -> tuple[dict[str, str], Counter[str]]:
        """Keep the attributes that are allowed, as redacted text, in order of their names.

        A value whose name says what it is (``user.email``, ``api_key``) is masked whole. Lists and
        objects are looked through and written as JSON. An attribute without value is left out.

        Args:
            attributes: Values by name, as JSON gives them.
            allowed: Names that are kept.

        Returns:
            What is kept, and how often each other name was left out (names redacted, too).

        Examples:
            >>> redactor = Redactor(LabKey(b"k" * 32))
            >>> redactor.attributes({"http.route": "/cart", "shoe.size": 42}, {"http.route"})
            ({'http.route': '/cart'}, Counter({'shoe.size': 1}))
        """
        kept: dict[str, str] = {}
        dropped: Counter[str] = Counter()
        for name, value in sorted(attributes.items()):
            if name not in allowed:
                dropped[self.text(_writable(name))[:_LONGEST_NAME]] += 1
            elif value is not None:
                kept[name] = self._attribute(name, value)
        return kept, dropped

    def excerpt(self, raw: str | bytes, limit: int = 200) -> str:
        r"""Return the beginning of a text, redacted, on one line, of at most ``limit`` characters.

        What is cut is never shown half: recognisers see more than is kept.

        Examples:
            >>> Redactor(LabKey(b"k" * 32)).excerpt(b"bad line\tjane@example.org", limit=12)
            'bad line [e…'
        """
        seen = 4 * limit + _MARGIN
        text = raw[: 4 * seen].decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        cut = len(text) > seen
        text = _writable(text[:seen])
        findings = find_all(text)
        # Near the cut a value may have lost the part by which it is recognised.
        shown = _splice(text, findings, seen - _MARGIN) if cut else _splice(text, findings)
        shown = _CONTROLS.sub(" ", _mask(shown)).strip()
        return shown if len(shown) <= limit and not cut else shown[: limit - 1] + "…"

    def _attribute(self, name: str, value: object) -> str:
        masked = self._value(value, name, 0)
        if isinstance(masked, str):
            return masked
        return orjson.dumps(masked, option=orjson.OPT_SORT_KEYS).decode()

    def _value(self, value: object, name: str, depth: int) -> object:
        kind = kind_of_name(name)
        if depth > _DEEPEST:
            return "[nested]"
        if value is None or isinstance(value, bool):
            return value
        if kind is not None:
            return f"[{kind}]"
        if isinstance(value, (int, float)):
            written = str(value)
            masked = self.text(written)
            fits = isinstance(value, float) or abs(value) < _LARGEST_INTEGER
            return value if fits and masked == written else masked
        if isinstance(value, Mapping):
            return {
                self.text(_writable(str(key))): self._value(each, str(key), depth + 1)
                for key, each in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._value(each, "", depth + 1) for each in value]
        return self.text(_writable(value if isinstance(value, str) else str(value)))


def _splice(text: str, findings: list[Finding], end: int | None = None) -> str:
    end = len(text) if end is None else end
    parts, position = [], 0
    for finding in findings:
        if finding.start >= end:
            break
        parts += [text[position : finding.start], f"[{finding.kind}]"]
        position = finding.end
    parts.append(text[position:end])
    return "".join(parts)


def _mask(text: str, *, names_only: bool = False) -> str:
    """Mask until nothing more is found: what a mask ends may begin something for the next look."""
    for _ in range(_MOST_PASSES):
        findings = find_all(text, names_only=names_only)
        masked = _splice(text, findings)
        if masked == text:
            break
        text = masked
    return text


def _writable(text: str) -> str:
    """Return a text that UTF-8 can hold: half a surrogate pair becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=65_536)
def _masked(text: str) -> str:
    return _mask(text)


@lru_cache(maxsize=16_384)
def masked_name(text: str) -> str:
    """Return a name, such as a file's, without what is certainly personal or secret."""
    return _mask(text, names_only=True)
