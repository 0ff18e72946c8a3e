"""Values in place of personal ones: of the same form, the same for the same, different for different.

Each kind draws from a range that no person's value comes from, so that what stands in is told from
what was there: cards begin with 9, IBANs with a country that is none, telephone numbers with 000,
social security numbers with 000 or 666, addresses of machines are reserved ones, e-mail goes to
example.com. Check digits are right. Which value a person's becomes depends on the lab's key, and can
be found out only by trying.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache, partial
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from typing import Final

from stdnum import luhn

from evolution_lab.redaction.issued_stand_ins import IssuedStandIns
from evolution_lab.redaction.name_words import (
    NAME_ENDINGS,
    NAME_MIDDLES,
    NAME_STEMS,
    STREET_KINDS,
    STREETS,
    TOWNS,
)
from evolution_lab.redaction.pseudonyms import LabKey
from evolution_lab.redaction.recognisers import find_cards, find_ibans

_DATE = re.compile(r"(\d{1,4})([-/. ])(\d{1,2})\2(\d{1,4})")
_DIGIT = re.compile(r"\d")
_WORD = re.compile(r"[^\W\d_]+")
_MOST_DRAWS: Final = 64
_RESERVED_V4: Final = 240 << 24
_STAND_IN: Final = re.compile(
    r"(?i:[a-z]{2}[0-9a-f]{14}(?:\.[0-9a-f]{2})?@example\.com)|\[text [0-9a-f]{12}\]"
    r"|secret_[0-9a-f]{16}"
)


class StandIns:
    """Draws what stands in for a value, by kind.

    Attributes:
        issued: Which values stand in for something already; what keeps different things different
            where a range is small.

    Examples:
        >>> stand_ins = StandIns(LabKey(b"k" * 32))
        >>> stand_ins.of("card", "4111 1111 1111 1111")
        '9531 0058 8060 3095'
        >>> stand_ins.of("name", "Ada Lovelace") == stand_ins.of("name", "Ada Lovelace")
        True
    """

    def __init__(self, key: LabKey, issued: IssuedStandIns | None = None) -> None:
        self._secret = key.secret
        self.issued = IssuedStandIns() if issued is None else issued
        self._known: dict[tuple[str, str], str] = {}
        self._draws: dict[str, Callable[[str, bytes], str]] = {
            "email": _email,
            "phone": _phone,
            "card": _card,
            "iban": _iban,
            "ssn": _ssn,
            "ip": _ip,
            "mac": _mac,
            "secret": _secret_name,
            "address": _address,
            "text": _text,
            "word": _name_word,
        }

    def of(self, kind: str, value: str) -> str:
        """Return what stands in for a value of a kind; an unknown kind is treated as a secret."""
        found = self._known.get((kind, value))
        if found is None:
            if len(self._known) > 200_000:
                self._known.clear()
            found = self._known[kind, value] = self._made(kind, value)
        return found

    def _made(self, kind: str, value: str) -> str:
        if is_stand_in(value):
            return value
        if kind == "name":
            return _WORD.sub(lambda word: self.of("word", word[0]), value)
        if kind == "birthday":
            return self._birthday(value)
        draw = self._draws.get(kind, _secret_name)
        canonical = _canonical(kind, value)
        digest = self._digest(kind, canonical, 0)
        for attempt in range(_MOST_DRAWS):
            drawn = draw(value, self._digest(kind, canonical, attempt) if attempt else digest)
            if _reads_as_number(kind, drawn):
                continue  # part of it would pass for a card's or an account's number
            if drawn != value and self.issued.claim(kind, drawn, _owner(kind, value, digest)):
                return drawn
        return _secret_name(value, digest)  # a range that is used up: a name that is never used up

    def _digest(self, kind: str, value: str, attempt: int) -> bytes:
        data = f"{kind}\x1f{attempt}\x1f{value}".encode("utf-8", "surrogatepass")
        return blake2b(data, digest_size=24, key=self._secret, person=b"stand in").digest()

    def _birthday(self, value: str) -> str:
        """Move a date within its year: an age stays as it is, and no day stays where it was."""
        found = _DATE.search(value)
        parsed = None if found is None else _parsed_date(found)
        if found is None or parsed is None:
            return _secret_name(value, self._digest("birthday", value, 0))
        day, written = parsed
        order = _days_of_year(self._secret, day.year)
        place = order.index((day - date(day.year, 1, 1)).days)
        moved = date(day.year, 1, 1) + timedelta(days=order[(place + 1) % len(order)])
        return value[: found.start()] + written(moved) + value[found.end() :]


def is_stand_in(value: str) -> bool:
    """Return whether a text has the form of something that stands in already.

    Examples:
        >>> is_stand_in("jane@example.org"), is_stand_in("[text 0123456789ab]")
        (False, True)
    """
    if value[:1] != "[" and value[:7] != "secret_" and value[-12:].lower() != "@example.com":
        return False
    return _STAND_IN.fullmatch(value) is not None


def stands_in(kind: str, value: str) -> bool:
    """Return whether a recognised value lies in the range that stand-ins of its kind come from.

    Examples:
        >>> stands_in("card", "9361524060944420"), stands_in("card", "4111111111111111")
        (True, False)
    """
    if is_stand_in(value) or "secret_" in value or "[text " in value:
        return True
    digits = "".join(ch for ch in value if ch.isdecimal())
    if kind == "email":
        return value.lower().endswith(("@example.com", "%40example.com"))
    if kind == "ip":
        first = value.partition(".")[0]
        return value.startswith("2001:db8") or (first.isdecimal() and int(first) >= 240)
    if kind == "phone":
        return digits.startswith("000" if len(digits) > 6 else "00")
    if kind == "ssn":
        return digits.startswith(("000", "666"))
    if kind == "mac":
        return value.startswith("02")
    if kind == "iban":
        return value[:2].upper() == "ZZ"
    return kind == "card" and digits.startswith("9")


def _reads_as_number(kind: str, drawn: str) -> bool:
    if kind in {"card", "phone", "ip", "mac"}:
        return False
    return any(find_cards(drawn)) or (kind != "iban" and any(find_ibans(drawn)))


def _owner(kind: str, value: str, digest: bytes) -> bytes:
    """Return what tells two values apart that must not share what stands in for them."""
    return digest[:8] if kind in {"card", "iban", "phone", "ssn"} else digest[:8] + _case(value)


def _case(value: str) -> bytes:
    return b"l" if value.islower() else b"u" if value.isupper() else b"m"


def _canonical(kind: str, value: str) -> str:
    if kind in {"card", "iban", "phone", "ssn"}:
        return re.sub(r"[^\w+]", "", value).upper()
    if kind in {"email", "word"}:
        return value.lower()
    return value


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:16], "big")


def _email(value: str, digest: bytes) -> str:
    letters = "".join(chr(97 + byte % 26) for byte in digest[:2])
    local = letters + digest[2:9].hex()
    if value.islower():
        return f"{local}@example.com"
    if value.isupper():
        return f"{local}@example.com".upper()
    # addresses that differ in case alone stay different, and stay alike
    return f"{local.capitalize()}.{blake2b(value.encode(), digest_size=1).hexdigest()}@example.com"


def _phone(value: str, digest: bytes) -> str:
    count = len(_DIGIT.findall(value))
    lead = "000" if count > 6 else "00"
    return _digits_into(value, _digits(lead, count, digest))


def _digits(lead: str, count: int, digest: bytes) -> str:
    rest = max(count - len(lead), 0)
    return (lead + f"{_number(digest) % 10**rest:0{rest}d}" if rest else lead)[:count]


def _digits_into(value: str, digits: str) -> str:
    each = iter(digits)
    return "".join(next(each, "0") if ch.isdecimal() else ch for ch in value)


def _card(value: str, digest: bytes) -> str:
    count = len(_DIGIT.findall(value))
    body = _digits("9", max(count, 2) - 1, digest)
    return _digits_into(value, body + str(luhn.calc_check_digit(body)))


def _iban(value: str, digest: bytes) -> str:
    plain = re.sub(r"[^A-Za-z0-9]", "", value).upper()
    number, body = _number(digest), ""
    for ch in plain[4:]:
        base = 10 if ch.isdigit() else 26
        number, drawn = divmod(number, base)
        body += str(drawn) if base == 10 else chr(65 + drawn)
    as_digits = "".join(str(int(ch, 36)) for ch in body + "ZZ00")
    written = iter(f"ZZ{98 - int(as_digits) % 97:02d}{body}")
    drawn_text = "".join(next(written, "0") if ch.isalnum() else ch for ch in value)
    return drawn_text.lower() if value.islower() else drawn_text


def _ssn(value: str, digest: bytes) -> str:
    number = _number(digest)
    area = "666" if number % 2 else "000"
    digits = f"{area}{number // 2 % 99 + 1:02d}{number // 198 % 9999 + 1:04d}"
    return _digits_into(value, digits)


def _ip(value: str, digest: bytes) -> str:
    try:
        version = ip_address(value).version
    except ValueError:
        version = 4
    if version == 6:
        return str(IPv6Address((0x20010DB8 << 96) | (_number(digest) % 2**96)))
    drawn = _RESERVED_V4 | (_number(digest) % 2**28)
    return ".".join(str(drawn >> shift & 255) for shift in (24, 16, 8, 0))


def _mac(value: str, digest: bytes) -> str:
    separator = ":" if ":" in value else "-"
    drawn = separator.join(f"{byte:02x}" for byte in bytes((2, *digest[:5])))
    return drawn.upper() if value.isupper() else drawn


def _secret_name(_value: str, digest: bytes) -> str:
    return f"secret_{digest[:8].hex()}"


def _text(_value: str, digest: bytes) -> str:
    return f"[text {digest[:6].hex()}]"


def _name_word(value: str, digest: bytes) -> str:
    number = _number(digest)
    if len(value) <= 1:
        return chr((65 if value.isupper() else 97) + number % 26)
    number, stem = divmod(number, len(NAME_STEMS))
    number, middle = divmod(number, len(NAME_MIDDLES))
    word = NAME_STEMS[stem] + NAME_MIDDLES[middle] + NAME_ENDINGS[number % len(NAME_ENDINGS)]
    return word.upper() if value.isupper() else word.lower() if value.islower() else word


def _address(value: str, digest: bytes) -> str:
    number = _number(digest)
    number, house = divmod(number, 9999)
    number, street = divmod(number, len(STREETS))
    number, kind = divmod(number, len(STREET_KINDS))
    number, town = divmod(number, len(TOWNS))
    if not _WORD.search(value):  # a house number, a postal code
        return _digits_into(value, _digits("", len(_DIGIT.findall(value)), digest))
    first = f"{house + 1} {STREETS[street]} {STREET_KINDS[kind]}"
    return first if "," not in value else f"{first}, {TOWNS[town]} {number % 100_000:05d}"


def _parsed_date(found: re.Match[str]) -> tuple[date, Callable[[date], str]] | None:
    """Return the day that is written, and how to write another one the same way."""
    texts = (found[1], found[3], found[4])
    parts = [int(text) for text in texts]
    orders: tuple[tuple[int, int, int], ...] = ()
    if len(texts[0]) == 4:
        orders = ((0, 1, 2),)
    elif len(texts[2]) == 4:
        orders = ((2, 0, 1), (2, 1, 0))
    for order in orders:
        try:
            day = date(parts[order[0]], parts[order[1]], parts[order[2]])
        except ValueError:
            continue
        return day, partial(_written_date, texts=texts, order=order, separator=found[2])
    return None


def _written_date(
    day: date, *, texts: tuple[str, str, str], order: tuple[int, int, int], separator: str
) -> str:
    padded = any(len(text) > 1 and text[0] == "0" for text in texts)
    values = dict(zip(order, (day.year, day.month, day.day), strict=True))
    widths = [4 if len(text) == 4 else 2 if padded else 1 for text in texts]
    return separator.join(str(values[k]).zfill(widths[k]) for k in range(3))


@lru_cache(maxsize=512)
def _days_of_year(secret: bytes, year: int) -> tuple[int, ...]:
    """Return the days of a year in the lab's own order for it."""
    days = list(range(366 if date(year, 12, 31).timetuple().tm_yday == 366 else 365))
    seed = blake2b(str(year).encode(), digest_size=16, key=secret, person=b"days").digest()
    random.Random(seed).shuffle(days)  # noqa: S311 - the seed is secret
    return tuple(days)
