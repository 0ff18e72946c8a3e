"""Recordings as text: JSON, JSON lines or YAML, read without trusting them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import yaml

from evolution_lab.contracts.document_text import DEEPEST, plain_document
from evolution_lab.errors import InputError

_Base: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class _Texts(_Base):  # type: ignore[misc]
    """Takes every value for the text it is: a body ``no`` or ``1e3`` stays what was sent."""

    yaml_constructors: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attribute


_Texts.add_constructor(
    "tag:yaml.org,2002:binary", lambda _, node: {"base64_string": "".join(node.value.split())}
)


def yaml_documents(text: str, name: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a YAML stream; all values are texts, binary ones ``{base64_string}``.

    Raises:
        InputError: It is no YAML, nested too deep or too large.
    """
    try:
        depth = 0
        for event in yaml.parse(text, Loader=_Texts):  # libyaml's own stack must not end.
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > DEEPEST:
                    raise InputError(f"{name!r} is nested deeper than {DEEPEST} levels.")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
        for document in yaml.load_all(text, Loader=_Texts):
            if isinstance(document, dict):
                yield plain_document(document, name=name)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name!r} is no YAML: {' '.join(str(error).split())[:200]}.") from error


def json_document(text: str | bytes, name: str) -> Any:
    """Return a JSON value.

    Raises:
        InputError: It is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name!r} is no JSON: {' '.join(str(error).split())[:200]}.") from error


def member(value: Any, *names: str) -> Any:
    """Return a member of nested objects, None where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def pairs(headers: Any) -> list[tuple[str, str]]:
    """Return headers as pairs, however a recorder wrote them.

    Examples:
        >>> pairs({"A": ["1", "2"], "B": "3"}), pairs([{"name": "A", "value": "1"}])
        ([('A', '1'), ('A', '2'), ('B', '3')], [('A', '1')])
    """
    if isinstance(headers, dict):
        return [
            (str(name), str(value))
            for name, values in headers.items()
            for value in (values if isinstance(values, list) else [values])
        ]
    if isinstance(headers, list):
        return [
            (str(h.get("name", "")), str(h.get("value", "")))
            for h in headers
            if isinstance(h, dict)
        ]
    return []
