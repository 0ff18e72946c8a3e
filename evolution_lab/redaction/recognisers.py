"""What personal data and secrets look like in text: typed recognisers with their validators.

Each recogniser has a cheap test that most texts fail, a pattern that is linear in the text (every
repetition is bounded) and, where the kind has one, a check (Luhn, ISO 7064, libphonenumber).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from stdnum import iban, luhn
from stdnum.us import itin, ssn

from evolution_lab.redaction.phone_numbers import find_phones
from evolution_lab.redaction.secret_shapes import (
    find_assigned_secrets,
    find_provider_secrets,
    find_random_tokens,
)

Span = tuple[int, int]


@dataclass(frozen=True)
class Finding:
    """Where something was found, and what; never the value itself.

    Attributes:
        kind: Name within the mask: email, phone, card, iban, ssn, ip, mac, birthday, secret.
        start: First character.
        end: One past the last character.
    """

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Recogniser:
    """One kind of data and how it is found.

    Attributes:
        kind: What it finds.
        find: Yields (start, end) of each place in a text.
        in_names: Whether it also looks into names of operations, where a guess would do harm.
    """

    kind: str
    find: Callable[[str], Iterator[Span]]
    in_names: bool


_DIGIT = re.compile(r"\d")
_EMAIL = re.compile(
    r"[\w.!#$&'*+^`{|}~-]{1,64}(?:@|%40)(?:[^\W_][\w-]{0,62}\.){1,8}(?:xn--[\w-]{2,59}|[^\W\d_]{2,24})"
)
_CARD = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w]|\.\d)")
_CARD_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11,16}|35\d{14}|6(?:011|4[4-9]\d|5\d\d)\d{12,15}"
    r"|62\d{14,17}|(?:5018|5020|5038|5[678]\d\d|6304|67\d\d)\d{8,15}"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{1,4}){2,8}")
_SSN = re.compile(r"(?<![\w.-])\d{3}([- ])\d{2}\1\d{4}(?![\w-])")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?:\.\d{1,3}){0,3}(?![\w:])")
_MAC = re.compile(
    r"(?<![\w:-])(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])"
)
_BIRTHDAY = re.compile(
    r"(?i)\b(?:dob|d\.o\.b|born(?: on)?|birth[ _-]?da(?:y|te)|date[ _]of[ _]birth)\b[\"']?[^\w\n]{0,4}(?:is )?[\"']?"
    r"(\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}|\d{1,2}\.? [^\W\d_]{3,9} \d{4}|[^\W\d_]{3,9} \d{1,2}, \d{4})"
)


def _emails(text: str) -> Iterator[Span]:
    if "@" in text or "%40" in text:
        for match in _EMAIL.finditer(text):
            yield match.span()


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", match[0])
        if _CARD_ISSUERS.fullmatch(digits) and luhn.is_valid(digits):
            yield match.span()


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        # Words may follow within the pattern; the longest valid beginning is the number.
        ends = [m.end() for m in re.finditer(r"[A-Za-z0-9]+", match[0])]
        for end in sorted({*ends, len(match[0])}, reverse=True):
            if iban.is_valid(match[0][:end], check_country=False):
                yield match.start(), match.start() + end
                break


def _ssns(text: str) -> Iterator[Span]:
    for match in _SSN.finditer(text):
        number = match[0].replace(" ", "-")
        if ssn.is_valid(number) or itin.is_valid(number):
            yield match.span()


def _addresses(text: str) -> Iterator[Span]:
    """Find IP addresses, but those that name no machine in particular (127.0.0.1, ::1, 0.0.0.0)."""
    if "." in text:
        for match in _IPV4.finditer(text):
            try:
                v4 = IPv4Address(match[0])
            except AddressValueError:
                continue
            if not (v4.is_loopback or v4.is_unspecified):
                yield match.span()
    if text.count(":") > 1:
        for match in _IPV6.finditer(text):
            if match[0].count(":") < 2 or not _DIGIT.search(match[0]):
                continue
            try:
                v6 = IPv6Address(match[0])
            except AddressValueError:
                continue
            if not (v6.is_loopback or v6.is_unspecified):
                yield match.span()


def _macs(text: str) -> Iterator[Span]:
    for match in _MAC.finditer(text):
        yield match.span()


def _birthdays(text: str) -> Iterator[Span]:
    for match in _BIRTHDAY.finditer(text):
        yield match.span(1)


def _if_digits(find: Callable[[str], Iterator[Span]]) -> Callable[[str], Iterator[Span]]:
    return lambda text: find(text) if _DIGIT.search(text) else iter(())


RECOGNISERS: Final = (
    Recogniser("secret", find_provider_secrets, in_names=True),
    Recogniser("secret", find_assigned_secrets, in_names=True),
    Recogniser("email", _emails, in_names=True),
    Recogniser("iban", _if_digits(_ibans), in_names=True),
    Recogniser("card", _if_digits(_cards), in_names=True),
    Recogniser("ssn", _if_digits(_ssns), in_names=True),
    Recogniser("ip", _if_digits(_addresses), in_names=True),
    Recogniser("mac", _if_digits(_macs), in_names=True),
    Recogniser("birthday", _if_digits(_birthdays), in_names=False),
    Recogniser("phone", _if_digits(find_phones), in_names=False),
    Recogniser("secret", find_random_tokens, in_names=False),
)
"""In order of precedence: where two find overlapping places, the union gets the first one's kind."""


def find_all(text: str, *, names_only: bool = False) -> list[Finding]:
    """Return what the recognisers find, in order of place, without overlaps.

    Args:
        text: Any text.
        names_only: Leave out those that guess, as for names of operations.

    Examples:
        >>> find_all("mail jane@example.org")
        [Finding(kind='email', start=5, end=21)]
    """
    spans = [
        (start, end, rank)
        for rank, recogniser in enumerate(RECOGNISERS)
        if recogniser.in_names or not names_only
        for start, end in recogniser.find(text)
    ]
    merged: list[tuple[int, int, int]] = []
    for start, end, rank in sorted(spans):
        if merged and start < merged[-1][1]:
            first, last, best = merged[-1]
            merged[-1] = (first, max(last, end), min(best, rank))
        else:
            merged.append((start, end, rank))
    return [Finding(RECOGNISERS[rank].kind, start, end) for start, end, rank in merged]
