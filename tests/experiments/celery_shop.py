"""A worker whose variant breaks; a real ``celery worker`` of the tests runs it."""

import os
import time
from pathlib import Path

from celery import Celery

from evolution_lab.contracts import HandlerContext
from evolution_lab.experiments import (
    STATE_IN_FORCE,
    InForce,
    SpecExperimentAdapter,
    current_variant,
    file_source,
)
from evolution_lab.experiments.celery_worker import count_tasks

DATA = Path(os.environ["SHOP_DATA"])
QUEUE = DATA / "queue"

app = Celery("shop", broker="filesystem://", backend=f"file://{DATA / 'results'}")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(QUEUE),
        "data_folder_out": os.environ.get("SHOP_OUTBOX", str(QUEUE)),
        "control_folder": str(DATA / "control"),
        "polling_interval": 0.02,
    },
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    result_expires=None,
    worker_lost_wait=0.5,
)
in_force = InForce(file_source(DATA / STATE_IN_FORCE), reread_seconds=0.1)
adapter = SpecExperimentAdapter(in_force, DATA, flush_seconds=0.2)
count_tasks(
    app,
    adapter,
    lambda _, __, kwargs: HandlerContext(user_id=kwargs.get("user"), channel="worker"),
)


class PlantedError(Exception):
    """What the variant does."""


@app.task(name="shop.sendInvoice")
def send_invoice(*, user, how=""):
    """Send an invoice, or fall over where the variant is served."""
    arm = current_variant("shop.sendInvoice")
    arm = "none" if arm is None else arm.arm
    if how == "die":
        os._exit(9)
    if how == "hang":
        time.sleep(60)
    if arm == "variant":
        raise PlantedError(user)
    return arm


@app.task(name="shop.retried", bind=True, max_retries=1, default_retry_delay=0)
def retried(self, *, user):
    """Fail once."""
    if self.request.retries == 0:
        raise self.retry()
    return "done"
