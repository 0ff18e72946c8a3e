"""Detection inside the serving process: a fault planted under load is reported while it lasts."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from evolution_lab.config import EvolutionConfig
from evolution_lab.demo.load import run_load
from evolution_lab.demo.sessions import draw_sessions
from evolution_lab.demo.shop import OtlpFileExporter, ServedApp, ShopSettings, Watch, create_shop
from evolution_lab.demo.timeline import PLANNED_MINUTES, Faults, Timeline
from evolution_lab.lab import Lab
from evolution_lab.pipeline import EvolutionPipeline

WINDOW = timedelta(seconds=3)
MINUTES = 4.0
PLANTED_AT = 180.0
CALLS_PER_SECOND = 30.0
BURST = ("error-spike", "GET /products", "globex")


def named(signal):
    return signal.kind, signal.operation.key, signal.operation.tenant_id


@pytest.mark.slow
def test_a_planted_fault_is_reported_live_and_by_the_file_alike(tmp_path):
    spans = tmp_path / "spans.jsonl"
    config = EvolutionConfig(window=WINDOW, allowed_lateness=WINDOW)
    reported = []
    pipeline = EvolutionPipeline(
        on_intent=lambda signal: reported.append((time.monotonic(), signal)), config=config
    )
    faults, over = Faults(), threading.Event()
    watch = Watch(data=tmp_path / "watched", on_sample=pipeline.ingest)
    app = create_shop(
        ShopSettings(pace=0.5), faults=faults, exporter=OtlpFileExporter(spans), watch=watch
    )

    def look():
        while not over.wait(WINDOW.total_seconds()):
            pipeline.run()

    # Clients behave throughout: the timeline of their faults begins when all is over.
    far = Timeline(start=datetime.now(UTC) + timedelta(seconds=1), minutes=PLANNED_MINUTES)
    sessions = draw_sessions(3, minutes=MINUTES, rate=CALLS_PER_SECOND)
    looking = threading.Thread(target=look)
    with ServedApp(app) as shop:
        begun = time.monotonic()
        planting = threading.Timer(1 + PLANTED_AT, faults.plant, ["tenant-error-burst"])
        planting.start()
        looking.start()
        load = asyncio.run(run_load(shop.url, sessions, far))
        over.set()
        looking.join()
    counted = watch.close()["2.4.1"]
    app.tracing.shutdown()
    assert load.unanswered == 0
    assert counted.written == load.answered
    found = [(at - begun - 1 - PLANTED_AT, signal) for at, signal in reported]
    delays = [delay for delay, signal in found if named(signal) == BURST]
    assert 0 < min(delays) < WINDOW.total_seconds() + 90
    assert not [signal for delay, signal in found if delay <= 0]
    for lab, source in (
        (Lab(tmp_path / "watched", config=config), None),
        (Lab(tmp_path / "traced", config=config), spans),
    ):
        if source is not None:
            lab.land(source)
        assert BURST in {named(signal) for signal in lab.detect().signals}
    both = Lab(tmp_path / "watched", config=config).land(spans)
    assert both.duplicates == load.answered
