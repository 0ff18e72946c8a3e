"""The team's OpenAPI document with a suggestion's overlay applied, in the form it is kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.errors import InvalidOverlayError
from evolution_lab.suggestions.overlays import apply_overlay
from evolution_lab.suggestions.validity import new_faults


def changed_document(document: OpenApiDocument, overlay: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return a document with an overlay applied, and the ending of its file's name.

    A document read from YAML is written as YAML, all others as JSON; members keep their order as far
    as the overlay leaves them. Comments are not kept: the overlay is what a pull request shows.

    Raises:
        InvalidOverlayError: The overlay does not fit the document, or makes no valid one of it.

    Examples:
        >>> document = OpenApiDocument.load({"openapi": "3.1.0", "info": {"title": "A",
        ...     "version": "1"}, "paths": {"/a": {"get": {"responses": {}}}}})
        >>> overlay = {"actions": [{"target": "$.paths['/a'].get", "update": {"deprecated": True}}]}
        >>> ending, content = changed_document(document, overlay)
        >>> ending, json.loads(content)["paths"]["/a"]["get"]["deprecated"]
        ('.changed.json', True)
    """
    changed = apply_overlay(document.content, overlay)
    faults = new_faults(document.content, changed)
    if faults:
        raise InvalidOverlayError(f"the changed document is not valid: {faults[0]}")
    if Path(document.source or "").suffix.lower() in {".yaml", ".yml"}:
        import yaml

        return ".changed.yaml", yaml.safe_dump(changed, sort_keys=False, width=100).encode()
    text = json.dumps(changed, indent=2, ensure_ascii=False)
    try:
        return ".changed.json", f"{text}\n".encode()
    except UnicodeEncodeError:  # Lone surrogates, which JSON can say and UTF-8 cannot.
        return ".changed.json", (json.dumps(changed, indent=2) + "\n").encode()
