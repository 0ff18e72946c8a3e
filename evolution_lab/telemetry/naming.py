"""Names of bounded length and number: paths without a route become templates.

A million ids are one operation, and none of them is in its name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote, urlsplit

LONGEST_PATH: Final = 200
_MOST_SEGMENTS: Final = 20
_ID: Final = "{id}"
_DATE: Final = "{date}"

# Digits alone are never a date: a part of the ids would be, and one operation two.
_DATES = re.compile(
    r"^(?:19|20)\d\d([-_.])(?:0[1-9]|1[0-2])(?:\1(?:0[1-9]|[12]\d|3[01]))?"
    r"(?:[T ][\d:.]{2,20}(?:Z|[+-]\d\d:?\d\d)?)?$"
)
_UUID = re.compile(
    r"^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$", re.IGNORECASE
)
_NUMBER = re.compile(r"^[+-]?\d+(?:[.,]\d+)*$")
_HEX = re.compile(r"^(?=.*\d)[0-9a-f]{6,}$", re.IGNORECASE)
_PREFIXED = re.compile(r"^[A-Za-z]{1,12}[-_](?=\w*\d)[\w-]{3,}$")
_WORD = re.compile(r"^[A-Za-z][A-Za-z_.-]*$")
_PLACEHOLDER = re.compile(
    r"^(?:\{[A-Za-z_]\w{0,39}\}|:[A-Za-z_]\w{0,39}|<[A-Za-z_:]{1,40}>|\*{1,2})$"
)
_VERSION = re.compile(r"^v\d{1,3}(?:\.\d{1,3})?$", re.IGNORECASE)
_SHORT_MIXED = re.compile(r"^[A-Za-z][\w.-]*$")
_LONGEST_NAME: Final = 40
_MOST_DIGITS: Final = 2
_SEPARATORS: Final = " \t\r\n/,;&?|"
_NUMBER_PARTS: Final = "0123456789 ().+-"


@lru_cache(maxsize=65536)
def template_path(path: str) -> str:
    """Return a path with everything that names one thing replaced by a placeholder.

    Numbers, uuids, hexadecimal and prefixed ids, e-mail addresses, tokens and anything else that is
    not plainly a word become ``{id}``, dates ``{date}``. Query and fragment are dropped. Percent
    escapes are decoded before looking, so that nothing personal hides behind them. What is a
    placeholder already (``{userId}``, ``:id``, ``<int:id>``, ``*``) stays.

    Examples:
        >>> template_path("/users/123/orders/9f1c44aa?page=2")
        '/users/{id}/orders/{id}'
        >>> template_path("/v1/reports/2025-03-04/summary"), template_path("/u/ann%40example.com")
        ('/v1/reports/{date}/summary', '/u/{id}')
    """
    try:
        bare = urlsplit(path).path if "://" in path[:16] else re.split(r"[?#]", path, maxsplit=1)[0]
    except ValueError:
        bare = "/"
    segments = [_segment(segment) for segment in bare.split("/")[: _MOST_SEGMENTS + 1]]
    template = "/".join(segments)
    if not template.startswith("/"):
        template = f"/{template}"
    if len(template) > LONGEST_PATH:
        template = template[:LONGEST_PATH].rpartition("/")[0] + "/…"
    return template


def _segment(segment: str) -> str:
    text = unquote(segment, errors="replace")
    if not text or text in {".", ".."}:
        return text
    if _DATES.match(text):
        return _DATE
    if _VERSION.match(text) or _PLACEHOLDER.match(segment):
        return text
    if _NUMBER.match(text) or _UUID.match(text) or _HEX.match(text) or _PREFIXED.match(text):
        return _ID
    if len(text) <= _LONGEST_NAME and _WORD.match(text):
        return text
    digits = sum(character.isdigit() for character in text)
    if len(text) <= _LONGEST_NAME // 2 and digits <= _MOST_DIGITS and _SHORT_MIXED.match(text):
        return text
    return _ID


def shortened(text: str, limit: int) -> str:
    """Return a text of at most ``limit`` characters, cut before a word or segment.

    A cut within an address or a number would leave half of it, which no recogniser knows any more.

    Examples:
        >>> shortened("no card 4111 1111 1111 1111 of jane@example.org", 38)
        'no card 4111 1111 1111 1111 of…'
        >>> shortened("no card 4111 1111 1111 1111", 20)
        'no card…'
    """
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    end = max(map(head.rfind, _SEPARATORS))
    if end > 0:
        head = head[:end].rstrip(_NUMBER_PARTS)
    return f"{head}…"
