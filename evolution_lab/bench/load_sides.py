"""One of the two shops of ``bench load``: how it is asked, and what was measured of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolution_lab.bench.load_clients import Clients, saturate
from evolution_lab.bench.load_shop import Figures, ShopProcess


@dataclass
class Side:
    """One of the two shops, and what was measured of it.

    Attributes:
        name: Which one.
        shop: Its process.
        rates: Answers a second at saturation, by block.
        saturated_cpu: Microseconds of the service's processor time a request, by block.
        half_cpu: The same at half of saturation, by turn.
        latencies: Nanoseconds from when requests were due, by turn.
        statuses: Answers by HTTP status.
        memory: What it held, and when.
        broken: Connections that failed.
        latest_ns: The most that the client itself was late.
    """

    name: str
    shop: ShopProcess
    rates: list[float] = field(default_factory=list)
    saturated_cpu: list[float] = field(default_factory=list)
    half_cpu: list[float] = field(default_factory=list)
    latencies: list[NDArray[np.int64]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    memory: list[tuple[float, Figures]] = field(default_factory=list)
    broken: int = 0
    latest_ns: int = 0

    def at_saturation(self, requests: tuple[bytes, ...], seconds: int) -> None:
        """Ask as fast as it answers."""
        before = self.shop.settled()
        got = saturate(self.shop.port, requests, seconds)
        after = self.settle()
        self.rates.append(got.rate)
        self.broken += got.broken
        self.saturated_cpu.append(_cpu_microseconds(before, after))

    async def on_time(
        self, clients: Clients, requests: tuple[bytes, ...], rate: float, seconds: float
    ) -> None:
        """Ask on a timetable."""
        before = self.shop.figures()
        answered = await clients.on_time(requests, rate, seconds)
        after = self.shop.figures()
        self.latencies.append(np.asarray(answered.latencies_ns))
        self.statuses += answered.statuses
        self.latest_ns = max(self.latest_ns, answered.latest_ns)
        self.half_cpu.append(_cpu_microseconds(before, after))
        self.memory.append((time.monotonic(), after))

    def settle(self) -> Figures:
        """Wait until nothing is on its way, and note what it holds."""
        after = self.shop.settled()
        self.memory.append((time.monotonic(), after))
        return after

    def row(self, last: Figures) -> dict[str, Any]:
        """Return its row of the table."""
        latencies = np.concatenate(self.latencies)
        median, p99 = np.quantile(latencies, (0.5, 0.99))
        rates = np.sort(np.asarray(self.rates))
        return {
            "shop": self.name,
            "requests": last.served,
            "requests/s at saturation": round(float(np.median(rates)), 1),
            "quartiles": f"{np.quantile(rates, 0.25):.0f} to {np.quantile(rates, 0.75):.0f}",
            "CPU us a request": round(float(np.median(self.saturated_cpu)), 1),
            "p50 ms at half": round(float(median) / 1e6, 3),
            "p99 ms at half": round(float(p99) / 1e6, 3),
            "CPU us at half": round(float(np.median(self.half_cpu)), 1),
            "writers' CPU us": round(last.writer_cpu_seconds / last.served * 1e6, 1),
            "service MB": None if last.service_mb is None else round(last.service_mb, 1),
            "5xx": sum(count for status, count in self.statuses.items() if status >= 500),
            "broken": self.broken,
            "client late ms": round(self.latest_ns / 1e6, 2),
        }


def _cpu_microseconds(before: Figures, after: Figures) -> float:
    return (after.cpu_seconds - before.cpu_seconds) / max(after.served - before.served, 1) * 1e6
