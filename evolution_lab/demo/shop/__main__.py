"""Serves the shop: ``python -m evolution_lab.demo.shop --port 8480 --regression wrong-total``."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from evolution_lab.demo.shop.app import create_shop
from evolution_lab.demo.shop.otlp_file import OtlpFileExporter
from evolution_lab.demo.shop.pace import Pace
from evolution_lab.demo.shop.payments import create_payments
from evolution_lab.demo.shop.serving import ServedApp
from evolution_lab.demo.shop.settings import REGRESSIONS, ShopSettings
from evolution_lab.demo.shop.tracing import Tracing
from evolution_lab.demo.shop.watching import Watch
from evolution_lab.demo.timeline import PLAN, PLANNED_MINUTES, Faults, Timeline


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the shop and its payments service until interrupted; print the shop's address."""
    options = _parser().parse_args(arguments)
    settings = ShopSettings(
        regressions=frozenset(options.regression),
        pace=options.pace,
        failure_rate=options.failure_rate,
        seed=options.seed,
    )
    timeline = None
    if options.plan_start is not None:
        timeline = Timeline(start=options.plan_start, minutes=options.minutes)
    faults = Faults(timeline)
    for name in options.fault:
        faults.plant(name)
    exporter = OtlpFileExporter(options.otlp) if options.otlp is not None else None
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    tracing = Tracing(exporter)
    pace = Pace(settings.pace, 0.0, settings.seed + 1)
    with contextlib.ExitStack() as stack:
        stack.callback(tracing.shutdown)
        payments = stack.enter_context(
            ServedApp(create_payments(pace=pace, faults=faults, tracing=tracing))
        )
        watch = Watch(options.data) if options.data is not None else None
        if watch is not None:
            stack.callback(watch.close)
        shop = create_shop(
            settings, faults=faults, exporter=exporter, payments_url=payments.url, watch=watch
        )
        stack.callback(shop.tracing.shutdown)
        served = stack.enter_context(ServedApp(shop, options.port))
        sys.stdout.write(f"{served.url}\n")
        sys.stdout.flush()
        done.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evolution_lab.demo.shop",
        description="Serve the demo shop on 127.0.0.1 until interrupted.",
    )
    regressions = "; ".join(f"{name}: {what}" for name, what in REGRESSIONS.items())
    parser.add_argument("--port", type=int, default=8480, help="0 for a free one (%(default)s)")
    parser.add_argument(
        "--regression",
        action="append",
        default=[],
        choices=sorted(REGRESSIONS),
        metavar="NAME",
        help=f"change its behaviour; may be given again. {regressions}",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        choices=sorted(PLAN),
        metavar="NAME",
        help=f"plant a fault from the beginning; one of {', '.join(PLAN)}",
    )
    parser.add_argument("--otlp", type=Path, metavar="FILE", help="append its spans to a file")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="land what the package's own middleware sees into a lab directory",
    )
    parser.add_argument("--pace", type=float, default=0.0, help="scale of its waits (%(default)s)")
    parser.add_argument("--failure-rate", type=float, default=0.0, help="fraction (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of its contents (%(default)s)")
    parser.add_argument(
        "--plan-start",
        type=datetime.fromisoformat,
        metavar="TIME",
        help="let the planned faults come and go from this moment on (ISO 8601 with a zone)",
    )
    parser.add_argument(
        "--minutes", type=float, default=PLANNED_MINUTES, help="length of the plan (%(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
