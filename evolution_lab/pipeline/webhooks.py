"""Webhooks: each event as a signed POST, in the form of Standard Webhooks."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from evolution_lab.errors import ConfigError, DeliveryError
from evolution_lab.pipeline.destinations import asked_for
from evolution_lab.pipeline.suggestion_events import SuggestionEvent
from evolution_lab.records import SpecSuggestion, to_json

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what secrets begin with
_BUSY: Final = frozenset({408, 425, 429})
"""Answers below 500 that speak of the receiver, not of what it was sent."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing: the signature and the data are for the address that was named."""
        return


_OPENER: Final = urllib.request.build_opener(_NoRedirects)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class WebhookDestination:
    """Posts each event as JSON; any answer from 200 to 299 is a receipt.

    The body is the event's JSON and the same at every attempt. ``webhook-id`` and
    ``Idempotency-Key`` carry the event's key: a receiver that has seen it answers 200 and lets it go.
    With a secret, ``webhook-signature`` is that of Standard Webhooks: base64 of HMAC-SHA256 over
    ``id.timestamp.body``. Redirects are not followed. The address may itself be a secret: it stands in
    no message and not in the outbox.

    Attributes:
        url: Where to, ``https`` or ``http``.
        secret: Signs requests: any text, or base64 after ``whsec_``.
        events: The types to be told of; all without.
        since: Nothing that happened before is told, UTC.
        timeout_seconds: How long to wait for the receiver.
        clock: Says the time of a signature, UTC.

    Raises:
        ConfigError: The address is none for a webhook, or the secret is no base64.

    Examples:
        >>> WebhookDestination(url="https://hooks.example.com/T0/secret").name
        'webhook:hooks.example.com:f4df2084'
    """

    url: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)
    events: Collection[str] | None = None
    since: datetime | None = None
    timeout_seconds: float = 10.0
    clock: Callable[[], datetime] = _now

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"webhook scheme == {parts.scheme!r}, must be 'https' or 'http'.")
        if parts.username is not None or parts.password is not None:
            raise ConfigError("the webhook's address names a user, must not: sign with `secret`.")
        if self.timeout_seconds <= 0:
            raise ConfigError(f"timeout_seconds == {self.timeout_seconds}, must be > 0.")
        self._key()

    @property
    def name(self) -> str:
        """``webhook:``, the host, and eight digits that stand for the whole address."""
        digits = hashlib.sha256(self.url.encode()).hexdigest()[:8]
        return f"webhook:{urllib.parse.urlsplit(self.url).hostname}:{digits}"

    def wants(self, event: SuggestionEvent) -> bool:
        """Whether the receiver asked for events of this type and time."""
        return asked_for(event, self.events, self.since)

    def deliver(self, event: SuggestionEvent, current: SpecSuggestion) -> None:  # noqa: ARG002
        """Post the event.

        Raises:
            DeliveryError: Nobody answered, or the answer was no receipt.
        """
        self.post(event.key, to_json(event))

    def post(self, key: str, body: bytes) -> None:
        """Post JSON under a key.

        Raises:
            DeliveryError: Nobody answered, or the answer was no receipt.
        """
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
            self.url, data=body, headers=dict(self._headers(key, body)), method="POST"
        )
        try:
            with _OPENER.open(request, timeout=self.timeout_seconds):
                return
        except urllib.error.HTTPError as error:
            code = error.code
            error.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Names the kind only: what libraries say of a failure may hold the address.
            reason = getattr(error, "reason", error)
            raise DeliveryError(f"{self.name}: {type(reason).__name__}.") from None
        raise DeliveryError(
            f"{self.name} answered {code}, must be 200 to 299.",
            reachable=code < 500 and code not in _BUSY,
        )

    def _headers(self, key: str, body: bytes) -> Mapping[str, str]:
        timestamp = str(int(self.clock().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "evolution-lab",
            "Idempotency-Key": key,
            "webhook-id": key,
            "webhook-timestamp": timestamp,
        }
        secret = self._key()
        if secret is not None:
            signed = hmac.digest(secret, f"{key}.{timestamp}.".encode() + body, "sha256")
            headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
        return headers

    def _key(self) -> bytes | None:
        if self.secret is None:
            return None
        if not self.secret.startswith(_SECRET_PREFIX):
            return self.secret.encode()
        try:
            return base64.b64decode(self.secret.removeprefix(_SECRET_PREFIX), validate=True)
        except binascii.Error:
            raise ConfigError(
                f"the webhook's secret begins with {_SECRET_PREFIX!r}, must go on as base64."
            ) from None
