"""Every default with its unit and source, and where settings come from.

Precedence: an explicit argument or command-line flag > ``EVOLUTION_LAB_<SETTING>`` in the
environment > ``evolution_lab.toml`` > the default here. ``[operations."billing.*"]`` sections of
the file override the boundaries for the operations whose key matches the glob; later sections win.
"""

from __future__ import annotations

import fnmatch
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast, get_origin, get_type_hints

from pydantic import TypeAdapter

from evolution_lab.errors import ConfigError, PathNotFoundError, did_you_mean

CONFIG_FILE: Final = "evolution_lab.toml"
ENVIRONMENT_PREFIX: Final = "EVOLUTION_LAB_"
_DAY: Final = timedelta(days=1)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PASSWORD = re.compile(r"(//[^/@:]*):.*@", re.DOTALL)
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)\s*$")

OVERRIDABLE: Final = frozenset(
    {
        "error_rate_boundary",
        "latency_p99_boundary_ms",
        "throughput_drop",
        "max_suggestions_per_operation",
        "required_approvals",
    }
)
"""Settings that an ``[operations."glob"]`` section may override."""


def parse_duration(text: str | timedelta) -> timedelta:
    """Read ``15m``, ``90s``, ``1h``, ``2d`` or ``500ms``.

    Raises:
        ConfigError: The text has another form.

    Examples:
        >>> parse_duration("15m")
        datetime.timedelta(seconds=900)
    """
    if isinstance(text, timedelta):
        return text
    match = _DURATION.match(text)
    if not match:
        raise ConfigError(
            f"duration == {text!r}, must be a number and one of ms, s, m, h, d: '15m'."
        )
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ConfigError(
            f"duration == {text!r}, must be shorter than 2.7 million years."
        ) from None


def format_timedelta(value: timedelta) -> str:
    """Write a duration as ``parse_duration`` reads it.

    Examples:
        >>> format_timedelta(timedelta(minutes=15)), format_timedelta(timedelta(hours=36))
        ('15m', '36h')
    """
    seconds = value.total_seconds()
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms"


@dataclass(frozen=True, kw_only=True)
class EvolutionConfig:
    """All settings. Defaults are those of the design document, section 6.

    Attributes:
        window: Length of the statistical window; whole seconds that divide a day.
        error_rate_boundary: Guardrail boundary on the error rate, fraction.
        latency_p99_boundary_ms: Guardrail boundary on the 99th percentile, milliseconds.
        throughput_drop: Smallest relative drop of calls worth a signal, fraction.
        min_sequence_length: Steps of a workflow worth showing, a number of calls.
        false_alarms_per_operation_week: Detection's budget over all metrics, false signals per
            operation and week.
        false_incidents_per_week: Detection's budget for the whole lab, false incidents per week.
        alpha: Total probability of a false rollback per rollout, fraction.
        rollout_stages: Share of units that get the variant, stage by stage, rising fractions.
        require_approval: Every suggestion needs a person; wins over any threshold.
        auto_approve_threshold: Highest risk (0 to 1, below 0.3) approved without a person; None for
            never.
        never_auto_approve: Globs of operation keys and of tags that always need a person.
        required_approvals: People who must approve the same revision; 2 is the two-person rule.
        owners: Who may decide, by the owner (``x-owner``) or a tag of the operation in its spec;
            anybody may where neither is named here.
        traffic_sample_rate: Share of traffic recorded for golden tests, fraction, at most 0.05.
        min_confidence: Fraction below which a suggestion is stored, not proposed (once calibrated).
        max_suggestions_per_operation: Suggestions of one operation that are open at once.
        allowed_lateness: After it a window of a growing lake is final.
        session_gap: Calls of one actor further apart begin a new session.
        exclude: Globs of operation keys that are landed but not looked at.
        attributes: Names of span attributes that are stored; all others are only counted.
        tenant_attributes: Where the tenant is looked for, first found wins.
        actor_attributes: Where the actor is looked for, first found wins.
        session_attributes: Where the session is looked for, first found wins.
        specs: OpenAPI documents of the services, ``FILE`` or ``SERVICE=FILE`` each; in a settings
            file relative to its folder.
        state_url: ``postgresql://USER:PASSWORD@HOST/DATABASE`` where a team keeps suggestions and
            decisions together; None keeps them in the lab's own ``evolution.duckdb``. Shown without
            its password.
        time_zone: Zone of timestamps that carry none; None refuses them.
        mappings: Which columns of a table play which roles, as confirmed when it was landed; used
            for tables that have all these columns. Roles to ``COLUMN[:UNIT]``, and perhaps ``tz``.
        alerts: Whom ``watch`` alerts, and of what: ``webhook_env`` (the variable of the environment
            that holds the address) with ``format`` (json, slack, pagerduty, alertmanager), ``command``
            or ``callable``, and ``lowest_severity`` and ``cooldown``.
        operations: Overrides by glob of the operation key.
    """

    window: timedelta = timedelta(minutes=15)
    error_rate_boundary: float = 0.05
    latency_p99_boundary_ms: float = 750.0
    throughput_drop: float = 0.3
    min_sequence_length: int = 3
    false_alarms_per_operation_week: float = 0.05
    false_incidents_per_week: float = 1.0
    alpha: float = 0.05
    rollout_stages: tuple[float, ...] = (0.01, 0.10, 0.50, 1.0)
    require_approval: bool = True
    auto_approve_threshold: float | None = None
    never_auto_approve: tuple[str, ...] = ()
    required_approvals: int = 1
    owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    traffic_sample_rate: float = 0.05
    min_confidence: float = 0.55
    max_suggestions_per_operation: int = 3
    allowed_lateness: timedelta = timedelta(minutes=30)
    session_gap: timedelta = timedelta(minutes=30)
    exclude: tuple[str, ...] = ()
    attributes: tuple[str, ...] = (
        "http.request.method",
        "http.route",
        "deployment.environment.name",
    )
    tenant_attributes: tuple[str, ...] = ("tenant.id", "tenant_id", "organization.id")
    actor_attributes: tuple[str, ...] = ("user.id", "enduser.id")
    session_attributes: tuple[str, ...] = ("session.id",)
    specs: tuple[str, ...] = ()
    state_url: str | None = field(default=None, repr=False)
    time_zone: str | None = None
    mappings: tuple[Mapping[str, str], ...] = ()
    alerts: Mapping[str, Any] = field(default_factory=dict)
    operations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        window_seconds = self.window.total_seconds()
        if window_seconds < 1 or window_seconds % 1 or _DAY.total_seconds() % window_seconds:
            raise ConfigError(
                f"window == {format_timedelta(self.window)}, must be whole seconds that divide a day."
            )
        _check_range("error_rate_boundary", self.error_rate_boundary, 0, 1)
        _check_range("throughput_drop", self.throughput_drop, 0, 1)
        _check_range("alpha", self.alpha, 0, 0.5)
        _check_range("min_confidence", self.min_confidence, 0, 1)
        _check_range("traffic_sample_rate", self.traffic_sample_rate, 0, 0.05)
        _check_positive("latency_p99_boundary_ms", self.latency_p99_boundary_ms)
        _check_positive("false_alarms_per_operation_week", self.false_alarms_per_operation_week)
        _check_positive("false_incidents_per_week", self.false_incidents_per_week)
        _check_positive("min_sequence_length", self.min_sequence_length)
        _check_positive("max_suggestions_per_operation", self.max_suggestions_per_operation)
        _check_positive("session_gap", self.session_gap.total_seconds())
        self._check_approval()
        stages = self.rollout_stages
        if not stages or any(not 0 < s <= 1 for s in stages) or sorted(set(stages)) != list(stages):
            raise ConfigError(f"rollout_stages == {stages}, must rise strictly within (0, 1].")
        for glob, overrides in self.operations.items():
            for name in overrides:
                if name not in OVERRIDABLE:
                    raise ConfigError(
                        f"[operations.{glob!r}] sets {name!r}, which cannot be overridden per operation."
                        f"{did_you_mean(name, OVERRIDABLE)}"
                    )

    def _check_approval(self) -> None:
        if self.auto_approve_threshold is not None:
            _check_range("auto_approve_threshold", self.auto_approve_threshold, 0, 0.3)
            if self.auto_approve_threshold >= 0.3:
                raise ConfigError(
                    f"auto_approve_threshold == {self.auto_approve_threshold}, must be below 0.3."
                )
        if not 1 <= self.required_approvals <= 9:
            raise ConfigError(
                f"required_approvals == {self.required_approvals}, must be between 1 and 9."
            )
        for owner, people in self.owners.items():
            if not people:
                raise ConfigError(f"owners.{owner!r} names nobody, must name who may decide.")

    def for_operation(self, key: str) -> EvolutionConfig:
        """Return the settings in force for one operation key.

        Examples:
            >>> config = EvolutionConfig(operations={"billing.*": {"throughput_drop": 0.5}})
            >>> config.for_operation("billing.createInvoice").throughput_drop
            0.5
        """
        overrides: dict[str, Any] = {}
        for glob, values in self.operations.items():
            if fnmatch.fnmatchcase(key, glob):
                overrides.update(values)
        return replace(self, **overrides) if overrides else self

    def is_excluded(self, key: str) -> bool:
        """Say whether an operation key matches one of the ``exclude`` globs."""
        return any(fnmatch.fnmatchcase(key, glob) for glob in self.exclude)

    def to_settings(self) -> dict[str, Any]:
        """Return the effective settings as JSON-ready values, durations as text."""
        settings = asdict(self)
        for name, value in settings.items():
            if isinstance(value, timedelta):
                settings[name] = format_timedelta(value)
            elif isinstance(value, tuple):
                settings[name] = list(value)
        if self.state_url is not None:
            settings["state_url"] = _PASSWORD.sub(r"\1:***@", self.state_url)
        return settings


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} == {value}, must be between {low} and {high}.")


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(f"{name} == {value}, must be > 0.")


SETTING_NAMES: Final = tuple(f.name for f in fields(EvolutionConfig))


def _coerce(name: str, value: object) -> object:
    """Bring a value from a file, the environment or a flag to the type of its setting."""
    if name not in SETTING_NAMES:
        raise ConfigError(f"unknown setting {name!r}.{did_you_mean(name, SETTING_NAMES)}")
    kind = get_type_hints(EvolutionConfig)[name]
    if isinstance(value, (str, timedelta)) and kind is timedelta:
        return parse_duration(value)
    if isinstance(value, str) and get_origin(kind) is tuple:
        value = [part.strip() for part in value.split(",") if part.strip()]
    elif isinstance(value, str) and value.lower() == "none":
        value = None
    try:
        if kind is timedelta:  # A bare number has no unit.
            raise ValueError(value)
        return TypeAdapter(kind).validate_python(value)
    except ValueError:
        default = EvolutionConfig().to_settings()[name]
        raise ConfigError(f"{name} == {value!r}, must be like the default {default!r}.") from None


def load_config(
    *,
    path: Path | None = None,
    data_dir: Path | None = None,
    environment: Mapping[str, str] | None = None,
    **overrides: object,
) -> EvolutionConfig:
    """Read the settings in force.

    Args:
        path: A settings file; it must exist. Without it ``evolution_lab.toml`` is looked for in
            ``data_dir``, then in the current directory, and may be absent.
        data_dir: The lab directory.
        environment: ``os.environ`` unless given.
        **overrides: Settings by name; None means not given.

    Raises:
        ConfigError: A setting is unknown (the nearest known one is named) or breaks its rule.
        PathNotFoundError: ``path`` does not exist.

    Examples:
        >>> load_config(environment={}, window="1m").window
        datetime.timedelta(seconds=60)
    """
    environment = os.environ if environment is None else environment
    values: dict[str, object] = {}
    found = find_settings(path, data_dir)
    if found is not None:
        try:
            document = tomllib.loads(found.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{found} is not valid TOML: {error}") from None
        if isinstance(document.get("specs"), list):
            document["specs"] = [_beside(found, entry) for entry in document["specs"]]
        values.update(document)
    for name in SETTING_NAMES:
        key = ENVIRONMENT_PREFIX + name.upper()
        if key in environment and name not in {"operations", "owners", "mappings", "alerts"}:
            values[name] = environment[key]
    values.update({name: value for name, value in overrides.items() if value is not None})
    return EvolutionConfig(**cast("dict[str, Any]", {n: _coerce(n, v) for n, v in values.items()}))


def _beside(settings: Path, entry: object) -> str:
    """Take the file of a ``specs`` entry from the folder of the settings file."""
    service, equals, file = str(entry).rpartition("=")
    return f"{service}{equals}{settings.parent / file}"


def find_settings(path: Path | None, data_dir: Path | None) -> Path | None:
    """Return the settings file in force: the one named, that of the lab, or of this directory.

    Raises:
        PathNotFoundError: ``path`` does not exist.
    """
    if path is not None:
        if not path.is_file():
            raise PathNotFoundError(path)
        return path
    places = [data_dir / CONFIG_FILE] if data_dir is not None else []
    places.append(Path(CONFIG_FILE))
    return next((place for place in places if place.is_file()), None)
