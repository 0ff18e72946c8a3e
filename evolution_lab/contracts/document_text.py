"""OpenAPI documents as text: JSON, or YAML read as if it were JSON.

YAML 1.1 takes ``no`` for False, ``2024-01-01`` for a date and ``200:`` for a number as a key. In an
OpenAPI document these are a country, an example and a status, so only what JSON has is recognised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from evolution_lab.errors import InvalidDocumentError, PathNotFoundError

MOST_BYTES: Final = 64 * 1024 * 1024
MOST_NODES: Final = 2_000_000
"""Objects, lists and values of a document; GitHub's own has about half a million."""
DEEPEST: Final = 200
"""Levels of nesting that a document may have."""

_JSON_SCALARS: Final = {
    "bool": (r"true|false", "tf"),
    "int": (r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    "float": (
        r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)",
        "-0123456789",
    ),
    "null": (r"null|~|", ["n", "~", ""]),
}


_SafeLoader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _JsonLoader(_SafeLoader):  # type: ignore[misc]
    """Recognises what JSON has, and merge keys (``<<``), which documents use."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attribute


for _tag, (_pattern, _first) in _JSON_SCALARS.items():
    _JsonLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )
_JsonLoader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^<<$"), ["<"])


def read_document(path: Path) -> dict[str, Any]:
    """Return the JSON object that a ``.json``, ``.yaml`` or ``.yml`` file holds.

    Raises:
        PathNotFoundError: There is no such file.
        InvalidDocumentError: It is too large, or neither JSON nor YAML.
    """
    if not path.is_file():
        raise PathNotFoundError(path)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise InvalidDocumentError(f"{path} has {size:,} bytes, must have at most {MOST_BYTES:,}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidDocumentError(f"{path} is not UTF-8 text.") from None
    return parse_document(text, name=str(path))


def parse_document(text: str, *, name: str = "the document") -> dict[str, Any]:
    r"""Return the JSON object that a text holds.

    Raises:
        InvalidDocumentError: It is neither JSON nor YAML, or no object.

    Examples:
        >>> parse_document("country: no\nresponses: {200: {date: 2024-01-01}}")
        {'country': 'no', 'responses': {'200': {'date': '2024-01-01'}}}
    """
    try:
        value = _parsed(text)
    except RecursionError:
        raise InvalidDocumentError(
            f"{name} is nested too deeply, must have at most {DEEPEST} levels."
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InvalidDocumentError(f"{name} is neither JSON nor YAML: {reason}") from None
    return plain_document(value, name=name)


def plain_document(value: object, *, name: str = "the document") -> dict[str, Any]:
    """Return a document as plain dicts, lists and values, all keys being text; a copy.

    Raises:
        InvalidDocumentError: It is no object, holds what JSON has not, or is too large or deep. What
            a YAML alias repeats counts each time.
    """
    if not isinstance(value, Mapping):
        raise InvalidDocumentError(f"{name} is {type(value).__name__}, must be an object.")
    copied: dict[str, Any] = _Copy(name).of(value, 0)
    return copied


class _Copy:
    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes = 0

    def of(self, value: object, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise InvalidDocumentError(f"{self.name} must have at most {MOST_NODES:,} values.")
        if depth > DEEPEST:
            raise InvalidDocumentError(
                f"{self.name} is nested too deeply, must have at most {DEEPEST} levels."
            )
        if isinstance(value, Mapping):
            return {self.key(key): self.of(child, depth + 1) for key, child in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.of(child, depth + 1) for child in value]
        if value is None or isinstance(value, (str, bool, int, float)):
            return value
        raise InvalidDocumentError(f"{self.name} holds {type(value).__name__}, which JSON has not.")

    def key(self, key: object) -> str:
        if isinstance(key, bool) or key is None:  # ``true:`` in YAML is written so by people.
            return json.dumps(key)
        if isinstance(key, (str, int, float)):
            return str(key)
        raise InvalidDocumentError(
            f"{self.name} has a key that is {type(key).__name__}, must be text."
        )


def _parsed(text: str) -> object:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, parse_constant=_no_constant)
        except json.JSONDecodeError:
            pass  # A YAML document may begin with a brace too.
    _refuse_deep(text)
    return yaml.load(text, Loader=_JsonLoader)  # noqa: S506 - a SafeLoader


def _refuse_deep(text: str) -> None:
    """Raise before libyaml composes what is nested so deeply that its stack would end."""
    depth = 0
    for event in yaml.parse(text, Loader=_JsonLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise RecursionError
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number.")
