"""What a single value looks like: an identifier, a time, a random token, or nothing special.

This is the weakest evidence of change (a value seen once), so it asks for two things where one is
not enough: a shape, and a name that says what the value is for. What it says is later overruled by
repeats, recordings and reruns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from evolution_lab.golden.matchers import Tree, epoch, escape_pattern, named, of_type, pattern

IDENTITY_WORDS: Final = frozenset({"id", "ids", "uuid", "guid", "ulid", "uid", "oid", "nonce"})
TOKEN_WORDS: Final = frozenset(
    {
        "token", "secret", "signature", "sig", "etag", "cursor", "hash", "sha", "digest", "checksum",
        "fingerprint", "key", "csrf", "state", "session", "trace", "span", "jti", "challenge",
        "revision", "after", "before", "next", "continuation",
    }
)  # fmt: skip
TIME_WORDS: Final = frozenset(
    {
        "at", "time", "timestamp", "ts", "created", "updated", "modified", "expires", "expiry",
        "iat", "exp", "nbf", "issued", "date", "datetime", "since", "until", "pushed", "seen", "now",
    }
)  # fmt: skip
DURATION_WORDS: Final = frozenset(
    {"elapsed", "latency", "duration", "took", "uptime", "runtime", "ms", "millis", "ns", "micros"}
)

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_JWT = re.compile(r"eyJ[\w-]{4,}\.[\w-]{4,}\.[\w-]*", re.ASCII)
_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \S{3,5}")
_DATE = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_TIME = re.compile(
    r"(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))([Tt ])((?:[01]\d|2[0-3]):[0-5]\d)"
    r"(:(?:[0-5]\d|60))?([.,]\d{1,9})?( ?(?:[Zz]|UTC|[+-]\d\d:?\d\d))?",
    re.ASCII,
)
_DIGITS = re.compile(r"\d{1,64}", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9_=+/.:~-]{8,512}")
_SHORT_TOKEN = re.compile(r"[A-Za-z0-9_=+/.:~-]{4,512}")
_PIECES = re.compile(r"[A-Za-z0-9]+")
_RUNS = re.compile(r"[0-9]+|[A-Z]?[a-z]{2,}|[A-Z]+|[a-z]")
_PREFIX = re.compile(r"[A-Za-z]{1,16}[_-]")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,30}://\S+")
_PATH_LIKE = re.compile(r"^/|/.*[_.~-]|[_.~-].*/")
_STAMP = re.compile(r"(?<!\d)(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{4,9}(?!\d)")
_NEAR: Final = 2 * 86_400.0


@dataclass(frozen=True)
class Shape:
    """What a value looks like.

    Attributes:
        kind: In a word, for evidence.
        matcher: What is still checked where the value is let go.
        changes: Whether shape and name together say that the value changes from run to run.
        identity: Whether other values may be built from this one (ids and tokens are, times not).
    """

    kind: str
    matcher: Tree
    changes: bool
    identity: bool = False


@lru_cache(maxsize=8192)
def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a property's name, in lower case.

    Examples:
        >>> words_of("createdAt"), words_of("x-request_ID"), words_of("HTTPStatus2")
        (('created', 'at'), ('x', 'request', 'id'), ('http', 'status', '2'))
    """
    return tuple(word.lower() for word in _WORDS.findall(name))


def randomness(text: str) -> float:
    """Return how random the most random piece of a text looks, 0 to 1.

    The share of neighbouring characters of a piece (letters and digits, at least eight of them)
    that change between digits, capitals and small letters: words and numbers have nearly none.

    Examples:
        >>> [round(randomness(t), 2) for t in ("invoice_paid", "2024-01-05", "d0af7486fac311ef")]
        [0.0, 0.0, 0.4]
    """
    best = 0.0
    for piece in _PIECES.findall(text):
        if len(piece) >= 8 and not piece.isdigit() and not piece.isalpha():
            best = max(best, (len(_RUNS.findall(piece)) - 1) / (len(piece) - 1))
        elif len(piece) >= 12 and piece.isalpha() and not piece.islower() and not piece.isupper():
            runs = len(_RUNS.findall(piece)) - 1
            best = max(best, runs / (len(piece) - 1) if runs >= len(piece) / 3 else 0.0)
    return best


def shape_of(name: str, value: Any, *, near: datetime | None = None) -> Shape | None:
    """Return what a value looks like, None where it looks like nothing that changes.

    Args:
        name: The property it stands under (for elements of arrays, the array's).
        value: A scalar.
        near: When the value was recorded: what tells that same time was read from a clock.

    Examples:
        >>> shape_of("created_at", "2025-03-06T19:47:20Z").kind
        'time'
        >>> shape_of("id", "adr_d128ff74fac311efa7a7ac1f6bc539ae").matcher["pattern"]
        'adr_[0-9a-z]{24,40}'
        >>> shape_of("name", "Express") is None
        True
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return _text_shape(name, value, near)
    if isinstance(value, int | float):
        return _number_shape(name, value, near)
    return None


def _number_shape(name: str, value: float, near: datetime | None) -> Shape | None:
    words = words_of(name)
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        seconds = value / scale
        if 978_307_200 <= seconds < 4_102_444_800:
            clock = near is not None and abs(seconds - near.timestamp()) <= _NEAR
            if clock or not TIME_WORDS.isdisjoint(words):
                return Shape("epoch", epoch("s" if unit == "s" else "ms"), changes=True)
    if isinstance(value, int):
        identity = bool(words) and words[-1] in IDENTITY_WORDS
        if identity:
            return Shape("integer id", of_type("integer"), changes=value >= 1000, identity=True)
    if words and not DURATION_WORDS.isdisjoint(words[-2:]):
        return Shape("duration", of_type("number"), changes=True)
    return None


def _text_shape(name: str, value: str, near: datetime | None) -> Shape | None:
    found = _shape_without_name(value)
    if found is None:
        return _named_shape(name, value)
    if found.kind == "date":
        words = words_of(name)
        clock = near is not None and abs(_midnight(value) - near.timestamp()) <= _NEAR
        return Shape(
            found.kind,
            found.matcher,
            changes=clock or (bool(words) and words[-1] in {"at", "created", "updated"}),
        )
    if found.kind == "random token" and not found.changes:
        words = words_of(name)
        told = not (IDENTITY_WORDS | TOKEN_WORDS).isdisjoint(words)
        return Shape(found.kind, found.matcher, changes=told, identity=told)
    return found


def _midnight(value: str) -> float:
    try:
        return datetime.fromisoformat(value[:10]).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _named_shape(name: str, value: str) -> Shape | None:
    """Under a name for identities less is enough: digits, a number within, or mixed capitals."""
    words = words_of(name)
    if not words or words[-1] not in IDENTITY_WORDS or not 4 <= len(value) <= 512:
        return None
    if _DIGITS.fullmatch(value):
        return Shape("digits", named("digits"), changes=True, identity=True)
    if not _SHORT_TOKEN.fullmatch(value):
        return None
    pieces = _PIECES.findall(value)
    numbered = any(len(piece) >= 3 and piece.isdigit() for piece in pieces)
    mixed = any(len(_RUNS.findall(piece)) >= 4 for piece in pieces if len(piece) >= 6)
    if numbered or mixed:
        return Shape("identifier", token_pattern(value), changes=True, identity=True)
    return None


@lru_cache(maxsize=65_536)
def _shape_without_name(value: str) -> Shape | None:
    if len(value) < 8 or len(value) > 4096:
        return None
    if _UUID.fullmatch(value):
        return Shape("uuid", named("uuid"), changes=True, identity=True)
    if value[0].isdigit() or value[:1].isupper():
        timed = _time_like(value)
        if timed is not None:
            return timed
    if _ULID.fullmatch(value) and randomness(value) > 0.2:
        return Shape("ulid", named("ulid"), changes=True, identity=True)
    if value.startswith("eyJ") and _JWT.fullmatch(value):
        return Shape("jwt", named("jwt"), changes=True, identity=True)
    if not _TOKEN.fullmatch(value) or "://" in value or _PATH_LIKE.search(value):
        return None
    if _STAMP.search(value):
        return Shape("stamped name", token_pattern(value), changes=True, identity=True)
    score = randomness(value)
    if score >= 0.15 and any(c.isdigit() for c in value):
        strong = score >= 0.25 and len(value) >= 16
        return Shape("random token", token_pattern(value), changes=strong, identity=strong)
    return None


def _time_like(value: str) -> Shape | None:
    whole = _TIME.fullmatch(value)
    if whole is not None:
        midnight = whole[3] == "00:00" and whole[4] in {None, ":00"}
        return Shape("time", time_pattern(value), changes=not midnight)
    if _DATE.fullmatch(value):
        return Shape("date", named("iso-date"), changes=False)
    if _HTTP_DATE.fullmatch(value):
        return Shape("http date", named("http-date"), changes=True)
    return None


def time_pattern(value: str) -> Tree:
    r"""Return the matcher of a time written as this one is: same separator, precision and zone.

    Examples:
        >>> time_pattern("2025-03-06T19:47:20.5Z")["pattern"]
        '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\\.[0-9]{1,9})?Z'
    """
    whole = _TIME.fullmatch(value)
    if whole is None:
        return named("iso-time")
    between, seconds, fraction, zone = whole[2], whole[4], whole[5], whole[6]
    text = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{between}[0-9]{{2}}:[0-9]{{2}}"
    if seconds:
        text += r":[0-9]{2}(?:\.[0-9]{1,9})?" if (fraction or ".")[0] == "." else ":[0-9]{2}"
        if fraction and fraction[0] == ",":
            text += ",[0-9]{1,9}"
    if zone:
        mark = zone.strip()
        offset = r"[+-][0-9]{2}:[0-9]{2}" if ":" in mark else "[+-][0-9]{4}"
        text += " " if zone[0] == " " else ""
        text += offset if mark[0] in "+-" else escape_pattern(mark)
    return pattern(text)


def token_pattern(value: str) -> Tree:
    """Return the matcher of a token like this one: its words stay, its random pieces may change.

    A piece stays as it is where it is a word (letters only, nothing random); of the others the
    alphabet stays, and the length within a quarter.

    Examples:
        >>> token_pattern("adr_d128ff74fac311efa7a7ac1f6bc539ae")["pattern"]
        'adr_[0-9a-z]{24,40}'
        >>> token_pattern("0a1b2c3d4e5f")["pattern"]
        '[0-9a-z]{9,15}'
    """
    if any(_is_mixed(piece) for piece in _PIECES.findall(value)):
        prefix = _PREFIX.match(value)
        rest = value[prefix.end() :] if prefix else value
        marks = "".join(sorted({c for c in rest if not c.isalnum()} - {"-"}))
        alphabet = "0-9A-Za-z" + "".join(f"\\{c}" if c in "./+" else c for c in marks)
        dash = "-" if "-" in rest or "_" in rest else ""
        return pattern(
            (escape_pattern(prefix[0]) if prefix else "") + f"[{alphabet}{dash}]{_about(len(rest))}"
        )
    written, last = "", 0
    for piece in _PIECES.finditer(value):
        written += escape_pattern(value[last : piece.start()])
        written += _piece_pattern(piece[0], first=piece.start() == 0)
        last = piece.end()
    return pattern(written + escape_pattern(value[last:]))


def _is_mixed(piece: str) -> bool:
    return not (piece.islower() or piece.isupper() or piece.isdigit() or piece.istitle())


def _about(size: int) -> str:
    slack = max(1, size // 4)
    return f"{{{max(1, size - slack)},{size + slack}}}"


def _piece_pattern(piece: str, *, first: bool) -> str:
    if piece.isalpha() and (first or len(piece) > 5 or len(piece) <= 2):
        return piece
    if piece.isdigit():
        return f"[0-9]{_about(len(piece))}"
    return f"[0-9{'A-Z' if piece.isupper() else 'a-z'}]{_about(len(piece))}"


def is_url(value: str) -> bool:
    """Return whether a text is an absolute URL."""
    return len(value) <= 4096 and "://" in value and _URL.fullmatch(value) is not None
