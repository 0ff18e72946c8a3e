"""What goes wrong in a recording: the plan the generator follows and the labels people compare with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import ValidationError

from evolution_lab.datasets.shop import ENDPOINTS, TENANTS, WORKFLOW, callers, operation
from evolution_lab.errors import CorruptFileError, FormatVersionError, InputError, PathNotFoundError
from evolution_lab.records import IntentKind, OperationRef, from_json
from evolution_lab.records.intent import ErrorClass
from evolution_lab.records.json_form import CAMEL_CASE

FORMAT_VERSION: Final = 1
PLANNED_MINUTES: Final = 180
"""The length the built-in plan is written for; other lengths scale its minutes."""
_SHORTEST_PLAN: Final = 60


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A label: what was planted where and when.

    Attributes:
        name: Short name, unique within a recording.
        kind: The kind of signal that should be raised.
        operation: Where it was planted; with a tenant or version where it is confined to one. For
            ``missing-operation`` the first step of the workflow.
        start: First moment it may show, UTC.
        end: First moment it no longer shows, UTC.
        description: One sentence for people.
        affected: Operations that show it because they call ``operation``.
        error_class: ``server`` or ``client`` for error spikes.
        steps: The calls of a workflow, in order.
        magnitude: How strong it is: ``errorRate`` (fraction of the calls concerned),
            ``latencyFactor``, ``callsFactor``, ``trafficShare`` (of a version), ``sessionShare``.
    """

    __pydantic_config__ = CAMEL_CASE

    name: str
    kind: IntentKind
    operation: OperationRef
    start: datetime
    end: datetime
    description: str
    affected: tuple[OperationRef, ...] = ()
    error_class: ErrorClass | None = None
    steps: tuple[OperationRef, ...] = ()
    magnitude: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PlannedFault:
    """An instruction to the generator: from one minute to another an endpoint behaves otherwise.

    Attributes:
        name: Short name, unique within a plan.
        key: Operation key of the endpoint.
        start_minute: First minute, counted from the beginning of the recording.
        end_minute: First minute after it; None lasts to the end of the recording.
        tenant: Confined to this tenant; None for all.
        version: Errors are confined to this new version of the endpoint's service, deployed at
            ``start_minute`` to ``version_share`` of its calls; None for all versions.
        version_share: Share of the service's calls that the new version gets, fraction.
        error_rate: Share of the calls concerned that fail, fraction; 0 leaves errors alone.
        status: HTTP status of those failures; 4xx makes it a burst of client errors.
        error_type: Class of those failures.
        latency_factor: Multiplies the endpoint's own time.
        stopped: Nobody calls the endpoint any more.
        description: One sentence for people.

    Raises:
        InputError: It ends before it begins, a share is no fraction, or nothing would go wrong.
    """

    name: str
    key: str
    start_minute: int
    end_minute: int | None
    description: str
    tenant: str | None = None
    version: str | None = None
    version_share: float = 0.2
    error_rate: float = 0.0
    status: int = 500
    error_type: str = "InternalError"
    latency_factor: float = 1.0
    stopped: bool = False

    def __post_init__(self) -> None:
        if self.start_minute < 0 or (
            self.end_minute is not None and self.end_minute <= self.start_minute
        ):
            raise InputError(
                f"start_minute == {self.start_minute}, end_minute == {self.end_minute}: a fault "
                "begins at 0 or later and ends after it begins."
            )
        for name in ("version_share", "error_rate"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise InputError(f"{name} == {share}, must be between 0 and 1.")
        if not self.latency_factor > 0:
            raise InputError(f"latency_factor == {self.latency_factor}, must be > 0.")
        if not (self.stopped or self.error_rate or self.latency_factor != 1):
            raise InputError(f"fault {self.name!r} changes nothing: give it one effect.")

    def label(self, start: datetime, minutes: int) -> Fault:
        """Return the label of this fault in a recording of ``minutes`` that begins at ``start``."""
        kind: IntentKind = "latency-regression"
        magnitude = {"latencyFactor": self.latency_factor}
        error_class: ErrorClass | None = None
        if self.stopped:
            kind, magnitude = "throughput-drop", {"callsFactor": 0.0}
        elif self.error_rate:
            kind, magnitude = "error-spike", {"errorRate": self.error_rate}
            error_class = "server" if self.status >= 500 else "client"
        if self.version is not None:
            magnitude["trafficShare"] = self.version_share
        passed_on = kind == "latency-regression" or error_class == "server"
        end = minutes if self.end_minute is None else self.end_minute
        return Fault(
            name=self.name,
            kind=kind,
            operation=operation(self.key, version=self.version, tenant=self.tenant),
            start=start + timedelta(minutes=self.start_minute),
            end=start + timedelta(minutes=end),
            description=self.description,
            affected=tuple(operation(key) for key in callers(self.key)) if passed_on else (),
            error_class=error_class,
            magnitude=magnitude,
        )


_PLAN: Final = (
    PlannedFault(
        name="tenant-error-burst",
        key="GET /products",
        start_minute=66,
        end_minute=78,
        tenant="globex",
        error_rate=0.85,
        status=503,
        error_type="IndexUnavailable",
        description="The search index of tenant globex is gone: most of its searches fail.",
    ),
    PlannedFault(
        name="slow-dependency",
        key="GET /stock/{sku}",
        start_minute=88,
        end_minute=100,
        latency_factor=10.0,
        description="Stock levels are read without their index: ten times slower, callers wait.",
    ),
    PlannedFault(
        name="client-error-burst",
        key="POST /carts/{cart_id}/items",
        start_minute=108,
        end_minute=118,
        error_rate=0.6,
        status=422,
        error_type="422",
        description="A client release sends a quantity as text: most additions are refused.",
    ),
    PlannedFault(
        name="stopped-operation",
        key="GET /shipments/{shipment_id}",
        start_minute=126,
        end_minute=None,
        stopped=True,
        description="A client release lost the tracking page: nobody asks for shipments any more.",
    ),
    PlannedFault(
        name="bad-version",
        key="POST /payments",
        start_minute=144,
        end_minute=None,
        version="3.1.0",
        version_share=0.2,
        error_rate=0.6,
        status=500,
        error_type="CurrencyMissing",
        description="billing 3.1.0 takes a fifth of the calls and fails most payments.",
    ),
)


def default_plan(minutes: int = PLANNED_MINUTES) -> tuple[PlannedFault, ...]:
    """Return the built-in plan, its minutes scaled to a recording of ``minutes``.

    The first third stays quiet.

    Raises:
        InputError: Fewer than 60 minutes leave a fault too short to be seen.

    Examples:
        >>> [(fault.name, fault.start_minute) for fault in default_plan()][:2]
        [('tenant-error-burst', 66), ('slow-dependency', 88)]
    """
    if minutes < _SHORTEST_PLAN:
        raise InputError(f"minutes == {minutes}, must be at least {_SHORTEST_PLAN} for the plan.")

    def scaled(minute: int) -> int:
        return round(minute * minutes / PLANNED_MINUTES)

    return tuple(
        replace(
            fault,
            start_minute=scaled(fault.start_minute),
            end_minute=None if fault.end_minute is None else scaled(fault.end_minute),
        )
        for fault in _PLAN
    )


def workflow_label(start: datetime, minutes: int, session_share: float) -> Fault:
    """Return the label of the repeated workflow, which is there from beginning to end."""
    steps = tuple(operation(key) for key in WORKFLOW)
    return Fault(
        name="repeated-workflow",
        kind="missing-operation",
        operation=steps[0],
        start=start,
        end=start + timedelta(minutes=minutes),
        description="Clients read the cart, ask for a quote and write an invoice, one by one.",
        steps=steps,
        magnitude={"sessionShare": session_share},
    )


def read_faults(path: str | Path) -> tuple[Fault, ...]:
    """Read the labels of a recording from its ``faults.json`` (or the folder that holds it).

    Raises:
        PathNotFoundError: There is no such file.
        FormatVersionError: A newer version of the package wrote it.
        CorruptFileError: It is not a list of labels.
    """
    file = Path(path)
    file = file / "faults.json" if file.is_dir() else file
    if not file.is_file():
        raise PathNotFoundError(file)
    try:
        document: dict[str, Any] = orjson.loads(file.read_bytes())
        version = document["format_version"]
        entries = document["faults"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise CorruptFileError(f"{file} holds no labels of faults: {error!r}.") from error
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise FormatVersionError(str(file), version, FORMAT_VERSION)
    try:
        return tuple(from_json(Fault, entry) for entry in entries)
    except (ValidationError, TypeError) as error:
        raise CorruptFileError(f"{file} holds a label that is none: {error}") from error


def unknown_names(plan: Collection[PlannedFault]) -> tuple[str, ...]:
    """Return the operations and tenants a plan names that the shop does not have, sorted."""
    named = {f.key for f in plan if f.key not in ENDPOINTS}
    named |= {f.tenant for f in plan if f.tenant is not None and f.tenant not in TENANTS}
    return tuple(sorted(named))
