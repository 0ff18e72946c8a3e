"""Sessions of the shop's clients: who calls which operations when, drawn from a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from evolution_lab.demo.people import TENANTS, USERS_PER_TENANT
from evolution_lab.demo.timeline import PLANNED_MINUTES, WORKFLOW, WORKFLOW_SHARE

SHARES: Final = MappingProxyType(
    {
        "GET /products": 0.15,
        "GET /products/{sku}": 0.10,
        "GET /carts/{cartId}": 0.09,
        "POST /carts/{cartId}/items": 0.10,
        "POST /quotes": 0.09,
        "POST /invoices": 0.08,
        "GET /invoices/{invoiceId}": 0.10,
        "POST /checkout": 0.09,
        "GET /orders": 0.06,
        "GET /shipments/{shipmentId}": 0.09,
        "query ProductPage": 0.05,
        "query OrderHistory": 0.05,
    }
)
"""The operations ordinary clients call, and how often one is called among the others."""

CALLS_PER_SESSION: Final = 7.0
_THINK_SECONDS: Final = 30.0
_WORKFLOW_GAP_SECONDS: Final = 1.5
_LONGEST_SESSION: Final = 20.0
_RHYTHM: Final = 0.12
_RHYTHM_PERIOD: Final = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """One call a session means to make: seconds since the beginning, and which operation."""

    at: float
    key: str
    workflow: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """One client's visit.

    Attributes:
        id: Its id, the same for the same seed.
        tenant: The tenant the client belongs to.
        user: Number of the user within the tenant, from 1.
        seed: Of what its calls say.
        steps: Its calls, in order of time.
    """

    id: str
    tenant: str
    user: int
    seed: int
    steps: tuple[Step, ...]


def draw_sessions(
    seed: int, *, minutes: float, rate: float, workflow_from: float = math.inf
) -> tuple[Session, ...]:
    """Draw the sessions of a recording.

    Ordinary calls follow each other in random order. Thinking times and the rhythm of the day are
    scaled to the length, so that a recording of a minute is one of forty minutes seen fast.

    Args:
        seed: Equal seeds and arguments give equal sessions.
        minutes: Length of the recording.
        rate: Mean calls per second, without the workflows.
        workflow_from: Second from which clients run the workflow.

    Returns:
        Sessions by the time of their first call; no call is before 0 or after the end.

    Examples:
        >>> sessions = draw_sessions(1, minutes=2, rate=5.0)
        >>> 400 < sum(len(session.steps) for session in sessions) < 800
        True
    """
    rng = np.random.default_rng(seed)
    speed = PLANNED_MINUTES / minutes
    drawn = (
        _session(rng, number, start, speed, minutes * 60, workflow_from)
        for number, start in enumerate(_starts(rng, minutes, rate, speed))
    )
    return tuple(
        sorted((one for one in drawn if one.steps), key=lambda one: (one.steps[0].at, one.id))
    )


def _starts(rng: np.random.Generator, minutes: float, rate: float, speed: float) -> Iterator[float]:
    """Yield when sessions begin; the first ones before 0, so that no call is missing at 0."""
    now = -_LONGEST_SESSION * 60 / speed
    highest = rate / CALLS_PER_SESSION * (1 + _RHYTHM)
    while now < minutes * 60:
        now += float(rng.exponential(1 / highest))
        phase = 2 * math.pi * now * speed / 60 / _RHYTHM_PERIOD
        if rng.random() * (1 + _RHYTHM) < 1 + _RHYTHM * math.sin(phase):
            yield now


def _session(
    rng: np.random.Generator,
    number: int,
    start: float,
    speed: float,
    end: float,
    workflow_from: float,
) -> Session:
    shares = np.array(list(SHARES.values()))
    count = int(rng.geometric(1 / CALLS_PER_SESSION))
    picks = rng.choice(len(SHARES), size=count, p=shares / shares.sum())
    steps = [(list(SHARES)[pick], _THINK_SECONDS, False) for pick in picks]
    place, runs = int(rng.integers(0, count + 1)), bool(rng.random() < WORKFLOW_SHARE)
    if runs:
        first, *rest = WORKFLOW
        follow = [(key, _WORKFLOW_GAP_SECONDS, True) for key in rest]
        steps[place:place] = [(first, _THINK_SECONDS, True), *follow]
    planned = []
    now = start
    for at, (key, gap, workflow) in enumerate(steps):
        now += (0.2 + float(rng.exponential(gap)) * (at > 0)) / speed
        planned.append(Step(now, key, workflow))
    begun = next((step.at for step in planned if step.workflow), math.inf)
    kept = tuple(
        step
        for step in planned
        if 0 <= step.at < end and not (step.workflow and begun < workflow_from)
    )
    tenant = str(rng.choice(list(TENANTS), p=list(TENANTS.values())))
    user = int(rng.integers(1, USERS_PER_TENANT + 1))
    session = f"s-{number:05d}-{rng.bytes(4).hex()}"
    return Session(session, tenant, user, int(rng.integers(1 << 32)), kept)
