"""Secrets in text: by their issuer's shape, by the name they are assigned to, by randomness."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

Span = tuple[int, int]

_PROVIDERS = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:[^-]|-(?!----END))*(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
    r"|(?<![A-Za-z0-9])(?:"
    r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){0,3}"
    r"|(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{16,255}|github_pat_\w{20,255}|gl(?:pat|dt|rt)-[\w-]{16,}"
    r"|[sprw]k_(?:live|test)_[A-Za-z0-9]{8,}|whsec_\w{16,}"
    r"|sk-(?:ant-|proj-)?[\w-]{20,}|xox[abeoprs]-[\w-]{10,}|xapp-[\w-]{10,}"
    r"|AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{40,}|dop_v1_[a-f0-9]{40,}"
    r"|hvs\.[\w-]{20,}|shpat_[a-f0-9]{32}|SK[a-f0-9]{32}|key-[a-f0-9]{32}"
    r")"
)
_USERINFO = re.compile(r"://([^\s/@:\"'<>]{0,256}:[^\s/@\"'<>]{1,256})@")
_SCHEME = re.compile(
    r"(?i)\b(?:bearer|basic|digest|negotiate|apikey)\s+(?=[\w.~+/=-]*[\d=]|[\w.~+/-]{16})([\w.~+/=-]{8,})"
)
_ASSIGNED = re.compile(
    r"(?i)(?P<name>pass(?:word|wd|code|phrase)?|pwd|secret|token|api[_ -]?key|(?:access|private|secret|signing|"
    r"encryption|account|shared|subscription|auth)[_-]?key|(?:proxy-)?authorization|(?:set-)?cookie|jsessionid|phpsessid|"
    r"session[_-]?(?:id|key|token)|sid|csrf|xsrf|credentials?|signature|sig|ssn|cvv2?|cvc2?|otp|pin)"
    r"(?P<quote>[\"']?)(?P<sign>\s{0,3}(?:=>|[:=])\s{0,3}|%3[dD])"
    r"(?:(?P<open>\\?[\"'])(?P<quoted>(?:\\.|[^\"'\\])*)|(?P<bare>[^\s\"'&,;(){}<>]+))"
)
_COOKIES = re.compile(r"(?i)\b(?:set-)?cookie[\"']?\s{0,3}[:=]\s{0,3}[\"']?([^\"'\r\n]{1,8192})")
_PROSE = re.compile(
    r"(?i)(?:is|was|must|has|have|should|cannot|can|may|not|no|null|none|nil|true|false|empty|missing|required|"
    r"invalid|expired|unexpected|unknown|too|the|a|an|of|for|in|field|undefined|\*+|\[\w+\])\W*"
)
_CANDIDATE = re.compile(r"(?<![A-Za-z0-9_+/=-])[A-Za-z0-9_+/=-]{20,}")
_HEX = re.compile(r"[0-9a-fA-F]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def find_provider_secrets(text: str) -> Iterator[Span]:
    """Yield private keys, JSON web tokens, API keys with a known beginning, credentials in URLs.

    Examples:
        >>> list(find_provider_secrets("postgres://app:pa55@db/shop"))
        [(11, 19)]
    """
    for match in _PROVIDERS.finditer(text):
        yield match.span()
    if "://" in text:
        for match in _USERINFO.finditer(text):
            yield match.span(1)
    for match in _SCHEME.finditer(text):
        yield match.span(1)


def find_assigned_secrets(text: str) -> Iterator[Span]:
    """Yield values that stand behind a telling name: ``password=…``, ``"token": "…"``, cookies.

    Examples:
        >>> list(find_assigned_secrets("login failed: password=hunter2"))
        [(23, 30)]
        >>> list(find_assigned_secrets("Unexpected token: expired"))
        []
    """
    if ":" not in text and "=" not in text and "%3" not in text:
        return
    for match in _ASSIGNED.finditer(text):
        if match["open"]:
            if match["quoted"]:
                yield match.span("quoted")
        elif not _PROSE.fullmatch(match["bare"]):
            yield match.span("bare")
    for match in _COOKIES.finditer(text):
        if not _PROSE.match(match[1]):
            yield match.span(1)


def find_random_tokens(text: str) -> Iterator[Span]:
    """Yield long runs of characters that look drawn at random; ids of known shape stay.

    Kept: UUIDs, hex of up to 40 digits (trace ids, digests, commits) and names in any case style.

    Examples:
        >>> list(find_random_tokens("key Zx9qLm2VbT7sKd4RwYpA8cNf"))
        [(4, 28)]
        >>> list(find_random_tokens("trace 9eaf12abc8c38e9e0ea20547eca8fc2d"))
        []
    """
    for match in _CANDIDATE.finditer(text):
        if _looks_random(match[0]):
            yield match.span()


def _looks_random(run: str) -> bool:
    core = run.strip("-_=+/")
    if _UUID.fullmatch(core):
        return False
    if _HEX.fullmatch(core):
        return len(core) > 40
    characters = re.sub(r"[^A-Za-z0-9]", "", core)
    if len(characters) < 20:
        return False
    classes = [(c.isdigit(), c.isupper()) for c in characters]
    changes = sum(a != b for a, b in pairwise(classes)) / (len(classes) - 1)
    # Drawn from letters and digits, neighbours differ in class 6 times in 10; in names 3 in 10.
    if len(set(classes)) == 3:
        return changes > 0.42
    return len(set(classes)) == 2 and len(core) >= 32 and changes > 0.42
