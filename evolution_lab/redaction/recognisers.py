"""What personal data and secrets look like in text: typed recognisers with their validators.

Each recogniser has a cheap test that most texts fail, a pattern that is linear in the text (every
repetition is bounded) and, where the kind has one, a check (Luhn, ISO 7064, libphonenumber).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from stdnum import iban, luhn

from evolution_lab.redaction.phone_numbers import decimal_digits, find_phones
from evolution_lab.redaction.secret_shapes import (
    find_assigned_secrets,
    find_issued_secrets,
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
        fewest_digits: A text with fewer digits than these is not looked at.
    """

    kind: str
    find: Callable[[str], Iterator[Span]]
    in_names: bool
    fewest_digits: int = 0


_DIGIT = re.compile(r"\d")
_ALPHANUMERIC = re.compile(r"[A-Za-z0-9]+")
_SEPARATORS = re.compile(r"[ ./_-]+")
_DIGITS = re.compile(r"\d+")
_LETTERS_BEFORE = re.compile(r"[A-Za-z]+$")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_AT = re.compile(r"@|%40")
_DOMAIN = re.compile(r"(?:[^\W_][\w-]{0,62}\.){1,8}(?:xn--[\w-]{2,59}|[^\W\d_]{2,24})")
_LOCAL_MARKS: Final = frozenset(".!#$%&'*+^_`{|}~-")
_LONGEST_LOCAL: Final = 254
_CARD_GROUPS = re.compile(r"(?<![\d.+])\d+(?:[ ./_\u00a0-]{1,2}\d+)*(?![A-Za-z0-9])")
_CARD_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11,16}|35\d{14}|6(?:011|4[4-9]\d|5\d\d)\d{12,15}"
    r"|62\d{14,17}|(?:5018|5020|5038|5[678]\d\d|6304|67\d\d)\d{8,15}"
)
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:(?:[./_]|  )[A-Za-z0-9]{4}){2,7}(?:(?:[./_]|  )[A-Za-z0-9]{1,3})?"
    r"|(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{1,4}){2,8}"
)
_IBAN_COUNTRIES: Final = frozenset(
    {
        "AD", "AE", "AL", "AT", "AZ", "BA", "BE", "BG", "BH", "BI", "BR", "BY", "CH", "CR",
        "CY", "CZ", "DE", "DJ", "DK", "DO", "EE", "EG", "ES", "FI", "FK", "FO", "FR", "GB",
        "GE", "GI", "GL", "GR", "GT", "HN", "HR", "HU", "IE", "IL", "IQ", "IS", "IT", "JO",
        "KW", "KZ", "LB", "LC", "LI", "LT", "LU", "LV", "LY", "MC", "MD", "ME", "MK", "MN",
        "MR", "MT", "MU", "NI", "NL", "NO", "OM", "PK", "PL", "PS", "PT", "QA", "RO", "RS",
        "RU", "SA", "SC", "SD", "SE", "SI", "SK", "SM", "SO", "ST", "SV", "TL", "TN", "TR",
        "UA", "VA", "VG", "XK", "YE",
    }
)  # fmt: skip
_SSN = re.compile(
    r"(?<![A-Za-z0-9.-])(?!000|666)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])"
    r"|(?i:\b(?:ssn|social security)\D{0,20})(?<![A-Za-z0-9])(?P<announced>\d{3}[ -]?\d{2}[ -]?\d{4})(?![A-Za-z\d])"
)
_NAMED_SSN = re.compile(r"(?i)ssn|social security")
_IPV4 = re.compile(r"(?<![A-Za-z0-9.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_NAMED = (
    r"(?:(?<=[g-zG-Z_]:)|(?<=[g-zG-Z_][A-Za-z_]:)|(?<=[g-zG-Z_][A-Za-z_]{2}:)|(?<=_)|(?<![\w:.]))"
)
"""Nothing before it, or a name and a colon: ``ip:2001:db8::1`` is one, ``a:b:c:d`` none."""
_IPV6 = re.compile(_NAMED + r"[0-9A-Fa-f:]{2,39}(?:\.\d{1,3}){0,3}(?![\w:])")
_MAC = re.compile(
    _NAMED + r"(?<!-)(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])"
)
_BIRTHDAY = re.compile(
    r"(?i)\b(?:dob|d\.o\.b|born(?: on)?|birth[ _-]?da(?:y|te)|date[ _]of[ _]birth)\b[\"']?[^\w\n]{0,4}"
    r"(?:is )?[\"']?(\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}|\d{1,2}\.? [^\W\d_]{3,9} \d{4}"
    r"|[^\W\d_]{3,9} \d{1,2}, \d{4})(?!\d)"
)


def _emails(text: str) -> Iterator[Span]:
    """Find addresses from their @ outwards: a long run of letters without one costs nothing."""
    if "@" not in text and "%40" not in text:
        return
    for at in _AT.finditer(text):
        domain = _DOMAIN.match(text, at.end())
        if domain is None:
            continue
        start = at.start()
        first = max(0, start - _LONGEST_LOCAL)
        while start > first and (text[start - 1].isalnum() or text[start - 1] in _LOCAL_MARKS):
            start -= 1
        if start < at.start():
            yield start, domain.end()


def find_cards(text: str) -> Iterator[Span]:
    """Yield (start, end) of card numbers, also where other numbers stand before or behind them."""
    for run in _CARD_GROUPS.finditer(text):
        if len(run[0]) < 13 or _within_identifier(text, run.start()):
            continue
        groups = [m.span() for m in _DIGITS.finditer(text, run.start(), run.end())]
        for first, (start, _) in enumerate(groups):
            size = 0
            for begin, end in groups[first : first + 5]:
                size += end - begin
                if end - begin < 3 or size > 19:
                    break
                if size >= 13 and _is_card(decimal_digits(text[start:end])):
                    yield start, end


def _within_identifier(text: str, start: int) -> bool:
    """Say whether digits continue a hex run: part of an id, not of ``card4111…``."""
    before = _LETTERS_BEFORE.search(text, max(0, start - 8), start)
    return before is not None and _HEX.fullmatch(before[0]) is not None


def _is_card(digits: str) -> bool:
    return _CARD_ISSUERS.fullmatch(digits) is not None and bool(luhn.is_valid(digits))


def find_ibans(text: str) -> Iterator[Span]:
    """Yield (start, end) of account numbers whose country and check digits are right."""
    for match in _IBAN.finditer(text):
        if match[0][:2].upper() not in _IBAN_COUNTRIES:
            continue
        # Words may follow within the pattern; the longest valid beginning is the number.
        ends = [m.end() for m in _ALPHANUMERIC.finditer(match[0])]
        for end in sorted({*ends, len(match[0])}, reverse=True):
            if iban.is_valid(_SEPARATORS.sub("", match[0][:end]), check_country=False):
                yield match.start(), match.start() + end
                break


def _ssns(text: str) -> Iterator[Span]:
    if text.count("-") < 2 and not _NAMED_SSN.search(text):
        return
    for match in _SSN.finditer(text):
        yield match.span("announced" if match["announced"] else 0)


def _addresses(text: str) -> Iterator[Span]:
    """Find IP addresses, but those that name no machine in particular (127.0.0.1, ::1, 0.0.0.0)."""
    candidates: list[re.Match[str]] = []
    if text.count(".") >= 3:
        candidates += _IPV4.finditer(text)
    if text.count(":") >= 2:
        candidates += (match for match in _IPV6.finditer(text) if _is_plausible_v6(match[0]))
    for match in candidates:
        try:
            address = ip_address(match[0])
        except ValueError:
            continue
        if not (address.is_loopback or address.is_unspecified):
            yield match.span()


def _is_plausible_v6(candidate: str) -> bool:
    """Tell an address from ``a1::b2``, a name in a namespace."""
    groups = [group for group in candidate.split(":") if group]
    return _DIGIT.search(candidate) is not None and (
        len(groups) >= 4 or candidate.startswith("::") or len(groups[0]) == 4
    )


def _macs(text: str) -> Iterator[Span]:
    if text.count(":") < 5 and text.count("-") < 5:
        return
    for match in _MAC.finditer(text):
        yield match.span()


def _birthdays(text: str) -> Iterator[Span]:
    for match in _BIRTHDAY.finditer(text):
        yield match.span(1)


_WITHOUT_DIGITS: Final = str.maketrans("", "", "0123456789")


def count_digits(text: str) -> int:
    """Return how many digits a text has, those of other scripts too."""
    if text.isascii():
        return len(text) - len(text.translate(_WITHOUT_DIGITS))
    return len(_DIGIT.findall(text))


RECOGNISERS: Final = (
    Recogniser("secret", find_issued_secrets, in_names=True),
    Recogniser("secret", find_assigned_secrets, in_names=True),
    Recogniser("email", _emails, in_names=True),
    Recogniser("iban", find_ibans, in_names=True, fewest_digits=4),
    Recogniser("card", find_cards, in_names=True, fewest_digits=13),
    Recogniser("ssn", _ssns, in_names=True, fewest_digits=9),
    Recogniser("ip", _addresses, in_names=True, fewest_digits=1),
    Recogniser("mac", _macs, in_names=True, fewest_digits=1),
    Recogniser("birthday", _birthdays, in_names=False, fewest_digits=4),
    Recogniser("phone", find_phones, in_names=False, fewest_digits=5),
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
    digits = count_digits(text)
    spans = [
        (start, end, rank)
        for rank, recogniser in enumerate(RECOGNISERS)
        if recogniser.fewest_digits <= digits and (recogniser.in_names or not names_only)
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
