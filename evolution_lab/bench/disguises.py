"""Ways in which a value may stand in a payload without being written plainly, and how to see it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus, unquote_plus

Disguise = Callable[[str], str]


def in_base64(text: str) -> str:
    """Return a text in base64."""
    return base64.b64encode(text.encode()).decode()


def in_script(text: str, zero: int) -> str:
    """Return a text with its digits in a script whose zero is given."""
    return "".join(chr(zero + int(c)) if c in "0123456789" else c for c in text)


DISGUISES: Final[Mapping[str, Disguise]] = {
    "plain": str,
    "url": lambda t: quote(t, safe=""),
    "url, plus for space": quote_plus,
    "url twice": lambda t: quote(quote(t, safe=""), safe=""),
    "url, every byte": lambda t: "".join(f"%{b:02x}" for b in t.encode()),
    "query": lambda t: f"https://shop.test/p?q={quote(t, safe='')}&page=1",
    "path": lambda t: f"/users/{quote(t, safe='')}/orders",
    "form": lambda t: f"a=1&b={quote_plus(t)}",
    "base64": in_base64,
    "base64 for URLs": lambda t: base64.urlsafe_b64encode(t.encode()).decode().rstrip("="),
    "base64 of text": lambda t: in_base64(f"user {t}"),
    "base64 of JSON": lambda t: in_base64(json.dumps({"x": t})),
    "base64 of credentials": lambda t: in_base64(f"x:{t}"),
    "base64 twice": lambda t: in_base64(in_base64(t)),
    "base64 of lines": lambda t: in_base64(f"one\nhas {t}\n"),
    "base64 in text": lambda t: f"cursor:{in_base64('after ' + t)}",
    "base64 in a data URL": lambda t: f"data:text/plain;base64,{in_base64('user ' + t)}",
    "compressed": lambda t: base64.b64encode(gzip.compress(t.encode(), mtime=0)).decode(),
    "hex": lambda t: t.encode().hex(),
    "JSON": lambda t: json.dumps({"a": t}),
    "JSON, escaped": lambda t: '{"a":"' + "".join(f"\\u{ord(c):04x}" for c in t) + '"}',
    "JSON in JSON": lambda t: json.dumps({"a": json.dumps({"b": t})}),
    "base64 in JSON": lambda t: json.dumps({"a": in_base64(t)}),
    "JSON, cut off": lambda t: json.dumps({"a": t, "b": 1})[:-3],
    "JSON with spaces": lambda t: f" {json.dumps({'a': t})}\n",
    "JSON lines": lambda t: f"{json.dumps({'a': 1})}\n{json.dumps({'a': t})}",
    "HTML, decimal": lambda t: "".join(f"&#{ord(c)};" for c in t),
    "HTML, hex": lambda t: "".join(f"&#x{ord(c):x};" for c in t),
    "HTML, at sign": lambda t: t.replace("@", "&commat;"),
    "escaped at sign": lambda t: t.replace("@", "\\u0040"),
    "full-width digits": lambda t: in_script(t, 0xFF10),
    "Arabic digits": lambda t: in_script(t, 0x660),
    "Devanagari digits": lambda t: in_script(t, 0x966),
    "no-break spaces": lambda t: t.replace(" ", "\u00a0"),
    "thin spaces": lambda t: t.replace(" ", "\u2009"),
    "no-break hyphens": lambda t: t.replace(" ", "-").replace("-", "\u2011"),
    "dashes": lambda t: t.replace(" ", "-").replace("-", "\u2013"),
    "two spaces": lambda t: t.replace(" ", "  "),
    "zero-width space": lambda t: f"{t[:3]}\u200b{t[3:]}",
    "soft hyphen": lambda t: f"{t[:5]}\u00ad{t[5:]}",
    "full-width at sign": lambda t: t.replace("@", "\uff20"),
    "XML": lambda t: f"<a><b>{t}</b></a>",
    "attribute": lambda t: f'<a b="{t}"/>',
    "behind a name": lambda t: f"user:{t}",
    "behind an underscore": lambda t: f"user_{t}",
    "CSV": lambda t: f"1;{t};x",
    "twice": lambda t: f"{t},{t}",
}  # fmt: skip


def shows(kind: str, value: str, text: str) -> bool:
    """Return whether a text shows a value, after undoing every disguise that can be undone.

    Examples:
        >>> shows("email", "ada@shop.io", "x YWRhQHNob3AuaW8="), shows("email", "ada@shop.io", "x")
        (True, False)
    """
    wanted = value.lower() if kind in {"email", "secret"} else re.sub(r"[\W_]", "", value).lower()
    for seen in _undone(text, 0):
        plain = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in seen).lower()
        if kind not in {"email", "secret"}:
            plain = re.sub(r"[\W_]", "", plain)
        if wanted in plain:
            return True
    return False


def _undone(text: str, depth: int) -> Iterator[str]:
    yield text
    if depth > 3:
        return
    steps = {
        unquote_plus(text),
        html.unescape(text),
        unicodedata.normalize("NFKC", re.sub("[\u200b\u00ad]", "", text)),
        re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), text),
        text.replace('\\"', '"').replace("\\\\", "\\"),
        *_decoded(text),
    }
    for step in sorted(steps - {text}):
        yield from _undone(step, depth + 1)


def _decoded(text: str) -> Iterator[str]:
    for match in re.finditer(r"[A-Za-z0-9+/_-]{8,}", text):
        core = match[0].replace("-", "+").replace("_", "/")
        with contextlib.suppress(ValueError, OSError):
            data = base64.b64decode(core + "=" * (-len(core) % 4))
            yield (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    for match in re.finditer(r"(?:[0-9a-f]{2}){6,}", text):
        with contextlib.suppress(ValueError):
            yield bytes.fromhex(match[0]).decode()
