"""The queue of placed orders, and the worker of the fulfilment service that empties it."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, Tracer, get_current_span

from evolution_lab.demo.shop.pace import Pace
from evolution_lab.demo.shop.store import Store
from evolution_lab.demo.shop.tracing import fail

DESTINATION: Final = "orders.placed"


@dataclass(frozen=True)
class PlacedOrder:
    """A message: an order to pack.

    Attributes:
        order_id: The order.
        tenant: Whose it is.
        user: Who placed it.
        sender: The span that sent the message.
    """

    order_id: str
    tenant: str
    user: str
    sender: SpanContext


@dataclass
class OrderQueue:
    """Hands placed orders from the checkout to a worker, in memory.

    Attributes:
        store: Where the worker writes shipments.
        pace: How long packing takes, and whether it fails.
        tracer: Of the service that works.
    """

    store: Store
    pace: Pace
    tracer: Tracer
    _waiting: asyncio.Queue[PlacedOrder] = field(default_factory=asyncio.Queue, init=False)

    def send(self, tracer: Tracer, *, order_id: str, tenant: str, user: str) -> None:
        """Put an order on the queue, within a producer span of the service that sends it."""
        with tracer.start_as_current_span(
            f"send {DESTINATION}", kind=SpanKind.PRODUCER, attributes=_attributes("send")
        ):
            sender = get_current_span().get_span_context()
            self._waiting.put_nowait(PlacedOrder(order_id, tenant, user, sender))

    async def work(self) -> None:
        """Pack orders until cancelled."""
        while True:
            order = await self._waiting.get()
            try:
                await self._pack(order)
            finally:
                self._waiting.task_done()

    async def drained(self) -> None:
        """Wait until every order that was sent is worked on to its end."""
        await self._waiting.join()

    async def _pack(self, order: PlacedOrder) -> None:
        """Pack one order in a trace of its own that links to the sender's."""
        attributes = _attributes("process") | {"tenant.id": order.tenant, "user.id": order.user}
        with self.tracer.start_as_current_span(
            f"process {DESTINATION}",
            context=Context(),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[Link(order.sender)],
        ) as span:
            await self.pace.wait(60)
            if self.pace.fails():
                fail(span, "LabelPrinterOffline", f"no label for {order.user}")
                return
            self.store.rows(
                "INSERT INTO shipments VALUES (?, ?, ?, 'parcel', 'in_transit')",
                str(uuid.uuid4()),
                order.order_id,
                order.tenant,
            )


def _attributes(action: str) -> dict[str, str]:
    return {
        "messaging.system": "memory",
        "messaging.operation.type": action,
        "messaging.destination.name": DESTINATION,
    }
