"""The second pass: what one field told is replaced wherever else it is shown, in whatever form."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import quote, quote_plus

from evolution_lab.redaction.readings import Reading, coded_runs, reading
from evolution_lab.redaction.stand_ins import StandIns, is_stand_in

Path = tuple[str | int, ...]

SHORTEST_LEARNT: Final = 4
LEAST_LEARNT: Final = 10**6
_SHORTEST_SECRET: Final = 6
_MOST_LEARNT: Final = 256
_WORD = re.compile(r"[^\W\d_]+")


@dataclass
class Learnt:
    """What a payload told: texts that are somebody's, and what stands in for each.

    Attributes:
        texts: Stand-ins by the whole text.
        tokens: Stand-ins of single names.
    """

    texts: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, value: str, stand_in: str, stand_ins: StandIns) -> None:
        """Take in a value and what stands in for it."""
        shortest = _SHORTEST_SECRET if kind == "secret" else SHORTEST_LEARNT
        if len(value) < shortest or len(self.texts) >= _MOST_LEARNT or is_stand_in(value):
            return
        self.texts[value] = stand_in
        if kind == "name":
            for word in _WORD.findall(value):
                if len(word) >= SHORTEST_LEARNT:
                    self.tokens[word] = stand_ins.of("word", word)

    def update(self, other: Learnt) -> None:
        """Take in what another payload told."""
        for mine, theirs in ((self.texts, other.texts), (self.tokens, other.tokens)):
            for value, stand_in in theirs.items():
                if len(mine) < _MOST_LEARNT:
                    mine.setdefault(value, stand_in)


def found_variants(joined: str, learnt: Learnt) -> dict[str, tuple[str, bool]]:
    """Return which learnt texts a payload still shows, in which form, and what each becomes."""
    folded = joined.lower()
    variants: dict[str, tuple[str, bool]] = {}
    for text, stand_in in sorted(learnt.texts.items(), key=lambda each: -len(each[0])):
        if text.lower() in folded:
            variants[text] = (stand_in, False)
        if not text.isalnum():
            for encode in (quote, quote_plus):
                encoded = encode(text, safe="")
                if encoded != text and encoded.lower() in folded:
                    variants[encoded] = (encode(stand_in, safe=""), False)
            compact = re.sub(r"\W", "", text)
            if compact.isdecimal() and len(compact) >= 7 and compact in joined:
                variants[compact] = (re.sub(r"\W", "", stand_in) or stand_in, False)
        encoded = base64.b64encode(text.encode()).decode()
        if encoded in joined:
            variants[encoded] = (base64.b64encode(stand_in.encode()).decode(), False)
    for word, stand_in in learnt.tokens.items():
        if word.lower() in folded:
            variants.setdefault(word, (stand_in, True))
    return variants


Variants = Mapping[str, tuple[str, bool]]


def replaced_in(value: Any, variants: Variants, path: Path, changed: list[Path]) -> Any:
    """Return a value with every variant replaced; note where."""
    if isinstance(value, str):
        replaced = _replaced_text(value, variants)
        if replaced != value:
            changed.append(path)
        return replaced
    if isinstance(value, dict):
        return {
            _replaced_key(key, variants): replaced_in(each, variants, (*path, key), changed)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [replaced_in(each, variants, (*path, n), changed) for n, each in enumerate(value)]
    if type(value) is int and abs(value) >= LEAST_LEARNT and str(value) in variants:
        changed.append(path)
        stand_in = variants[str(value)][0]
        return int(stand_in) if stand_in.isdecimal() and stand_in[0] != "0" else stand_in
    return value


def _replaced_key(key: str, variants: Variants) -> str:
    """Replace within keys that are no names of fields, and keys that are a learnt text as a whole."""
    if key in variants and not key.islower():
        return variants[key][0]
    if key.isidentifier() and not any(ch.isdecimal() for ch in key):
        return key
    return _replaced_text(key, variants)


def _replaced_text(value: str, variants: Variants) -> str:
    if is_stand_in(value):
        return value
    value = _as_written(value, variants)
    read = reading(value)
    if read is not None:
        value = _where_read(value, read, variants)
    return _in_codes(value, variants)


def _as_written(value: str, variants: Variants) -> str:
    folded = value.lower()
    for text, (stand_in, as_word) in variants.items():
        if text.lower() in folded and stand_in not in value:
            value = re.sub(_pattern(text, as_word), partial(_always, stand_in), value)
            folded = value.lower()
    return value


def _where_read(value: str, read: Reading, variants: Variants) -> str:
    """Replace what only the reading of a text shows, at the place that was read there."""
    folded = read.text.lower()
    places: list[tuple[int, int, str]] = []
    for text, (stand_in, as_word) in variants.items():
        if text.lower() not in folded:
            continue
        for match in re.finditer(_pattern(text, as_word), read.text):
            start, end = read.starts[match.start()], read.ends[match.end() - 1]
            written = value[start:end]
            if written.lower() != text.lower() and all(
                end <= s or start >= e for s, e, _ in places
            ):
                in_url = "%" in written
                places.append((start, end, quote(stand_in, safe="") if in_url else stand_in))
    for start, end, stand_in in sorted(places, reverse=True):
        value = value[:start] + stand_in + value[end:]
    return value


def _in_codes(value: str, variants: Variants) -> str:
    for run in reversed(list(coded_runs(value))):
        replaced = _replaced_text(run.text, variants)
        if replaced != run.text:
            # What was compressed is not packed again: a coded text is as good a stand-in.
            code = run.encoded(replaced) or base64.b64encode(replaced.encode()).decode()
            value = value[: run.start] + code + value[run.end :]
    return value


def _pattern(text: str, as_word: bool) -> re.Pattern[str]:  # noqa: FBT001 - private
    escaped = re.escape(text)
    word = rf"(?<![^\W_]){escaped}(?![^\W_])"
    return re.compile(word if as_word else escaped, re.IGNORECASE)


def _always(stand_in: str, _found: re.Match[str]) -> str:
    return stand_in
