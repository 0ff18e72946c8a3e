"""What a field holds, told from its name, the names around it and the value: one kind, or none.

A telling name (``email``, ``card.number``) is believed whatever the value looks like; a vague one
(``to``, ``contact``, ``holder``) only where the value looks like what it may hold. Values of a safe
shape (identifiers, times, amounts, codes) stay, unless a telling name claims them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from evolution_lab.redaction.key_names import kind_of_name
from evolution_lab.redaction.phone_numbers import fits_a_plan

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_VAGUE_NAMES: Final = re.compile(
    r".*\b(?:to|from|cc|name|recipient|addressee|contact|holder|owner|payee|payer|sender|attn|attention"
    r"|who|person|customer|client|patient|guest|user|member|author|assignee|signatory|beneficiary"
    r"|cardholder|nickname|display name|user ?name|login)$"
)
_VAGUE_ADDRESSES: Final = re.compile(
    r".*\b(?:address(?: ?line)? ?\d?|line ?[123]|ship ?to|bill ?to|deliver ?to|location|residence|home"
    r"|addr(?:ess)?|street ?\d?)$"
)
_VAGUE_DIGITS: Final = {
    "card": re.compile(
        r".*\b(?:card|payment|pm|pan|instrument)\b.* number$|.*\bcc(?: num(?:ber)?)?$"
    ),
    "iban": re.compile(r".*\b(?:acct|account|bank)(?: no| number)?$"),
    "phone": re.compile(r".*\b(?:tel|cell|mobile|contact|phone)(?: no| number| \d)?$"),
    "ssn": re.compile(r".*\b(?:tin|tax|national|social)(?: id| no| number)?$"),
    "birthday": re.compile(r".*\b(?:birthday|born|birth)$"),
}
_FREE_TEXT: Final = re.compile(
    r".*\b(?:notes?|comments?|remarks?|bio|biography|about|feedback|review|instructions?|memo|summary"
    r"|description|body|text|content|question|answer|reason|reply|transcript|free ?text|narrative)$"
)
_PERSON_PARENT: Final = re.compile(
    r".*\b(?:customer|client|patient|guest|user|member|contact|person|recipient|sender|owner|holder"
    r"|employee|passenger|traveller|billing|shipping|payer|payee|author|buyer|seller|card)s?$"
)
_PERSON = re.compile(r"[^\W\d_]+(?:[.'\u2019-]? ?['\u2019]?[^\W\d_]+){1,5}\.?")
_CAPITALISED = re.compile(
    r"(?:[^\W\d_a-z][^\W\d_]*[.'\u2019-]? ?|(?:de|da|di|den|des|do|dos|das|du|e|el|van|von|der|la|le|af|ten|ter|te|zu|y|bin|al|het|'t|\u2019t) ){2,5}"
)
_ADDRESS_SHAPE = re.compile(r"(?=.*\d)(?=.*[^\W\d_]{2,}).{5,160}", re.DOTALL)
_WHOLE_ADDRESS = re.compile(
    r"(?=[^,\n]*\d)[^\W_][^,\n]{3,60}(?:, ?[^,\n]{1,40}){0,2}, ?(?=[^,\n]*[^\W\d_]{3})"
    r"(?:[^,\n]{0,40}\W)?(?:\d{4,6}|\d\d-\d{3}|\d{3} \d\d|\d{5}-\d{3,4}|[A-Z]{1,2}\d[\dA-Z]? ?\d[A-Z]{2}"
    r"|[A-Z]\d[A-Z] \d[A-Z]\d)(?:\W[^,\n]{0,40})?"
)
_BARE_PHONE = re.compile(r"0\d{8,10}")
_DIGITS_SHAPE: Final = {
    "card": re.compile(r"(?:\d[ -]?){12,18}\d"),
    "iban": re.compile(r"[A-Za-z]{2}\d{2}[A-Za-z0-9 -]{8,40}|\d{6,20}"),
    "phone": re.compile(r"\+?[\d\s().\u00a0/-]{5,24}(?: ?(?:x|ext\.?) ?\d{1,6})?"),
    "ssn": re.compile(r"\d{3}[ -]?\d{2}[ -]?\d{4}|[A-Z]{2}\d{6}[A-Z]?|\d{9,12}"),
    "birthday": re.compile(r"\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}(?:T00:00.*)?"),
}
_SILENT_NAMES: Final = frozenset({"v", "value", "val", "data", "x", "field", "item", ""})
_LONG_TEXT: Final = 40
_WORDS_OF_TEXT: Final = 5
_WORDS_OF_NAMED_TEXT: Final = 3

SAFE_SHAPE: Final = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|(?:[0-9a-f]{24}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})"
    r"|[0-7][0-9A-HJKMNP-TV-Z]{25}"
    r"|\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|-?\d{1,6}(?:\.\d{1,6})?|\d{1,2}\.\d{1,3}\.\d{1,6}(?:-[a-z0-9.]{1,20})?"
    r"|[A-Z]?[a-z]{1,23}|[A-Z]{1,12}|[A-Z]{2,6}[-_]\d{1,9}|[a-z]{2,12}(?:[_.-][a-z]{1,16}){1,5}"
)
"""Texts that are nobody's: UUID, digest, ULID, time, number, version, word, code such as ``SKU-52``."""
_HEX_TEXT = re.compile(r"(?:[2-7][0-9a-f]){12,}")


def is_safe_shape(value: str) -> bool:
    """Return whether a text has the shape of something that is nobody's.

    Hex whose every byte is a printable character is no digest, but a text written in hex.

    Examples:
        >>> is_safe_shape("9eaf12abc8c38e9e0ea20547eca8fc2d"), is_safe_shape("ada@shop.test")
        (True, False)
    """
    return SAFE_SHAPE.fullmatch(value) is not None and not (
        len(value) >= 24 and _HEX_TEXT.fullmatch(value)
    )


@lru_cache(maxsize=8192)
def _words(name: str) -> str:
    return " ".join(_WORD.findall(name[:200])).lower()


@lru_cache(maxsize=8192)
def telling_kind(name: str, parent: str) -> str | None:
    """Return the kind that a field's name alone says, seen with the name around it.

    Examples:
        >>> telling_kind("number", "card"), telling_kind("number", "invoice")
        ('card', None)
        >>> telling_kind("name", "customer"), telling_kind("name", "product")
        ('name', None)
    """
    own = kind_of_name(name)
    if own is not None or not parent:
        return own
    words = _words(name)
    if words in {"name", "first", "last"} and _PERSON_PARENT.fullmatch(_words(parent)):
        return "name"
    if words in {"number", "address", "no", "line 1", "line 2", "city street"}:
        return kind_of_name(f"{parent} {name}")
    return None


@lru_cache(maxsize=8192)
def _vague_kinds(name: str, parent: str) -> tuple[str, ...]:
    words = _words(name)
    both = f"{_words(parent)} {words}".strip()
    kinds = [kind for kind, pattern in _VAGUE_DIGITS.items() if pattern.fullmatch(both)]
    if _VAGUE_ADDRESSES.fullmatch(words):
        kinds.append("address")
    if _VAGUE_NAMES.fullmatch(words) and words != "name":
        kinds.append("name")
    return tuple(kinds)


@lru_cache(maxsize=8192)
def is_free_text_name(name: str) -> bool:
    """Return whether a field of this name holds what people write freely.

    Examples:
        >>> is_free_text_name("deliveryNotes"), is_free_text_name("status")
        (True, False)
    """
    return _FREE_TEXT.fullmatch(_words(name)) is not None


def vague_kind(field: FieldKind, value: str) -> str | None:
    """Return the kind that a field's name allows and its value has the shape of.

    Examples:
        >>> to = field_kind("to", "")
        >>> vague_kind(to, "Ada Lovelace"), vague_kind(to, "pending")
        ('name', None)
        >>> vague_kind(field_kind("ship_to", ""), "42 Birch Lane, Oakholm 95870")
        'address'
    """
    for kind in field.vague:
        if kind == "name":
            if _PERSON.fullmatch(value) and _CAPITALISED.fullmatch(value):
                return kind
        elif kind == "address":
            if " " in value and _ADDRESS_SHAPE.fullmatch(value):
                return kind
        elif _DIGITS_SHAPE[kind].fullmatch(value):
            return kind
    return None


@dataclass(frozen=True, slots=True)
class FieldKind:
    """What the name of a field says, seen with the name around it.

    Attributes:
        telling: The kind it names, None where it names none.
        vague: Kinds it may hold, if the value looks like one.
        free_text: Whether people write freely into it.
        silent: Whether it says nothing at all (``value``, ``v``).
    """

    telling: str | None
    vague: tuple[str, ...]
    free_text: bool
    silent: bool


@lru_cache(maxsize=8192)
def field_kind(name: str, parent: str) -> FieldKind:
    """Return what the name of a field says.

    Examples:
        >>> field_kind("email", "").telling, field_kind("v", "rows").silent
        ('email', True)
    """
    return FieldKind(
        telling_kind(name, parent),
        _vague_kinds(name, parent),
        is_free_text_name(name),
        name.lower() in _SILENT_NAMES,
    )


def whole_kind(value: str, *, silent: bool = False) -> str | None:
    """Return the kind of a text that is an address or a telephone number as a whole, by its shape.

    Args:
        value: The text.
        silent: Its field's name says nothing: digits that fit a numbering plan are taken for one.

    Examples:
        >>> whole_kind("42 Birch Lane, Oakholm 95870"), whole_kind("Oak table, 2 drawers")
        ('address', None)
    """
    if "," in value and _WHOLE_ADDRESS.fullmatch(value):
        return "address"
    if value[:1] == "0" and _BARE_PHONE.fullmatch(value):
        return "phone"
    if silent and value.isdecimal() and 9 <= len(value) <= 11 and fits_a_plan(value):
        return "phone"
    return None


def is_free_text(field: FieldKind, value: str) -> bool:
    """Return whether a text is one that somebody wrote freely: long, or under a name that says so.

    Examples:
        >>> note, title = field_kind("note", ""), field_kind("title", "")
        >>> is_free_text(note, "please ring twice"), is_free_text(title, "Blue ceramic mug")
        (True, False)
        >>> is_free_text(title, "Please leave it with Ada at number five, she is always at home.")
        True
    """
    spaces = value.count(" ")
    if len(value) >= _LONG_TEXT and spaces >= _WORDS_OF_TEXT - 1:
        return True
    return field.free_text and spaces >= _WORDS_OF_NAMED_TEXT - 1
