"""Telephone numbers in text, by what surrounds them, how they are grouped and libphonenumber."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import phonenumbers

_CANDIDATE = re.compile(
    r"(?<![\w.\-+])(?:\+\d{7,15}|(?:\+ ?)?\(?\d{1,9}\)?(?:[ \u00a0./-]{0,2}\(?\d{1,9}\)?){1,6})(?![\w-]|[.,]\d)"
)
_ANNOUNCED = re.compile(
    r"(?i)(?:phone|tel(?:efon|ephone)?|mobile|cell|fax|whatsapp|sms|msisdn|call(?:ed)?)"
    r"[\w.]{0,10}[\"']?[\s:=#\"'(]{0,4}(?:is|no|number|nr)?[\s.:=\"'(]{0,3}$"
)
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b.*|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})\b.*")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:[ .\u00a0]\d{3})+")
_MOST_CHECKS: Final = 64
_REGIONS: Final = (
    "US", "GB", "DE", "FR", "IT", "ES", "NL", "BE", "CH", "AT", "DK", "SE", "NO", "FI", "PL", "PT",
    "IE", "CZ", "HU", "GR", "AU", "NZ", "BR", "MX", "AR", "CL", "UY", "IN", "CN", "JP", "KR", "SG",
    "ZA", "TR", "RU", "UA", "IL", "AE", "NG", "EG", "ID", "PH", "VN", "SI", "IS", "EE",
)  # fmt: skip
"""Regions whose national numbers are recognised without a country code."""


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of telephone numbers.

    A number with a country code must be possible there. One that a word announces (``phone``,
    ``tel``) counts by its length. Others must be valid in one of the regions, and within longer text
    also have a trunk prefix, brackets or three groups: two numbers in a row are no telephone.

    Examples:
        >>> list(find_phones("call +49 30 901820 now"))
        [(5, 18)]
        >>> list(find_phones("took 1200 ms, 3000 4000 rows"))
        []
    """
    checks = 0
    for match in _CANDIDATE.finditer(text):
        number = match[0]
        digits = re.sub(r"\D", "", number)
        if not 7 <= len(digits) <= 15 or _DATE.fullmatch(number):
            continue
        if number.startswith("+") or (number.startswith("00") and len(digits) >= 10):
            checks += 1
            found = checks > _MOST_CHECKS or _possible_abroad(digits)
        elif _ANNOUNCED.search(text, max(0, match.start() - 40), match.start()):
            found = True
        elif number == digits or _THOUSANDS.fullmatch(number) or _mixes_points(number):
            found = False
        else:
            alone = len(number) == len(text.strip())
            grouped = len(re.findall(r"\d+", number)) >= 3 and len(digits) >= 9
            if alone or grouped or number[0] in "0(":
                checks += 1
                # Many different numbers in one text: too dear to check, so none of them stays.
                found = checks > _MOST_CHECKS or _valid_somewhere(digits)
            else:
                found = False
        if found:
            yield match.span()


def _mixes_points(number: str) -> bool:
    return "." in number and bool(re.search(r"[ \u00a0/-]", number))


@lru_cache(maxsize=4096)
def _possible_abroad(digits: str) -> bool:
    try:
        parsed = phonenumbers.parse("+" + digits.removeprefix("00"), None)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_possible_number(parsed))


@lru_cache(maxsize=4096)
def _valid_somewhere(digits: str) -> bool:
    for region in _REGIONS:
        try:
            parsed = phonenumbers.parse(digits, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number_for_region(parsed, region):
            return True
    return False
