"""Telephone numbers in text, by what surrounds them, how they are grouped and libphonenumber."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneMetadata

_CANDIDATE = re.compile(
    # Groups of digits are taken whole (possessively): a long run of digits is looked at once, not
    # in every way in which it could be parted.
    r"(?<![A-Za-z0-9.\-+])(?:\+\d{7,15}+"
    r"|(?:\+ ?)?\(?\d{1,18}+\)?(?:(?:[ \u00a0./-]{0,2}\(0\) ?|[ \u00a0./-]{1,2}\(?|\(|(?<=\)))\d{1,12}+\)?){0,6})"
    r"(?: ?(?:x|ext\.? ?)\d{1,6})?(?![\w-]|[.,]\d)"
)
_EXTENSION = re.compile(r" ?(?:x|ext\.? ?)\d{1,6}$")
_NO_DIGIT = re.compile(r"[^0-9]+")
_ANNOUNCED = re.compile(
    r"(?i)(?:phone|tel(?:efon|ephone)?|mobile|cell|fax|whatsapp|sms|msisdn|call(?:ed)?)"
    r"[\w.]{0,10}[\"']?[\s:=#\"'(]{0,4}(?:is|no|number|nr)?[\s.:=\"'(]{0,3}$"
)
_DATE = re.compile(
    r"(?:(?:19|20)\d\d([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\2(?:19|20)\d\d)(?:[ .]\d+)*"
)
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:[ .\u00a0]\d{3})+")
_PAIRS = re.compile(r"[1-9]\d(?:[ .\u00a0/-]\d\d){4,}")
_SHORTEST: Final = 7
_SHORTEST_ANNOUNCED: Final = 5
_LONGEST: Final = 15
_REGIONS: Final = (
    "US", "GB", "DE", "FR", "IT", "ES", "NL", "BE", "CH", "AT", "DK", "SE", "NO", "FI", "PL", "PT",
    "IE", "CZ", "HU", "GR", "AU", "NZ", "BR", "MX", "AR", "CL", "UY", "IN", "CN", "JP", "KR", "SG",
    "ZA", "TR", "RU", "UA", "IL", "AE", "NG", "EG", "ID", "PH", "VN", "SI", "IS", "EE",
)  # fmt: skip
"""Regions whose national numbers are recognised without a country code."""


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of telephone numbers.

    A number with a country code must be possible there. One that a word announces (``phone``,
    ``tel``) counts by its length. Others must fit the numbering plan of one of the regions, and
    within longer text also have a trunk prefix, brackets or three groups: two numbers in a row are
    no telephone.

    Examples:
        >>> list(find_phones("call +49 30 901820 now"))
        [(5, 18)]
        >>> list(find_phones("took 1200 ms, 3000 4000 rows"))
        []
    """
    for match in _CANDIDATE.finditer(text):
        number = match[0]
        digits = decimal_digits(_EXTENSION.sub("", number).replace("(0)", ""))
        if not _SHORTEST_ANNOUNCED <= len(digits) <= _LONGEST or _DATE.fullmatch(number):
            continue
        if number.startswith("+") or (digits.startswith("00") and len(digits) >= 10):
            found = _possible_abroad(digits.removeprefix("00")) or (
                number.startswith("00") and _grouped_like_a_phone(text, match)
            )
        elif _ANNOUNCED.search(text, max(0, match.start() - 40), match.start()):
            found = True
        else:
            found = _grouped_like_a_phone(text, match) and fits_a_plan(digits)
        if found:
            yield match.span()


def decimal_digits(text: str) -> str:
    r"""Return the digits of a text, those of other scripts as ASCII.

    Examples:
        >>> decimal_digits("(030) \u0669\u0660-18")
        '0309018'
    """
    if text.isascii():
        return _NO_DIGIT.sub("", text)
    return "".join(str(unicodedata.decimal(each)) for each in text if each.isdecimal())


def _grouped_like_a_phone(text: str, match: re.Match[str]) -> bool:
    number = match[0]
    groups = re.findall(r"\d+", number)
    size = sum(map(len, groups))
    if size < _SHORTEST or len(groups) == 1 or _PAIRS.fullmatch(number):
        return False
    if (
        "." in number and "(" not in number and re.search(r"[ \u00a0/-]", number)
    ):  # Decimal numbers in a row.
        return False
    if _stands_alone(text, match):
        return not (_THOUSANDS.fullmatch(number) and (size < 9 or "." in number))
    if _THOUSANDS.fullmatch(number):
        return False
    return number[0] in "0(" or (len(groups) >= 3 and size >= 9 and max(map(len, groups)) >= 3)


def _stands_alone(text: str, match: re.Match[str]) -> bool:
    """Say whether a match is the whole text, or the whole of a quoted one within it."""
    before, after = text[: match.start()].rstrip()[-1:], text[match.end() :].lstrip()[:1]
    return before == after and before in {"", '"', "'"}


@lru_cache(maxsize=4096)
def _possible_abroad(digits: str) -> bool:
    try:
        parsed = phonenumbers.parse("+" + digits, None)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_possible_number(parsed))


def fits_a_plan(digits: str) -> bool:
    """Return whether digits are a national number of one of the regions, trunk prefix or not."""
    return _plans().fullmatch(digits) is not None


@cache
def _plans() -> re.Pattern[str]:
    """Return the numbering plans of the regions: trunk prefix, then fixed line or mobile.

    libphonenumber's own check parses a number once per region; one pattern each is twenty times
    as fast and decides alike for numbers without extensions and carrier codes.
    """
    plans = set()
    for region in _REGIONS:
        metadata = PhoneMetadata.metadata_for_region(region)
        assert metadata is not None, region
        kinds = [metadata.fixed_line, metadata.mobile, metadata.toll_free, metadata.shared_cost]
        patterns = [kind.national_number_pattern for kind in kinds if kind is not None]
        trunk = re.escape(metadata.national_prefix or "")
        plans.add(f"(?:{trunk})?(?:{'|'.join(filter(None, patterns))})")
    return re.compile("|".join(sorted(plans)))
