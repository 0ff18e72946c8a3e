"""The section ``[alerts]`` of the settings, and the receivers that it names.

Secrets are no settings: addresses and keys stand in variables of the environment, and the settings
say which.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Final, get_args

from pydantic import TypeAdapter

from evolution_lab.config import parse_duration
from evolution_lab.errors import ConfigError, did_you_mean
from evolution_lab.pipeline.alerts.bodies import AlertFormat
from evolution_lab.pipeline.alerts.receivers import (
    AlertReceiver,
    CallableReceiver,
    CommandReceiver,
    WebhookReceiver,
)
from evolution_lab.records import Severity

PAGERDUTY_URL: Final = "https://events.pagerduty.com/v2/enqueue"


@dataclass(frozen=True, kw_only=True)
class AlertSettings:
    """Whom to alert, and of what.

    Attributes:
        webhook_env: The variable of the environment that holds a webhook's address.
        format: What the webhook takes: ``json``, ``slack``, ``pagerduty`` or ``alertmanager``.
        secret_env: The variable that holds a secret to sign with, as Standard Webhooks says.
        routing_key_env: The variable that holds PagerDuty's routing key.
        command: A program and its arguments; gets each alert as JSON on standard input.
        callable: ``module:function``, called with each ``Alert``.
        lowest_severity: Incidents below it alert nobody.
        cooldown: How long another incident of the same origin waits.

    Examples:
        >>> AlertSettings.of({"lowest_severity": "high"}).cooldown
        datetime.timedelta(seconds=1800)
    """

    webhook_env: str | None = None
    format: AlertFormat = "json"
    secret_env: str | None = None
    routing_key_env: str | None = None
    command: tuple[str, ...] = ()
    callable: str | None = None
    lowest_severity: Severity = "low"
    cooldown: timedelta = timedelta(minutes=30)

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> AlertSettings:
        """Read the section.

        Raises:
            ConfigError: A name is unknown or a value breaks its rule.
        """
        names = [each.name for each in fields(cls)]
        for name in section:
            if name not in names:
                raise ConfigError(f"[alerts] sets {name!r}, unknown.{did_you_mean(name, names)}")
        values = dict(section)
        if "cooldown" in values:
            values["cooldown"] = parse_duration(str(values["cooldown"]))
        for name, choices in (("format", AlertFormat), ("lowest_severity", Severity)):
            if name in values and values[name] not in get_args(choices):
                raise ConfigError(
                    f"alerts.{name} == {values[name]!r}, must be one of "
                    f"{', '.join(get_args(choices))}.{did_you_mean(str(values[name]), get_args(choices))}"
                )
        command = values.get("command", ())
        if isinstance(command, str) or not all(isinstance(part, str) for part in command):
            raise ConfigError(
                f"alerts.command == {command!r}, must be a list of a program and its arguments."
            )
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValueError as error:
            raise ConfigError(
                f"[alerts] cannot be read: {str(error).splitlines()[2].strip()}"
            ) from None

    def receivers(self, environment: Mapping[str, str] | None = None) -> tuple[AlertReceiver, ...]:
        """Return whom to alert.

        Args:
            environment: ``os.environ`` unless given.

        Raises:
            ConfigError: A variable is not set, an address is none, or the function is not there.
        """
        environment = os.environ if environment is None else environment
        found: list[AlertReceiver] = []
        if self.webhook_env is not None or self.routing_key_env is not None:
            found.append(
                WebhookReceiver(
                    url=_variable(environment, "webhook_env", self.webhook_env) or PAGERDUTY_URL,
                    format=self.format,
                    secret=_variable(environment, "secret_env", self.secret_env),
                    routing_key=_variable(environment, "routing_key_env", self.routing_key_env),
                )
            )
        if self.command:
            found.append(CommandReceiver(command=self.command))
        if self.callable is not None:
            found.append(
                CallableReceiver(
                    function=_function(self.callable), name=f"alert-hook:{self.callable}"
                )
            )
        return tuple(found)


def _variable(environment: Mapping[str, str], setting: str, name: str | None) -> str | None:
    if name is None:
        return None
    if not environment.get(name):
        raise ConfigError(
            f"alerts.{setting} == {name!r}, but the environment has no such variable: set it, or "
            "take the line away."
        )
    return environment[name]


def _function(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    try:
        if not colon:
            raise ConfigError(f"alerts.callable == {name!r}, must be 'module:function'.")
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"alerts.callable == {name!r} cannot be imported: {error}.") from None
    if not callable(function):
        raise ConfigError(f"alerts.callable == {name!r}, must be a function.")
    return function
