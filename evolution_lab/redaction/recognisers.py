"""What personal data and secrets look like: one recogniser a kind, checked where a check exists.

A recogniser has a cheap condition that most text fails (a digit, an ``@``), a pattern for candidates
and, where the field has one, a validation: Luhn for cards, the ISO 13616 checksum for IBANs, the
numbering plans of ``phonenumbers``, the address parser of the standard library.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final


@dataclass(frozen=True)
class Finding:
    """Something recognised in a text.

    Attributes:
        kind: ``email``, ``card``, ``iban``, ``phone``, ``ip``, ``secret``, ``token`` or ``url-user``.
        start: Where it begins.
        end: Where it ends.
    """

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Recogniser:
    """Finds one kind of personal data or secret.

    Attributes:
        kind: What it finds.
        needs: Characters of which at least one occurs in every text that holds it.
        pattern: Candidates; group ``value`` is what is masked, or the whole match.
        valid: Tells true candidates from others.
    """

    kind: str
    needs: str
    pattern: re.Pattern[str]
    valid: Callable[[str], bool] = lambda _candidate: True

    def find(self, text: str) -> Iterator[Finding]:
        """Yield what is found, left to right."""
        if not any(character in text for character in self.needs):
            return
        group = "value" if "value" in self.pattern.groupindex else 0
        for match in self.pattern.finditer(text):
            if self.valid(match[group]):
                yield Finding(self.kind, match.start(group), match.end(group))


SECRET_NAMES: Final = re.compile(
    r"pass(?:word|wd|phrase|code)?$|^pwd$|secret|token|^auth(?:orization)?$|cookie|api[-_]?key"
    r"|private[-_]?key|access[-_]?key|credential|^ssn$|signature|session[-_]?id|^otp$|^pin$|^cvv|^cvc",
    re.IGNORECASE,
)
"""Names whose value is a secret whatever it looks like."""

PERSONAL_NAMES: Final = re.compile(
    r"e[-_]?mail|phone|mobile|^fax|iban|card[-_]?(?:number|no)|account[-_]?number|birth|^dob$"
    r"|(?:first|last|full|sur|given|family|maiden|display)[-_]?name|^ip$|ip[-_]?addr|address|street"
    r"|post(?:al)?[-_]?code|^zip|passport|tax[-_]?id|national[-_]?id|licen[cs]e[-_]?(?:no|number)",
    re.IGNORECASE,
)
"""Names whose value is personal whatever it looks like."""

_DIGITS: Final = "0123456789"
_LONGEST_CANDIDATE: Final = 512
_ENTROPY_BITS: Final = 3.5


def _is_card(candidate: str) -> bool:
    from stdnum import luhn

    digits = re.sub(r"[ -]", "", candidate)
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and bool(luhn.is_valid(digits))


def _is_iban(candidate: str) -> bool:
    from stdnum import iban

    return bool(iban.is_valid(candidate, check_country=False))


@lru_cache(maxsize=4096)
def _is_phone(candidate: str) -> bool:
    import phonenumbers

    digits = sum(character.isdigit() for character in candidate)
    if not 7 <= digits <= 15 or re.fullmatch(r"\d{4}-\d{2}-\d{2}.*", candidate.strip()):
        return False
    if candidate.lstrip().startswith(("+", "00")):
        text = re.sub(r"^\s*00", "+", candidate)
        try:
            return phonenumbers.is_possible_number(phonenumbers.parse(text, None))
        except phonenumbers.NumberParseException:
            return False
    # Without a country a number is one only in the form people write numbers in.
    return bool(re.search(r"\(\d{2,5}\)|\d[-. ]\d{3}[-. ]\d{4}$", candidate))


def _is_address(candidate: str) -> bool:
    try:
        address = ipaddress.ip_address(candidate.strip("[]"))
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_loopback)


def _is_random(candidate: str) -> bool:
    """Say whether a long word is too irregular to be one: entropy, and both letters and digits."""
    if len(candidate) > _LONGEST_CANDIDATE:
        return True
    counts = Counter(candidate)
    size = len(candidate)
    entropy = -sum(n / size * math.log2(n / size) for n in counts.values())
    has_digit = any(character.isdigit() for character in candidate)
    has_letter = any(character.isalpha() for character in candidate)
    return entropy >= _ENTROPY_BITS and has_digit and has_letter and not _is_hash_like(candidate)


def _is_hash_like(candidate: str) -> bool:
    """Say whether it is a uuid or a trace or span id: those name nobody."""
    bare = candidate.replace("-", "")
    return bool(re.fullmatch(r"[0-9a-fA-F]+", bare)) and len(bare) in {16, 32}


RECOGNISERS: Final = (
    Recogniser(
        "secret",
        "-",
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL
        ),
    ),
    Recogniser(
        "secret",
        "eE",
        re.compile(r"\beyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?"),
    ),
    Recogniser(
        "secret",
        "bB",
        re.compile(r"\b(?:bearer|basic)\s+(?P<value>[\w.~+/=-]{8,})", re.IGNORECASE),
    ),
    Recogniser(
        "secret",
        ":@",
        re.compile(r"\b[a-z][a-z0-9+.-]*://(?P<value>[^/\s:@]*:[^/\s@]+)@", re.IGNORECASE),
    ),
    Recogniser(
        "secret",
        "_-AKS",
        re.compile(
            r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\b(?:sk|pk|rk)[-_](?:live|test|proj)?[-_]?[\w-]{16,}"
            r"|\bgh[pousr]_\w{20,}|\bxox[abprs]-[\w-]{10,}|\bglpat-[\w-]{16,}|\bAIza[\w-]{30,}"
        ),
    ),
    Recogniser(
        "secret",
        "=:",
        re.compile(
            r"\b[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api[-_]?key|authorization|cookie)"
            r"[\w-]*[\"']?\s*[=:]\s*[\"']?(?P<value>[^\s\"',;&}]{3,})",
            re.IGNORECASE,
        ),
    ),
    Recogniser(
        "email",
        "@",
        re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}(?:@|%40)[\w-]+(?:\.[\w-]+)+"),
    ),
    Recogniser("iban", _DIGITS, re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}\b"), _is_iban),
    Recogniser("card", _DIGITS, re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])"), _is_card),
    Recogniser(
        "ip",
        ".:",
        re.compile(
            r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)"
            r"|(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])"
        ),
        _is_address,
    ),
    Recogniser(
        "phone",
        _DIGITS,
        re.compile(r"(?<![\w.:/-])(?:\+|00)?\(?\d[\d ().-]{5,20}\d(?![\w:-])"),
        _is_phone,
    ),
    Recogniser("token", _DIGITS, re.compile(r"\b[A-Za-z0-9_+/=-]{24,}"), _is_random),
)
"""In the order in which they are asked; what one finds is hidden from the next."""


def find_all(text: str) -> list[Finding]:
    """Return everything recognised in a text, left to right, without overlaps.

    Examples:
        >>> [f.kind for f in find_all("call +49 30 901820 or write to ann@example.com")]
        ['phone', 'email']
    """
    found: list[Finding] = []
    for recogniser in RECOGNISERS:
        for finding in recogniser.find(text):
            if all(finding.end <= other.start or finding.start >= other.end for other in found):
                found.append(finding)
    return sorted(found, key=lambda finding: finding.start)
