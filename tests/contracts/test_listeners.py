"""Who is told of executions: async listeners, failing ones, forks, and loops that run already."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from evolution_lab.contracts import OperationRegistry, OperationSpec
from evolution_lab.errors import InputError, UnknownNameError


def doubled(version: str = "1") -> OperationSpec:
    return OperationSpec(key="double", version=version, kind="query", goal="Twice as much.")


async def twice(number: int, context: object) -> int:
    await asyncio.sleep(0)
    return number * 2


@pytest.fixture
def registry() -> OperationRegistry:
    registry = OperationRegistry()
    registry.register(doubled(), twice)
    return registry


def test_async_listeners_are_awaited_without_a_loop(registry: OperationRegistry):
    heard = []

    async def listen(sample):
        await asyncio.sleep(0)
        heard.append(sample.operation.key)

    registry.on_sample(listen)
    assert registry.execute("double", None, 4) == 8
    registry.close()
    assert heard == ["double"]


def test_async_listeners_are_awaited_on_the_loop_that_ran_the_operation(
    registry: OperationRegistry,
):
    threads = []

    async def listen(sample):
        threads.append(threading.current_thread())

    async def serve():
        registry.on_sample(listen)
        assert await registry.aexecute("double", None, 4) == 8
        for _ in range(200):
            if threads:
                return
            await asyncio.sleep(0.01)

    asyncio.run(serve())
    registry.close()
    assert threads == [threading.current_thread()]


def test_an_async_handler_is_run_to_its_end_where_a_loop_runs_already(registry: OperationRegistry):
    async def serve():
        return registry.execute("double", None, 5)

    assert asyncio.run(serve()) == 10


def test_a_failing_async_listener_is_counted_and_reaches_no_caller(registry: OperationRegistry):
    async def listen(sample):
        raise RuntimeError("no")

    registry.on_sample(listen)
    assert registry.execute("double", None, 1) == 2
    registry.close()
    ((name, failures),) = registry.hook_errors.items()
    assert "listen" in name
    assert failures == 1


def test_versions_are_kept_apart(registry: OperationRegistry):
    registry.register(doubled("2"), lambda number, _: number * 3)
    assert registry.execute("double", "1", 1) == 2
    assert registry.execute("double", None, 1) == 3
    assert [spec.version for spec in registry.specs()] == ["1", "2"]
    assert registry.spec("double", "1").version == "1"
    with pytest.raises(UnknownNameError, match="version"):
        registry.execute("double", "3", 1)
    with pytest.raises(InputError, match="already"):
        registry.register(doubled("2"), twice)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_tells_its_own_listeners(registry: OperationRegistry):
    reading, writing = os.pipe()

    async def listen(sample):
        os.write(writing, b"x")

    registry.on_sample(listen)
    registry.execute("double", None, 1)
    registry.close()
    child = os.fork()
    if child == 0:
        registry.execute("double", None, 2)
        registry.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    os.close(writing)
    told = b""
    while chunk := os.read(reading, 10):
        told += chunk
    os.close(reading)
    assert told == b"xx"
