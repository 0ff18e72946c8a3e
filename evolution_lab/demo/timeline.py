"""What goes wrong while the shop is recorded, and when: one plan for the shop and for its clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from evolution_lab.datasets import Fault
from evolution_lab.errors import InputError, UnknownNameError
from evolution_lab.records import IntentKind, OperationRef
from evolution_lab.records.intent import ErrorClass

PLANNED_MINUTES: Final = 40
"""The length the plan is written for; other lengths scale its minutes."""

STABLE_VERSION: Final = "2.4.1"
CANARY_VERSION: Final = "2.5.0"
CANARY_SHARE: Final = 0.2
"""Share of the sessions that the bad version answers, fraction."""
FAULTY_TENANT: Final = "globex"
WORKFLOW: Final = ("GET /carts/{cartId}", "POST /quotes", "POST /invoices")
"""Three calls that clients make one after the other because no single operation does it all."""
WORKFLOW_SHARE: Final = 0.3
"""Share of the sessions in which a client runs the workflow once, fraction."""
VERSIONS: Final = MappingProxyType(
    {"shop": STABLE_VERSION, "payments": "1.3.0", "fulfilment": "1.1.0"}
)
"""The services that are recorded, and the version of each at the beginning."""


def operation(
    key: str, *, service: str = "shop", version: str | None = None, tenant: str | None = None
) -> OperationRef:
    """Return the identity of an operation as landing gives it.

    Examples:
        >>> print(operation("POST /quotes"))
        shop · POST /quotes · 2.4.1
    """
    return OperationRef(
        key, service=service, version=version or VERSIONS[service], tenant_id=tenant
    )


@dataclass(frozen=True, kw_only=True)
class PlantedFault:
    """One thing that goes wrong, in minutes of a recording of ``PLANNED_MINUTES``.

    Attributes:
        name: Short name, unique in the plan.
        kind: The kind of signal or of spec gap it is.
        operation: Where it is planted.
        first: The minute it begins.
        last: The minute it ends; None lasts to the end.
        description: One sentence for people.
        affected: Operations that show it because they call ``operation``.
        error_class: ``server`` or ``client`` for error spikes.
        steps: The calls of a workflow, in order.
        magnitude: How strong it is, in the words of ``datasets.Fault``.
    """

    name: str
    kind: IntentKind
    operation: OperationRef
    first: float
    last: float | None = None
    description: str
    affected: tuple[OperationRef, ...] = ()
    error_class: ErrorClass | None = None
    steps: tuple[OperationRef, ...] = ()
    magnitude: Mapping[str, float] = field(default_factory=dict)


_STEPS: Final = tuple(operation(key) for key in WORKFLOW)

_PLAN: Final = (
    PlantedFault(
        name="repeated-workflow",
        kind="missing-operation",
        operation=_STEPS[0],
        first=14,
        description="Clients read the cart, ask for a quote and write an invoice, one by one.",
        steps=_STEPS,
        magnitude={"sessionShare": WORKFLOW_SHARE},
    ),
    PlantedFault(
        name="undocumented-field",
        kind="schema-mismatch",
        operation=operation("GET /products/{sku}"),
        first=14,
        description="Products carry restockedOn, a field the document does not have.",
    ),
    PlantedFault(
        name="undocumented-error",
        kind="schema-mismatch",
        operation=operation("POST /carts/{cartId}/items"),
        first=14,
        description="Discontinued products are refused with 409 and sku_discontinued, a status and "
        "a code the document does not have.",
        magnitude={"errorRate": 0.04},
    ),
    PlantedFault(
        name="slow-dependency",
        kind="latency-regression",
        operation=operation("POST /authorizations", service="payments"),
        first=15,
        last=18.5,
        description="The payments service answers eight times slower; checkouts wait for it.",
        affected=(operation("POST /checkout"),),
        magnitude={"latencyFactor": 8.0},
    ),
    PlantedFault(
        name="tenant-error-burst",
        kind="error-spike",
        operation=operation("GET /products", tenant=FAULTY_TENANT),
        first=20,
        last=23,
        description="The search index of tenant globex is gone: most of its searches fail.",
        error_class="server",
        magnitude={"errorRate": 0.8},
    ),
    PlantedFault(
        name="missing-field",
        kind="error-spike",
        operation=operation("POST /invoices"),
        first=24,
        description="The ledger now refuses invoices without poNumber, a field that the document "
        "calls optional and that a quarter of the clients leave out.",
        error_class="client",
        magnitude={"errorRate": 0.25},
    ),
    PlantedFault(
        name="stopped-operation",
        kind="throughput-drop",
        operation=operation("GET /shipments/{shipmentId}"),
        first=26,
        description="A client release lost the tracking page: nobody asks for shipments any more.",
        magnitude={"callsFactor": 0.0},
    ),
    PlantedFault(
        name="unbounded-list",
        kind="latency-regression",
        operation=operation("POST /quotes"),
        first=28,
        description="A sixth of the quotes are asked for hundreds of items at once, and the time "
        "a quote takes grows with them: the document sets no limit.",
        magnitude={"callsShare": 1 / 6},
    ),
    PlantedFault(
        name="bad-version",
        kind="error-spike",
        operation=operation("GET /invoices/{invoiceId}", version=CANARY_VERSION),
        first=32,
        description="Version 2.5.0 answers a fifth of the sessions and cannot read most invoices.",
        error_class="server",
        magnitude={"errorRate": 0.6, "trafficShare": CANARY_SHARE},
    ),
)

PLAN: Final = MappingProxyType({fault.name: fault for fault in _PLAN})
"""The plan by name. The first third stays quiet."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The plan laid over a recording.

    Attributes:
        start: Beginning of the recording, UTC.
        minutes: Its length; the plan's minutes are scaled to it.

    Raises:
        InputError: The start has no time zone, or the length is not positive.

    Examples:
        >>> timeline = Timeline(start=datetime(2025, 3, 4, 9, tzinfo=UTC), minutes=40)
        >>> timeline.quiet_until.isoformat()
        '2025-03-04T09:14:00+00:00'
        >>> timeline.active("slow-dependency", timeline.start + timedelta(minutes=16))
        True
    """

    start: datetime
    minutes: float = PLANNED_MINUTES

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise InputError(f"start == {self.start}, must have a time zone.")
        if not self.minutes > 0:
            raise InputError(f"minutes == {self.minutes}, must be > 0.")

    @property
    def end(self) -> datetime:
        """The end of the recording."""
        return self.start + timedelta(minutes=self.minutes)

    @property
    def quiet_until(self) -> datetime:
        """Before this moment nothing is wrong."""
        return min(self._moment(fault.first) for fault in PLAN.values())

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The labels of the recording, in order of their start."""
        labels = (
            Fault(
                name=fault.name,
                kind=fault.kind,
                operation=fault.operation,
                start=self._moment(fault.first),
                end=self._moment(fault.last),
                description=fault.description,
                affected=fault.affected,
                error_class=fault.error_class,
                steps=fault.steps,
                magnitude=fault.magnitude,
            )
            for fault in PLAN.values()
        )
        return tuple(sorted(labels, key=lambda fault: (fault.start, fault.name)))

    def active(self, name: str, at: datetime) -> bool:
        """Say whether a fault is on at a moment.

        Raises:
            UnknownNameError: The plan has no such fault.
        """
        fault = _planted(name)
        return self._moment(fault.first) <= at < self._moment(fault.last)

    def _moment(self, minute: float | None) -> datetime:
        if minute is None:
            return self.end
        return self.start + timedelta(minutes=minute * self.minutes / PLANNED_MINUTES)


@dataclass
class Faults:
    """What is wrong with the shop right now: by the clock of a timeline, or switched by hand.

    Attributes:
        timeline: When faults come and go by themselves; None for never.
        clock: What time it is, UTC.

    Examples:
        >>> faults = Faults()
        >>> faults.plant("slow-dependency")
        >>> faults.active("slow-dependency"), faults.active("bad-version")
        (True, False)
    """

    timeline: Timeline | None = None
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    _by_hand: set[str] = field(default_factory=set, init=False, repr=False)

    def active(self, name: str) -> bool:
        """Say whether a fault is on now.

        Raises:
            UnknownNameError: The plan has no such fault.
        """
        if _planted(name).name in self._by_hand:
            return True
        return self.timeline is not None and self.timeline.active(name, self.clock())

    def plant(self, name: str) -> None:
        """Switch a fault on until it is lifted.

        Raises:
            UnknownNameError: The plan has no such fault.
        """
        self._by_hand.add(_planted(name).name)

    def lift(self, name: str) -> None:
        """Switch off a fault that was planted by hand."""
        self._by_hand.discard(name)


def _planted(name: str) -> PlantedFault:
    try:
        return PLAN[name]
    except KeyError:
        raise UnknownNameError("fault", name, PLAN) from None
