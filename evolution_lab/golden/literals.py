"""Prints JSON values as source code: nothing in a payload can end a literal or begin code.

One printer serves both languages, so that suites read alike. Only texts, numbers, booleans, null,
arrays and objects are printed; what is nested too deep to be read is printed as JSON in a text.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from functools import lru_cache
from typing import Any, Final, Literal

Language = Literal["python", "typescript"]

WIDTH: Final = 88
_DEEPEST_INDENT: Final = 44
_LONGEST_KEY: Final = 40
_NARROWEST: Final = 24

_PLAIN: Final = re.compile(r"[ !#-;=-\[\]-~]*")
_KEPT: Final = re.compile(
    "[ -~\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u0130\u0132-\u0137\u0139-\u013f\u0141-\u0148\u014a-\u017e"
    "\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3\U0001f300-\U0001f64f]"
)
"""Characters that stand as they are: no invisible ones, none that pose as others."""
_HALF: Final = re.compile("[\ud800-\udfff]")
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(text: str, language: Language) -> str:
    r"""Return a text as a literal between double quotes.

    Examples:
        >>> print(quote('say "hi"\n', "python"), quote("</script>${x}`", "typescript"))
        "say \"hi\"\n" "<\/script>${x}`"
        >>> print(quote("\u2028\ud800", "typescript"), quote("\U0001f9ff", "python"))
        "\u2028\ud800" "\U0001f9ff"
    """
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    quoted = "".join(_SHORT.get(c) or (c if _KEPT.match(c) else _escape(c, language)) for c in text)
    return f'"{quoted}"' if language == "python" else '"' + quoted.replace("</", "<\\/") + '"'


def _escape(character: str, language: Language) -> str:
    point = ord(character)
    if point <= 0xFFFF:
        return f"\\u{point:04x}"
    if language == "python":
        return f"\\U{point:08x}"
    point -= 0x10000
    return f"\\u{0xD800 + (point >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}"


def render(value: Any, language: Language, *, indent: int = 0, used: int = 0) -> str:
    """Return a JSON value as source code, wrapped at ``WIDTH`` columns.

    Args:
        value: Dicts, lists, texts, finite numbers, booleans, None.
        language: What it is read as.
        indent: Columns that lines after the first begin with.
        used: Columns that stand before it on its first line and after it on its last.

    Raises:
        TypeError: The value holds something else.

    Examples:
        >>> print(render({"__proto__": [1, None]}, "typescript"))
        { ["__proto__"]: [1, null] }
        >>> print(render({"paid": True}, "python"))
        {"paid": True}
    """
    flat = _flat(value, language, WIDTH - indent - used)
    if flat is not None:
        return flat
    if isinstance(value, str):
        return _wrapped(value, language, indent)
    if indent > _DEEPEST_INDENT or _has_awkward_key(value):
        return _as_json_text(value, language, indent)
    inner = indent + (4 if language == "python" else 2)
    margin, end = " " * inner, " " * indent
    if isinstance(value, dict):
        rows = []
        for key, item in value.items():
            head = f"{_key(key, language)}: "
            rows.append(
                f"{margin}{head}{render(item, language, indent=inner, used=len(head) + 1)},\n"
            )
        return "{\n" + "".join(rows) + end + "}"
    rows = [f"{margin}{render(item, language, indent=inner, used=1)},\n" for item in value]
    return "[\n" + "".join(rows) + end + "]"


def _width(text: str) -> int:
    """Columns a text takes: wide characters take two."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@lru_cache(maxsize=16_384)
def _key(key: str, language: Language) -> str:
    quoted = quote(key, language)
    return f"[{quoted}]" if language == "typescript" and key == "__proto__" else quoted


def _has_awkward_key(value: Any) -> bool:
    """Whether a key is too long to stand on a line, or is half a surrogate pair to linters."""
    return isinstance(value, dict) and any(map(_is_awkward, value))


@lru_cache(maxsize=16_384)
def _is_awkward(key: str) -> bool:
    return len(quote(key, "python")) > _LONGEST_KEY or (
        not key.isascii() and _HALF.search(key) is not None
    )


def _flat(  # noqa: C901, PLR0912 - one branch a type
    value: Any, language: Language, room: int
) -> str | None:
    """Return a value on one line, None where it needs more room."""
    if isinstance(value, str):
        if len(value) > room:
            return None
        text = quote(value, language)
    elif value is None or isinstance(value, bool):
        words = _WORDS[language]
        text = words[value]
    elif isinstance(value, int):
        text = str(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{value} is no JSON number.")
        text = repr(value)
    elif isinstance(value, dict):
        parts = []
        # the shortest property and its comma take six columns
        if 6 * len(value) - 2 > room or _has_awkward_key(value):
            return None
        for key, item in value.items():
            head = _key(key, language)
            flat = _flat(item, language, room - len(head))
            if flat is None or room < 0:
                return None
            parts.append(f"{head}: {flat}")
            room -= _width(parts[-1]) + 2
        if room < 0:
            return None
        whole = ", ".join(parts)
        if language == "typescript":
            return f"{{ {whole} }}" if parts else "{}"
        return f"{{{whole}}}"
    elif isinstance(value, list | tuple):
        parts = []
        for item in value:
            flat = _flat(item, language, room)
            if flat is None or room < 0:
                return None
            parts.append(flat)
            room -= _width(flat) + 2
        return None if room < 0 else f"[{', '.join(parts)}]"
    else:
        raise TypeError(f"{type(value).__name__} has no JSON form.")
    return text if _width(text) <= room else None


_WORDS: Final[dict[str, dict[bool | None, str]]] = {
    "python": {None: "None", True: "True", False: "False"},
    "typescript": {None: "null", True: "true", False: "false"},
}


def _wrapped(text: str, language: Language, indent: int) -> str:
    inner = indent + (4 if language == "python" else 2)
    margin = " " * inner
    pieces = [
        quote(piece, language)
        for piece in _pieces(text, max(WIDTH - inner - 4, _NARROWEST), language)
    ]
    if language == "python":
        return "(\n" + "".join(f"{margin}{piece}\n" for piece in pieces) + " " * indent + ")"
    return f" +\n{margin}".join(pieces)


def _pieces(text: str, room: int, language: Language) -> list[str]:
    """Cut a text where it breaks anyway, else after a space, else where the line is full."""
    pieces = []
    start = 0
    while start < len(text):
        end = min(start + room, len(text))
        while end > start + 1 and _width(quote(text[start:end], language)) > room:
            end = start + max((end - start) * 3 // 4, 1)
        newline = text.find("\n", start, end)
        space = text.rfind(" ", start, end)
        if newline >= 0:
            end = newline + 1
        elif end < len(text) and space > start + room // 2:
            end = space + 1
        pieces.append(text[start:end])
        start = end
    return pieces


def _as_json_text(value: Any, language: Language, indent: int) -> str:
    text = json.dumps(value, separators=(",", ":"))
    if language == "python":
        body = _wrapped(text, language, indent)
        return f"json.loads{body}"
    inner = indent + 2
    body = _wrapped(text, language, inner - 2)
    return f"JSON.parse(\n{' ' * inner}{body},\n{' ' * indent})"
