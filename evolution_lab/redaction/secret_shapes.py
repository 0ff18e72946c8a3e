"""Secrets in text: by their issuer's shape, by the name they are assigned to, by randomness."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

Span = tuple[int, int]

_ISSUED = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:[^-]|-(?!----END))*"
    r"(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
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
_ISSUER_MARKS: Final = (
    "-----BEGIN", "eyJ", "AKIA", "ASIA", "AROA", "AIDA", "ABIA", "ACCA", "ghp_", "gho_", "ghu_",
    "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "k_live_", "k_test_", "whsec_", "sk-",
    "xox", "xapp-", "AIza", "ya29.", "GOCSPX-", "SG.", "npm_", "pypi-", "dop_v1_", "hvs.", "shpat_",
    "SK", "key-",
)  # fmt: skip
_USERINFO = re.compile(r"://([^\s/@:\"'<>]{0,256}:[^\s/@\"'<>]{1,256})@")
_SCHEME = re.compile(
    r"(?i)\b(?:bearer|basic|digest|negotiate|apikey) {1,3}"
    r"(?=[\w.~+/-]*[\d=]|[\w.~+/-]{16})([\w.~+/-]{8,}={0,2})"
)
_NAMES: Final = (
    r"(?:pass(?:word|wd|code|phrase|wort)?|kennwort|contrase[nñ]a|senha|pwd|secret|token|credentials?"
    r"|api[_ -]?key|(?:access|private|secret|signing|encryption|account|shared|subscription|auth)[_-]?key"
    r"|(?:proxy-)?authorization|(?:set-)?cookie|jsessionid|phpsessid|session[_-]?(?:id|key|token)"
    r"|(?<![a-z])(?:sid|csrf|xsrf|sig)|signature|(?<![a-z])(?:cvv2?|cvc2?|otp|pin)(?=\W{1,8}\d))"
)
_VALUES: Final = (
    r"(?:\\{1,3}[\"'](?P<escaped>[^\"'\\]+)"
    r"|\"(?P<double>(?:\\.|[^\"\\])+)|'(?P<single>(?:\\.|[^'\\])+)"
    r"|(?P<bare>[^\s\"'&,;(){}<>\\]+))"
)
_ASSIGNED = re.compile(
    rf"(?i){_NAMES}\\{{0,3}}[\"']?(?:\s{{0,3}}(?:=>|[:=])\s{{0,3}}|%3d)"
    rf"(?:(?:bearer|basic|digest|negotiate|token|apikey) {{1,3}})?{_VALUES}"
)
_NAME_MARKS: Final = (
    "pass", "kennwort", "contrase", "senha", "pwd", "secret", "token", "credential", "key",
    "authorization", "cookie", "sess", "sid", "csrf", "xsrf", "sig", "cvv", "cvc", "otp", "pin",
)  # fmt: skip
_COOKIES = re.compile(
    r"(?i)(?<![a-z])(?:set-)?cookie\\{0,3}[\"']?\s{0,3}[:=]\s{0,3}\\{0,3}[\"']?"
    r"([^\"'\\\s;=]{1,256}=[^\"'\\\r\n]{1,8192})"
)
_PROSE = re.compile(
    r"(?i)(?:is|was|must|has|have|should|cannot|can|may|not|no|null|none|nil|true|false|empty|missing"
    r"|required|invalid|expired|unexpected|unknown|too|the|a|an|of|for|in|field|undefined|token"
    r"|bearer|basic|digest|\*+|\[\w+\])\W*"
)
_RUN = re.compile(r"(?<![A-Za-z0-9_+/=-])[A-Za-z0-9_+/=-]{20,}")
_HEX = re.compile(r"[0-9a-fA-F]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WORD = re.compile(r"[A-Z]?[a-z]{2,}")
_UNBROKEN = re.compile(r"[A-Za-z0-9]{32}")


def find_issued_secrets(text: str) -> Iterator[Span]:
    """Yield private keys, JSON web tokens, API keys with a known beginning, credentials in URLs.

    Examples:
        >>> list(find_issued_secrets("postgres://app:pa55@db/shop"))
        [(11, 19)]
    """
    if any(mark in text for mark in _ISSUER_MARKS):
        for match in _ISSUED.finditer(text):
            yield match.span()
    if "://" in text and "@" in text:
        for match in _USERINFO.finditer(text):
            yield match.span(1)


def find_assigned_secrets(text: str) -> Iterator[Span]:
    """Yield values behind a telling name or scheme: ``password=…``, ``"token": "…"``, ``Bearer …``.

    Prose behind a colon stays (``token: expired``).

    Examples:
        >>> list(find_assigned_secrets("login failed: password=hunter2"))
        [(23, 30)]
        >>> list(find_assigned_secrets("Unexpected token: expired"))
        []
    """
    folded = text.lower()
    if any(scheme in folded for scheme in ("bearer", "basic", "digest", "negotiate", "apikey")):
        for match in _SCHEME.finditer(text):
            yield match.span(1)
    if not (":" in text or "=" in text or "%3" in text):
        return
    if not any(mark in folded for mark in _NAME_MARKS):
        return
    for match in _ASSIGNED.finditer(text):
        group = match.lastgroup or "bare"
        if group != "bare" or not _PROSE.fullmatch(match[group]):
            yield match.span(group)
    if "cookie" in folded:
        for match in _COOKIES.finditer(text):
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
    if len(text) >= 20:
        for match in _RUN.finditer(text):
            if _looks_random(match[0]):
                yield match.span()


def _looks_random(run: str) -> bool:
    """Judge a run by how often neighbours differ in class and by how much of it reads as words.

    Of 24 characters drawn from letters and digits 99 in 100 are found, of 20 98 in 100; of letters
    alone 9 in 10, since names in camel case come close.
    """
    core = run.strip("-_=+/")
    if _UUID.fullmatch(core):
        return False
    if _HEX.fullmatch(core):
        return len(core) > 40 and not core.isdigit() and not core.isalpha()
    characters = re.sub(r"[^A-Za-z0-9]", "", core)
    if len(characters) < 20:
        return False
    classes = [(c.isdigit(), c.isupper()) for c in characters]
    changes = sum(a != b for a, b in pairwise(classes)) / (len(classes) - 1)
    words = sum(map(len, _WORD.findall(core))) / len(characters)
    if not any(digit for digit, _ in classes):
        return len(characters) >= 28 and changes > 0.3 and words < 0.7
    if len(set(classes)) == 3:
        return changes > 0.3 and words < 0.75
    return changes > 0.3 and _UNBROKEN.search(core) is not None
