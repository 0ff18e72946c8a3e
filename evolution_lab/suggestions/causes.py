"""What a change is concentrated in, as far as the signal or the windows say it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from evolution_lab.records import DetectionResult, IntentSignal, OperationRef

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "error_code": ("errorCode", "error_code", "statusCode", "status_code"),
    "tenant_id": ("tenantId", "tenant_id", "tenant"),
    "version": ("operationVersion", "operation_version", "version"),
}
_UNKNOWN_CODE: Final = "unknown"
KEPT_IN: Final = 0.95
"""Share of the windows before a regression that kept what is promised."""


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Where a change sits and what was usual before it; None where nothing says it.

    Attributes:
        error_code: The code most of the additional failures carry.
        tenant_id: The one tenant concerned.
        version: The one version concerned; named only where there are others to compare it with.
        dependency: The operation that is waited for and became slow first.
        usual_p99_ns: 99th percentile, in nanoseconds, that 19 of 20 windows before a latency
            regression kept: of the dependency, where there is one, else of the operation itself.
    """

    error_code: str | None = None
    tenant_id: str | None = None
    version: str | None = None
    dependency: OperationRef | None = None
    usual_p99_ns: float | None = None


def find_cause(
    signal: IntentSignal, detection: DetectionResult, windows: pl.DataFrame | None = None
) -> Cause:
    """Read the cause of a signal.

    The signal's own attribution comes first. Without it, a server's error code is read from
    ``top_errors`` of the windows up to the detection (never later ones: the cause must not change
    while the episode lasts), and a latency regression's dependency from its incident, when that
    began at another operation.

    Args:
        signal: The claim.
        detection: The run it belongs to; its incidents are looked at.
        windows: Frame of ``schemas.WINDOWS``, or None.
    """
    said = {part: _attributed(signal.attribution, names) for part, names in _NAMES.items()}
    error_code = said["error_code"]
    dependency = usual_p99_ns = None
    if signal.kind == "error-spike" and signal.error_class != "client" and windows is not None:
        error_code = error_code or _risen_code(signal, windows)
    if signal.kind == "latency-regression":
        dependency = _slow_origin(signal, detection)
        waited_for = dependency or OperationRef(
            signal.operation.key, service=signal.operation.service
        )
        usual_p99_ns = _usual_p99(waited_for, signal, windows)
    return Cause(
        error_code=error_code,
        tenant_id=signal.operation.tenant_id or said["tenant_id"],
        version=said["version"],
        dependency=dependency,
        usual_p99_ns=usual_p99_ns,
    )


def windows_of(windows: pl.DataFrame, operation: OperationRef) -> pl.DataFrame:
    """Return an operation's windows: of its version where it names one, else of all versions."""
    own = (pl.col("operation_key") == operation.key) & pl.col("service").eq_missing(
        pl.lit(operation.service)
    )
    if operation.version is not None:
        own &= pl.col("operation_version").eq_missing(pl.lit(operation.version))
    return windows.filter(own)


def _attributed(attribution: Mapping[str, Any] | None, names: Sequence[str]) -> str | None:
    for name in names:
        text = _plain((attribution or {}).get(name))
        if text is not None:
            return text
    return None


def _plain(value: object) -> str | None:
    """Return the name in an attribution's value: text, a number, ``{"value": …}`` or a list."""
    if isinstance(value, Mapping):
        return next(
            (_plain(value[k]) for k in ("value", "code", "key", "name") if k in value), None
        )
    if isinstance(value, (list, tuple)):
        return _plain(value[0]) if value else None
    if isinstance(value, bool) or value is None:
        return None
    text = str(value)
    return text if text and text != _UNKNOWN_CODE else None


def _risen_code(signal: IntentSignal, windows: pl.DataFrame) -> str | None:
    """Return the code whose share of the calls rose most from before the episode to its detection."""
    own = windows_of(windows, signal.operation)
    start, end = signal.window_start, signal.detected_at
    before = own.filter(pl.col("window_end") <= start)
    during = own.filter((pl.col("window_start") >= start) & (pl.col("window_end") <= end))
    share_before, share_during = _code_shares(before), _code_shares(during)
    rises = {code: share - share_before.get(code, 0.0) for code, share in share_during.items()}
    risen = sorted((-rise, code) for code, rise in rises.items() if rise > 0)
    return risen[0][1] if risen else None


def _code_shares(windows: pl.DataFrame) -> dict[str, float]:
    calls = int(windows["calls"].sum())
    counts: Counter[str] = Counter()
    for errors in windows["top_errors"].drop_nulls().to_list():
        for error in errors:
            if error["error_code"] not in {None, "", _UNKNOWN_CODE}:
                counts[error["error_code"]] += error["count"]
    return {code: count / calls for code, count in counts.items()} if calls else {}


def _slow_origin(signal: IntentSignal, detection: DetectionResult) -> OperationRef | None:
    """Return the incident's origin when another operation that also became slower began it."""
    incident = next((i for i in detection.incidents if i.id == signal.incident_id), None)
    if incident is None:
        return None
    origin = OperationRef(incident.origin.key, service=incident.origin.service)
    if _same(origin, signal.operation):
        return None
    slow = (s.operation for s in detection.signals if s.kind == "latency-regression")
    return origin if any(_same(origin, operation) for operation in slow) else None


def _same(one: OperationRef, other: OperationRef) -> bool:
    """Say whether two are one operation, in whatever version."""
    return (one.service, one.key) == (other.service, other.key)


def _usual_p99(
    operation: OperationRef, signal: IntentSignal, windows: pl.DataFrame | None
) -> float | None:
    if windows is None:
        return None
    before = windows_of(windows, operation).filter(pl.col("window_end") <= signal.window_start)
    # The p99 of a typical window would be broken every other window: a window has too few calls.
    usual = before.select(pl.col("p99_ns").quantile(KEPT_IN, "higher")).item()
    return None if usual is None else float(usual)
