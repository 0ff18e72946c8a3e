"""Payloads without personal data: JSON in, the same JSON with stand-ins out, or nothing at all.

The first pass decides leaf by leaf, from names, shapes and recognisers. Whatever it learnt (this
text is somebody's name) the second pass replaces everywhere else: in free text, in URLs, in another
encoding, in linked payloads. A last look must then find nothing.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Literal
from urllib.parse import quote, quote_plus, unquote_plus

import orjson

from evolution_lab.errors import UnsafePayloadError
from evolution_lab.redaction.field_kinds import (
    FieldKind,
    field_kind,
    is_free_text,
    is_safe_shape,
    vague_kind,
    whole_kind,
)
from evolution_lab.redaction.issued_stand_ins import IssuedStandIns
from evolution_lab.redaction.pseudonyms import LabKey
from evolution_lab.redaction.readings import (
    SHORTEST_CODED,
    Hidden,
    coded_runs,
    find_hidden,
    reading,
)
from evolution_lab.redaction.recognisers import RECOGNISERS, find_all
from evolution_lab.redaction.second_pass import (
    LEAST_LEARNT,
    SHORTEST_LEARNT,
    Learnt,
    Path,
    found_variants,
    replaced_in,
)
from evolution_lab.redaction.secret_shapes import find_issued_secrets
from evolution_lab.redaction.stand_ins import StandIns, is_stand_in, stands_in

FreeText = Literal["mask", "keep", "drop"]

_DEEPEST: Final = 200
_MOST_LINKS: Final = 10_000
_LEAST_CARD: Final = 10**12
_FORM = re.compile(
    r"[\w.%+\[\]-]{1,80}=[^&=\s]{0,2000}(?:&[\w.%+\[\]-]{1,80}=[^&=\s]{0,2000}){1,200}"
)
_DULL = re.compile(r"[^\W\d]{0,3}|[A-Za-z]{1,15}(?:[ ,.!?'-]{1,2}[A-Za-z]{1,15}){0,8}[.!?]?")
_SUSPICIOUS = re.compile(
    r"(?i)pass|pwd|secret|token|key|cookie|sess|auth|bearer|basic|pin|otp|cv[vc]"
)
_FIELD_NAME = re.compile(
    r"(?=.{1,40}$)(?![A-Za-z]*\d[A-Za-z\d]{8,}$)[A-Za-z_]+\d{0,3}(?:[_-][A-Za-z]+\d{0,3})*"
)
_NATIONAL_ID = re.compile(r"[\w \u00a0./-]{5,24}")
_PLAIN_NAMES: Final = frozenset({"status", "method", "statusText"})
_PEOPLE: Final = frozenset({"name", "address"})


@dataclass(frozen=True)
class SanitisedPayload:
    """A payload that may be stored.

    Attributes:
        payload: The parts that were handed in, with stand-ins.
        changed: Where something was replaced, as paths of names and places.
        kinds: How many of each kind were replaced.
    """

    payload: dict[str, Any]
    changed: tuple[Path, ...]
    kinds: Mapping[str, int]


class PayloadSanitiser:
    """Takes personal data and secrets out of JSON payloads; equal stays equal, different different.

    Not for several threads at once.

    Args:
        key: The lab's key.
        free_text: What becomes of texts people wrote freely: ``mask`` puts ``[text …]`` in their
            place, ``keep`` replaces what is recognised within them, ``drop`` empties them.
        plain_names: Names of fields whose texts are the service's own, such as ``description`` of
            a catalogue: never taken for free text or for people.
        issued: Shared record of what stands in for something already.

    Examples:
        >>> sanitiser = PayloadSanitiser(LabKey(b"k" * 32))
        >>> given = {"email": "ada@shop.test", "note": "please call Ada at ada@shop.test"}
        >>> cleaned = sanitiser.sanitised({"body": given}).payload["body"]
        >>> cleaned["email"].endswith("@example.com"), cleaned["note"][:6]
        (True, '[text ')
        >>> sanitiser.sanitised({"body": {"to": "ada@shop.test"}}).payload["body"]["to"] == cleaned["email"]
        True
    """

    def __init__(
        self,
        key: LabKey,
        *,
        free_text: FreeText = "mask",
        plain_names: Iterable[str] = (),
        issued: IssuedStandIns | None = None,
    ) -> None:
        self._stand_ins = StandIns(key, issued)
        self._free_text = free_text
        self._plain = frozenset(plain_names) | _PLAIN_NAMES
        self._links: OrderedDict[str, Learnt] = OrderedDict()
        self._cache: dict[tuple[str, str, str], tuple[str, str] | None] = {}

    @property
    def stand_ins(self) -> StandIns:
        """What draws stand-ins."""
        return self._stand_ins

    def learn(self, parts: Mapping[str, Any], *, link: str | None) -> None:
        """Look through a payload for what linked ones must not show either.

        Args:
            parts: JSON values by name.
            link: Names the trace or session.
        """
        if link is not None:
            self._linked(link).update(self._walked(parts)[1])

    def sanitised(self, parts: Mapping[str, Any], *, link: str | None = None) -> SanitisedPayload:
        """Return a payload with stand-ins.

        Args:
            parts: JSON values by name, such as ``input`` and ``output``.
            link: Names the trace or session; what was learnt under it is replaced here, too.

        Raises:
            UnsafePayloadError: Something personal or secret would remain; nothing may be stored.
        """
        walk, learnt = self._walked(parts)
        if link is not None:
            linked = self._linked(link)
            linked.update(learnt)
            learnt = linked
        payload = walk.result
        if learnt.texts:
            payload = self._second_pass(payload, learnt, walk)
        _last_look(payload)
        changed = tuple(dict.fromkeys(walk.changed))
        return SanitisedPayload(payload, changed, dict(walk.kinds))

    def _linked(self, link: str) -> Learnt:
        learnt = self._links.get(link)
        if learnt is None:
            learnt = self._links[link] = Learnt()
            if len(self._links) > _MOST_LINKS:
                self._links.popitem(last=False)
        else:
            self._links.move_to_end(link)
        return learnt

    def _walked(self, parts: Mapping[str, Any]) -> tuple[_Walk, Learnt]:
        walk = _Walk(self)
        walk.result = {
            name: walk.value(value, name if isinstance(value, str) else "", "", (name,))
            for name, value in parts.items()
        }
        return walk, walk.learnt

    def _second_pass(self, payload: dict[str, Any], learnt: Learnt, walk: _Walk) -> dict[str, Any]:
        if not walk.remaining:
            return payload
        variants = found_variants("\x00".join(chain(walk.remaining, _read(walk.remaining))), learnt)
        if not variants:
            return payload
        replaced: dict[str, Any] = replaced_in(payload, variants, (), walk.changed)
        return replaced

    # What follows decides on single texts; ``_Walk`` calls it for each leaf.

    def kind_and_text(self, name: str, parent: str, value: str) -> tuple[str, str] | None:
        """Return the kind of a text and what stands in for it, None where it may stay."""
        field = field_kind(name, parent)
        if field.telling is None and not field.vague and is_safe_shape(value):
            return None
        if len(value) > 32:
            return self._decided(name, field, value)
        asked = (name, parent, value)
        if asked in self._cache:
            return self._cache[asked]
        decided = self._decided(name, field, value)
        if len(self._cache) > 50_000:
            self._cache.clear()
        self._cache[asked] = decided
        return decided

    def _decided(self, name: str, field: FieldKind, value: str) -> tuple[str, str] | None:
        if not value or is_stand_in(value):
            return None
        if name in self._plain:
            return self.within(value)
        if field.telling is not None:
            return field.telling, self._stand_in(field.telling, value)
        kind = vague_kind(field, value)
        if kind is not None:
            return kind, self._stand_ins.of(kind, value)
        if field.vague and is_safe_shape(value):
            return None
        kind = whole_kind(value, silent=field.silent)
        if kind is not None:
            return kind, self._stand_ins.of(kind, value)
        nested = self._nested(name, value)
        if nested is not None:
            return nested
        if self._free_text != "keep" and is_free_text(field, value):
            return "text", "" if self._free_text == "drop" else self._stand_ins.of("text", value)
        return self.within(value)

    def _stand_in(self, kind: str, value: str) -> str:
        """Return what stands in for a value whose name is telling, in the form the value has."""
        if kind != "secret" and not _fits(kind, value):
            findings = find_all(value)
            whole = [f for f in findings if f.start == 0 and f.end == len(value)]
            kind = whole[0].kind if whole else "secret" if kind not in _PEOPLE else kind
        return self._stand_ins.of(kind, value)

    def within(self, value: str) -> tuple[str, str] | None:
        """Replace what recognisers find within a text, however it is written there."""
        if _DULL.fullmatch(value) and not _SUSPICIOUS.search(value):
            return None
        opened = self._codes_cleaned(value)
        hidden = find_hidden(opened)
        if not hidden:
            return None if opened == value else ("within", opened)
        parts, position = [], 0
        for each in hidden:
            place = each.finding
            parts += [opened[position : place.start], self._written_as(opened, each)]
            position = place.end
        parts.append(opened[position:])
        place = hidden[0].finding
        whole = len(hidden) == 1 and place.start == 0 and place.end == len(opened)
        plain = opened == value and hidden[0].plain == value
        return place.kind if whole and plain else "within", "".join(parts)

    def _written_as(self, text: str, hidden: Hidden) -> str:
        """Return what stands in for a finding, in the writing it was found in.

        Two writings of one value stay two: what is escaped in another way than a URL's draws by how
        it is written.
        """
        place = hidden.finding
        written = text[place.start : place.end]
        if written == hidden.plain:
            return self._stand_ins.of(place.kind, written)
        if "%" in written:
            encode = quote_plus if "+" in written else quote
            once = encode(self._stand_ins.of(place.kind, hidden.plain), safe="")
            return quote(once, safe="") if "%25" in written else once
        if "+" in written and "+" not in hidden.plain:
            return self._stand_ins.of(place.kind, hidden.plain).replace(" ", "+")
        same_form = place.kind == "email" or (
            place.kind in {"card", "phone", "ssn", "ip"} and len(written) == len(hidden.plain)
        )
        return self._stand_ins.of(place.kind if same_form else "secret", written)

    def _codes_cleaned(self, value: str) -> str:
        """Clean the texts that base64 and hex within a text hold."""
        parts, position = [], 0
        for run in coded_runs(value):
            cleaned = self.sanitised({"": run.text}).payload[""]
            if cleaned == run.text:
                continue
            code = value[run.start : run.end]
            encoded = run.encoded(cleaned) or self._stand_ins.of("secret", code)
            parts += [value[position : run.start], encoded]
            position = run.end
        if not parts:
            return value
        return "".join([*parts, value[position:]])

    def _nested(self, name: str, value: str) -> tuple[str, str] | None:
        """Look into JSON within a text, and into text within base64 or hex."""
        if value.lstrip()[:1] in {"{", "["} and value.rstrip()[-1:] in {"}", "]"}:
            try:
                inner = orjson.loads(value)
            except orjson.JSONDecodeError:
                return None
            cleaned = self.sanitised({name or "value": inner}).payload[name or "value"]
            if cleaned == inner:
                return None
            spaced = ": " in value
            before = len(value) - len(value.lstrip())
            after = value[len(value.rstrip()) :]
            return "json", value[:before] + _dumped(cleaned, spaced=spaced) + after
        if "&" in value and _FORM.fullmatch(value):
            form = self._form_cleaned(value)
            return None if form == value else ("json", form)
        if len(value) < SHORTEST_CODED or " " in value:
            return None
        cleaned_codes = self._codes_cleaned(value)
        return None if cleaned_codes == value else ("coded", cleaned_codes)

    def _form_cleaned(self, value: str) -> str:
        """Return an encoded form with stand-ins; its names tell as those of an object do."""
        fields = []
        for piece in value.split("&"):
            name, _, written = piece.partition("=")
            decided = self.kind_and_text(unquote_plus(name), "", unquote_plus(written))
            fields.append(f"{name}={written if decided is None else quote_plus(decided[1])}")
        return "&".join(fields)


class _Walk:
    """One look through a payload."""

    def __init__(self, sanitiser: PayloadSanitiser) -> None:
        self._sanitiser = sanitiser
        self.learnt = Learnt()
        self.changed: list[Path] = []
        self.kinds: dict[str, int] = {}
        self.remaining: list[str] = []
        self.result: dict[str, Any] = {}

    def value(self, value: Any, name: str, parent: str, path: Path) -> Any:
        if isinstance(value, str):
            return self._text(value, name, parent, path)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            return self._number(value, name, parent, path)
        if len(path) > _DEEPEST:
            raise UnsafePayloadError(f"it is nested more than {_DEEPEST} deep")
        if isinstance(value, Mapping):
            hint = value.get("name") if isinstance(value.get("value"), str) else None
            return {
                self._key(str(key), path): self.value(
                    each,
                    hint if key == "value" and isinstance(hint, str) else str(key),
                    name,
                    (*path, str(key)),
                )
                for key, each in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.value(each, name, parent, (*path, n)) for n, each in enumerate(value)]
        return self._text(str(value), name, parent, path)

    def _key(self, key: str, path: Path) -> str:
        if len(key) < SHORTEST_LEARNT or _FIELD_NAME.fullmatch(key):
            return key
        decided = self._sanitiser.kind_and_text("", "", key)
        if decided is not None and decided[0] == "text":  # Long keys are not free text.
            decided = self._sanitiser.within(key)
        if decided is None:
            self.remaining.append(key)
            return key
        self._note(decided[0], path)
        return decided[1]

    def _text(self, value: str, name: str, parent: str, path: Path) -> str:
        decided = self._sanitiser.kind_and_text(name, parent, value)
        if decided is None:
            if len(value) >= SHORTEST_LEARNT and not is_safe_shape(value):
                self.remaining.append(value)
            return value
        kind, stand_in = decided
        self._note(kind, path)
        if kind in {"within", "json", "coded"}:
            self.remaining.append(stand_in)
        if kind not in {"text", "within", "json", "coded"}:
            self.learnt.add(kind, value, stand_in, self._sanitiser.stand_ins)
        elif kind == "within":
            for found in find_hidden(value):
                told = found.finding.kind
                stands_in = self._sanitiser.stand_ins.of(told, found.plain)
                self.learnt.add(told, found.plain, stands_in, self._sanitiser.stand_ins)
        return stand_in

    def _number(self, value: int | float, name: str, parent: str, path: Path) -> Any:
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            whole = self._number(int(value), name, parent, path)  # Columns with gaps become floats.
            return float(whole) if type(whole) is int else whole
        small = not isinstance(value, int) or -LEAST_LEARNT < value < LEAST_LEARNT
        field = field_kind(name, parent)
        if small and field.telling != "secret":
            return value
        written = str(value)
        if -_LEAST_CARD < value < _LEAST_CARD and not (field.telling or vague_kind(field, written)):
            return value
        decided = self._sanitiser.kind_and_text(name, parent, written)
        if decided is None:
            self.remaining.append(written)
            return value
        kind, stand_in = decided
        self._note(kind, path)
        self.learnt.add(kind, written, stand_in, self._sanitiser.stand_ins)
        if stand_in.isdecimal() and stand_in[0] != "0":
            return int(stand_in)
        return stand_in

    def _note(self, kind: str, path: Path) -> None:
        self.changed.append(path)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


def _read(texts: Iterable[str]) -> Iterator[str]:
    """Yield what texts say beyond what is written: escapes undone, codes opened."""
    for text in texts:
        read = reading(text)
        if read is not None:
            yield read.text
        for run in coded_runs(text):
            yield run.text


def _fits(kind: str, value: str) -> bool:
    """Say whether a text can be a value of a kind as a whole, so that one of its form stands in."""
    digits = sum(ch.isdecimal() for ch in value)
    letters = sum(ch.isalpha() for ch in value)
    if kind == "card":
        return 8 <= digits <= 19 and letters == 0
    if kind == "phone":
        return 5 <= digits <= 21 and letters <= 4
    if kind == "ssn":
        return 5 <= digits <= 14 and _NATIONAL_ID.fullmatch(value) is not None
    if kind == "iban":
        return digits >= 5 and 8 <= len(value) <= 50
    if kind == "email":
        return "@" in value
    if kind == "ip":
        return value.count(".") == 3 or ":" in value
    return True


def _dumped(value: Any, *, spaced: bool) -> str:
    text = orjson.dumps(value).decode()
    if not spaced:
        return text
    return json.dumps(value, ensure_ascii=False)


def _written(payload: Mapping[str, Any]) -> str:
    """Return a payload as JSON, whatever integers and half surrogates it holds."""
    try:
        return orjson.dumps(payload).decode()
    except TypeError:
        return json.dumps(payload, ensure_ascii=False)


CERTAIN: Final = frozenset({"email", "card", "iban", "ssn"})
"""Kinds that a checksum or a form makes certain; with secrets, what the last look refuses."""
_CERTAIN_RECOGNISERS: Final = tuple(
    each for each in RECOGNISERS if each.kind in CERTAIN or each.find is find_issued_secrets
)


def _last_look(payload: Mapping[str, Any]) -> None:
    """Refuse a payload that still shows a value of a certain kind.

    Raises:
        UnsafePayloadError: It does.
    """
    written = _written(payload)
    for recogniser in _CERTAIN_RECOGNISERS:
        for start, end in recogniser.find(written):
            if not stands_in(recogniser.kind, written[start:end]):
                raise UnsafePayloadError(f"a value of kind {recogniser.kind!r} would remain")
