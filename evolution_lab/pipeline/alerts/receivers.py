"""Whom to alert: a webhook, a command, a function. Each is told at least once, under the same key."""

from __future__ import annotations

import hashlib
import inspect
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from evolution_lab.errors import ConfigError, DeliveryError
from evolution_lab.pipeline.alerts.alert import Alert
from evolution_lab.pipeline.alerts.bodies import BODIES, AlertFormat, pagerduty_body
from evolution_lab.pipeline.destinations import awaited
from evolution_lab.pipeline.webhooks import WebhookDestination
from evolution_lab.records.json_form import to_json

COMMAND_SECONDS: Final = 30.0
"""A command that runs for longer has failed."""


class AlertReceiver(Protocol):
    """Is told of alerts, each at least once."""

    @property
    def name(self) -> str:
        """Names the receiver in the outbox; the same after a restart, and no secret."""
        ...

    def deliver(self, alert: Alert) -> None:
        """Take one alert.

        Raises:
            Exception: Any; the alert is kept and tried again.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class WebhookReceiver:
    """Posts each alert in the form that its receiver takes.

    Attributes:
        url: Where to; stands in no message and not in the outbox.
        format: ``json``, ``slack``, ``pagerduty`` or ``alertmanager``.
        secret: Signs the request as Standard Webhooks says.
        routing_key: PagerDuty's.
        timeout_seconds: How long to wait for an answer.

    Raises:
        ConfigError: The address is none for a webhook, or PagerDuty has no routing key.
    """

    url: str = field(repr=False)
    format: AlertFormat = "json"
    secret: str | None = field(default=None, repr=False)
    routing_key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        self._webhook()
        if self.format == "pagerduty" and not self.routing_key:
            raise ConfigError("alerts.format == 'pagerduty', must name routing_key_env too.")

    @property
    def name(self) -> str:
        """``alert-``, its format, and the webhook's name."""
        return f"alert-{self.format}-{self._webhook().name}"

    def deliver(self, alert: Alert) -> None:
        """Post the alert.

        Raises:
            DeliveryError: Nobody answered, or the answer was no receipt.
        """
        if self.format == "pagerduty":
            body = pagerduty_body(alert, routing_key=self.routing_key or "")
        else:
            body = BODIES[self.format](alert)
        self._webhook().post(alert.key, to_json(body))

    def _webhook(self) -> WebhookDestination:
        return WebhookDestination(
            url=self.url, secret=self.secret, timeout_seconds=self.timeout_seconds
        )


@dataclass(frozen=True, kw_only=True)
class CommandReceiver:
    """Runs a command with the alert as JSON on its standard input; exit code 0 is a receipt.

    No shell is between: the arguments are those of the settings, and nothing of an alert is among
    them.

    Attributes:
        command: The program and its arguments.
        timeout_seconds: How long it may take.
    """

    command: tuple[str, ...]
    timeout_seconds: float = COMMAND_SECONDS

    @property
    def name(self) -> str:
        """``alert-command:``, the program, and eight digits that stand for its arguments."""
        digits = hashlib.sha256(shlex.join(self.command).encode()).hexdigest()[:8]
        return f"alert-command:{self.command[0]}:{digits}"

    def deliver(self, alert: Alert) -> None:
        """Run the command.

        Raises:
            DeliveryError: It could not be started, took too long or failed.
        """
        try:
            done = subprocess.run(  # noqa: S603 - the settings say what
                self.command,
                input=to_json(alert) + b"\n",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=self.timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DeliveryError(
                f"{self.command[0]} took longer than {self.timeout_seconds:.0f} s."
            ) from None
        except OSError as error:
            raise DeliveryError(f"{self.command[0]} cannot be started: {error.strerror}.") from None
        if done.returncode:
            raise DeliveryError(
                f"{self.command[0]} ended with {done.returncode}, must end with 0.", reachable=True
            )


@dataclass(frozen=True, kw_only=True)
class CallableReceiver:
    """Calls a function, plain or async, with each ``Alert``.

    Attributes:
        function: Is called; raising means "again later".
        name: Names it in the outbox, the same after a restart.
    """

    function: Callable[[Alert], Any]
    name: str

    def deliver(self, alert: Alert) -> None:
        """Call the function, and await what it gives to await."""
        answer = self.function(alert)
        if inspect.isawaitable(answer):
            awaited(answer)
