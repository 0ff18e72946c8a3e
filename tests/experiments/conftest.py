"""Published test vectors beside the checkout, and a definition to change."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

collect_ignore = ["celery_shop.py"]  # A program of its own, which needs a lab directory.
VECTORS = Path(__file__).parents[3] / "shared" / "data" / "experiments"


def published(*parts: str) -> Path:
    path = VECTORS.joinpath(*parts)
    if not path.exists():
        pytest.skip("the published vectors are not beside this checkout")
    return path


@pytest.fixture(scope="session")
def growthbook_cases() -> dict[str, list]:
    return json.loads(published("growthbook-sdk-cases", "cases.json").read_text())


@pytest.fixture(scope="session")
def unleash_states() -> dict[str, dict]:
    folder = published("unleash-client-specification", "specifications")
    return {path.name[:2]: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.fixture(scope="session")
def flagd_folder() -> Path:
    return published("flagd-testbed")


class Worker:
    """A worker's tasks, and how to have it do them."""

    def __init__(self, data: Path, tasks) -> None:
        self.data, self.tasks = data, tasks

    def send(self, task, *, time_limit=None, **arguments):
        """Have a task done; the broker reads half-written files, so whole ones are moved there."""
        result = task.apply_async(kwargs=arguments, time_limit=time_limit)
        for path in (self.data / "outbox").iterdir():
            path.rename(self.data / "queue" / path.name)
        return result

    def log(self) -> str:
        return (self.data / "worker.log").read_text()


@contextlib.contextmanager
def _celery_worker(data: Path, *options: str):
    """Give the module of a worker's tasks while a real worker runs them."""
    for name in ("queue", "outbox", "control", "results"):
        (data / name).mkdir(parents=True)
    environment = {**os.environ, "SHOP_DATA": str(data), "PYTHONWARNINGS": "ignore"}
    here = Path(__file__).parent
    program = [sys.executable, "-m", "celery", "-A", "celery_shop", "worker", "--loglevel=WARNING"]
    program += ["--without-gossip", "--without-mingle", "--without-heartbeat", *options]
    with (data / "worker.log").open("wb") as log:
        worker = subprocess.Popen(program, cwd=here, env=environment, stdout=log, stderr=log)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("SHOP_DATA", str(data))
            patched.setenv("SHOP_OUTBOX", str(data / "outbox"))
            patched.syspath_prepend(str(here))
            sys.modules.pop("celery_shop", None)
            import celery_shop

            yield Worker(data, celery_shop)
            celery_shop.in_force.close()
            celery_shop.adapter.close()
    finally:
        sys.modules.pop("celery_shop", None)
        worker.terminate()
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


@pytest.fixture(scope="session")
def celery_worker():
    """A context manager: a real worker on a queue of files, of the tasks in ``celery_shop``."""
    return _celery_worker
