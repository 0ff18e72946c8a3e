"""Calls a service over HTTP: the runner of suites made with ``--runner http``."""

from __future__ import annotations

import json
import os
import re
from typing import Any
from urllib.parse import quote

import httpx

from evolution_lab.golden.standalone.golden_runtime import CouldNotRunError

# -- runner
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
TLS = httpx.create_ssl_context(trust_env=False)


def run_http(sent: Any, metadata: Any, base_url: str, kept_headers: Any) -> Any:
    """Send a request and return its answer as a snapshot holds it."""
    base = (os.environ.get("GOLDEN_BASE_URL") or base_url).rstrip("/")
    method = str(metadata.get("method") or metadata["operation"].split(" ")[0]).upper()
    extra = json.loads(os.environ.get("GOLDEN_HEADERS") or "{}")
    headers = {**(sent.get("headers") or {}), **extra}
    content = None
    if sent.get("body") is not None:
        kind = headers.setdefault("content-type", "application/json")
        is_text = isinstance(sent["body"], str) and not re.search(
            r"[/+]json\b", kind, re.IGNORECASE
        )
        content = sent["body"] if is_text else json.dumps(sent["body"])
    try:
        answer = httpx.request(
            method if method in METHODS else "POST",
            base + quote(sent["path"], safe="/-._~!*'()"),
            params=sent.get("query") or None,
            headers=headers,
            content=content,
            trust_env=False,
            verify=TLS,
        )
    except httpx.TimeoutException as error:
        raise TimeoutError from error
    except httpx.TransportError as error:
        raise CouldNotRunError(f"{base}: {error}") from error
    kept = {
        name: answer.headers[name] for name in kept_headers if name in answer.headers
    }
    kind = answer.headers.get("content-type", "")
    came: Any = answer.text or None
    if answer.content and (
        not kind or re.match(r"[^;]*[/+]json\b", kind, re.IGNORECASE)
    ):
        try:
            came = answer.json()
        except ValueError:
            came = answer.text
    return {"status": answer.status_code, "headers": kept, "body": came}
