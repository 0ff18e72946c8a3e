"""``Redactor``: masks what the recognisers find, and replaces people by pseudonyms."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from evolution_lab.redaction.pseudonyms import LabKey
from evolution_lab.redaction.recognisers import (
    PERSONAL_NAMES,
    SECRET_NAMES,
    Finding,
    find_all,
)

LONGEST_TEXT: Final = 4_000
"""Characters of a text that are kept; the rest is cut off before anything is looked for."""
_BRACED = re.compile(r"(\{[^{}]*\})")


@dataclass(frozen=True)
class Redactor:
    """Takes personal data and secrets out of text, names and attributes.

    Attributes:
        key: The lab's key.

    Examples:
        >>> redactor = Redactor(LabKey(bytes(32)))
        >>> redactor.text("no account for ann@example.com, password=hunter2")
        'no account for [email], password=[secret]'
        >>> redactor.pseudonym("actor", "ann") == redactor.pseudonym("actor", "ann")
        True
    """

    key: LabKey

    def text(self, text: str) -> str:
        """Return text with everything recognised masked by its kind, ``[email]``."""
        return _masked(text[:LONGEST_TEXT])

    def find(self, text: str) -> list[Finding]:
        """Return what is recognised in a text, left to right."""
        return find_all(text)

    def pseudonym(self, kind: str, value: str) -> str:
        """Return a name that stands for a value: equal values have equal names within a lab."""
        return f"{kind}_{self.key.digest(kind, value)}"

    def operation_key(self, key: str) -> str:
        """Return an operation's name without personal data; placeholders (``{id}``) stay."""
        parts = _BRACED.split(key)
        return "".join(part if part.startswith("{") else _masked(part) for part in parts)

    def attributes(
        self, attributes: Mapping[str, object], allowed: Collection[str]
    ) -> tuple[dict[str, str], Counter[str]]:
        """Return the allow-listed attributes, masked, and how many others there were by name.

        A name that says secret or person (``password``, ``user.email``) masks its whole value.
        """
        kept: dict[str, str] = {}
        dropped: Counter[str] = Counter()
        for name, value in attributes.items():
            if name not in allowed:
                dropped[self.text(name)] += 1
                continue
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            last = name.rpartition(".")[2]
            if SECRET_NAMES.search(last):
                kept[name] = "[secret]"
            elif PERSONAL_NAMES.search(last):
                kept[name] = "[personal]"
            else:
                kept[name] = self.text(text)
        return kept, dropped

    def excerpt(self, content: str | bytes, limit: int = 200) -> str:
        """Return the beginning of something that could not be read, masked, on one line.

        What is cut off at the limit is looked at too: half an address is not recognised.
        """
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
        masked = _masked(text[: limit * 5])
        line = " ".join("".join(c if c.isprintable() else " " for c in masked).split())
        return line if len(line) <= limit else f"{line[: limit - 1]}…"


@lru_cache(maxsize=8192)
def _masked(text: str) -> str:
    parts, at = [], 0
    for finding in find_all(text):
        parts += [text[at : finding.start], f"[{finding.kind}]"]
        at = finding.end
    return "".join([*parts, text[at:]])
