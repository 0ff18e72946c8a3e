"""Whatever happens to the pipe and its writer: nothing waits, and every lost sample is counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.telemetry import Lake, create_tracing_middleware
from evolution_lab.telemetry.live_pipe import LivePipe
from evolution_lab.telemetry.sample_lines import LONGEST_LINE, to_line

NOW = datetime.now(UTC)
SERVICE = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.telemetry.live_pipe import LivePipe
from evolution_lab.telemetry.sample_lines import to_line

pipe = LivePipe(Path(sys.argv[1]), flush_seconds=60)
for number in range(10):
    sample = TelemetrySample(
        operation=OperationRef("checkout"), timestamp=datetime.now(UTC), duration_ns=number
    )
    pipe.send(to_line(sample))
while pipe.writer_pid() is None:
    time.sleep(0.01)
print(pipe.writer_pid(), flush=True)
time.sleep(60)
"""


def line(number: int = 0) -> bytes:
    ids = {"trace_id": f"{number + 1:032x}", "span_id": f"{number + 1:016x}"}
    return to_line(
        TelemetrySample(
            operation=OperationRef("checkout"),
            timestamp=NOW + timedelta(microseconds=number),
            duration_ns=1,
            **ids,
        )
    )


def until(condition, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def pipe(tmp_path):
    made = LivePipe(tmp_path / "lab", flush_seconds=0.2)
    yield made
    made.close()


def test_a_full_pipe_drops_and_counts_and_never_waits(pipe, monkeypatch):
    # A writer that is there and reads nothing.
    monkeypatch.setattr("evolution_lab.telemetry.live_pipe._START", "import time; time.sleep(2)")
    pipe.capacity = 64 * 1024
    longest = 0.0
    for number in range(2_000):
        began = time.perf_counter()
        pipe.send(line(number))
        longest = max(longest, time.perf_counter() - began)
    counts = pipe.counts()
    assert counts.dropped > 0
    assert counts.sent > 100
    assert counts.sent + counts.dropped == 2_000
    assert longest < 0.5
    pipe.close()
    assert pipe.counts().lost == counts.sent


def test_a_killed_writer_hides_no_loss_and_the_next_one_goes_on(pipe, tmp_path):
    for number in range(100):
        pipe.send(line(number))
    until(lambda: pipe.counts().settled.written == 100)
    first = pipe.writer_pid()
    os.kill(first, signal.SIGSTOP)  # It takes nothing more.
    for number in range(100, 150):
        assert pipe.send(line(number))
    os.kill(first, signal.SIGKILL)
    until(lambda: pipe.counts().lost == 50)
    until(lambda: pipe.writer_pid() not in {None, first})
    for number in range(150, 160):
        pipe.send(line(number))
    assert pipe.close()
    counts = pipe.counts()
    assert counts.sent + counts.dropped == 160
    assert counts.settled.written + counts.lost + counts.dropped == 160
    assert Lake(tmp_path / "lab").samples().collect().height == counts.settled.written >= 100


@pytest.mark.slow
def test_killed_again_and_again_under_load_every_sample_is_accounted_for(tmp_path, get_wsgi):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"fine"]

    tracing = create_tracing_middleware(data=tmp_path, flush_seconds=0.05)
    served, statuses, stop = tracing.wsgi(app), [], threading.Event()

    def client():
        while not stop.is_set():
            statuses.extend(answer.status for answer in get_wsgi(served, "/a"))
            time.sleep(0.001)

    clients = [threading.Thread(target=client) for _ in range(3)]
    for each in clients:
        each.start()
    killed = []
    for _ in range(2):
        until(lambda: tracing.pipe.writer_pid() not in {None, *killed})
        time.sleep(3.0)  # It starts, and lands a few times.
        killed.append(tracing.pipe.writer_pid())
        os.kill(killed[-1], signal.SIGKILL)
    until(lambda: tracing.pipe.writer_pid() not in {None, *killed})
    time.sleep(0.5)
    stop.set()
    for each in clients:
        each.join()
    counters = tracing.close()
    assert set(statuses) == {200}
    assert counters.seen == len(statuses)
    assert counters.waiting == 0
    assert min(counters.written, counters.lost + counters.dropped) > 0
    assert counters.seen == counters.written + counters.dropped + counters.lost
    # What a killed writer landed without having said so counts as lost all the same.
    assert counters.written <= Lake(tmp_path).samples().collect().height <= counters.seen


@pytest.mark.slow
def test_closing_twice_and_sending_after_it(pipe, tmp_path):
    assert pipe.close()
    pipe.send(line(0))
    assert pipe.close()
    pipe.send(line(1))
    pipe.send(line(1))
    assert pipe.close()
    assert pipe.close()
    counts = pipe.counts()
    assert (counts.sent, counts.settled.written, counts.settled.duplicates) == (3, 2, 1)
    assert Lake(tmp_path / "lab").samples().collect().height == 2


def test_a_writer_that_cannot_start_costs_samples_not_requests(pipe, monkeypatch):
    monkeypatch.setattr("evolution_lab.telemetry.live_pipe.get_executable", lambda: "/nowhere")
    pipe.send(line(0))
    until(lambda: pipe.counts().lost == 1)
    pipe.send(line(1))
    assert pipe.counts().dropped == 1


def test_samples_of_many_threads_are_whole_lines(pipe, tmp_path):
    def send(first):
        for number in range(first, first + 300):
            pipe.send(line(number))

    threads = [threading.Thread(target=send, args=(n * 300,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pipe.close()
    counts = pipe.counts()
    assert counts.settled.refused == 0
    assert counts.settled.written + counts.dropped == 1_200
    assert len(line()) < LONGEST_LINE


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_a_writer_of_its_own(tmp_path):
    code = """
import os, sys
from pathlib import Path
from evolution_lab.telemetry import create_tracing_middleware
def app(environ, start_response):
    start_response("200 OK", [])
    return [b""]
tracing = create_tracing_middleware(data=sys.argv[1], resolve_tenant=lambda exchange: "acme")
served = tracing.wsgi(app)
served({"PATH_INFO": "/before"}, lambda *_: None)
child = os.fork()
for _ in range(2):
    served({"PATH_INFO": "/after"}, lambda *_: None)
counters = tracing.close()
assert counters.seen == counters.written == (2 if child == 0 else 3), counters
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    landed = Lake(tmp_path).samples().collect()
    assert sorted(landed["operation_key"]) == ["HTTP /after"] * 4 + ["HTTP /before"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_writer_lands_what_it_holds_and_ends_when_its_parent_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as service:
        writer = int(service.stdout.readline())
        service.kill()
    until(lambda: not is_alive(writer))
    assert Lake(tmp_path).samples().collect().height == 10


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_writer_ends_though_somebody_else_holds_the_pipe(tmp_path):
    """A process that the service forked keeps the writing end open for longer than the service."""
    script = SERVICE.replace(
        "print(pipe.writer_pid()",
        "import os\nif os.fork() == 0:\n"
        "    os.close(1)\n    time.sleep(20)\n    os._exit(0)\n"
        "print(pipe.writer_pid()",
    ).replace("from pathlib", "import evolution_lab.telemetry.forks as f\nfrom pathlib", 1)
    script = script.replace("import os\nif os.fork", "import os\nf._renewables.clear()\nif os.fork")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as service:
        writer = int(service.stdout.readline())
        service.kill()
        until(lambda: not is_alive(writer))
        os.killpg(service.pid, signal.SIGKILL)
    assert Lake(tmp_path).samples().collect().height == 10


@pytest.mark.slow
def test_a_writer_that_is_asked_to_end_lands_what_it_holds(tmp_path):
    pipe = LivePipe(tmp_path, flush_seconds=60)
    pipe.send(line(0))
    until(lambda: pipe.writer_pid() is not None)
    time.sleep(2.0)  # Until it listens to signals.
    os.kill(pipe.writer_pid(), signal.SIGTERM)
    until(lambda: pipe.counts().settled.written == 1)
    pipe.close()
    assert pipe.counts().lost == 0
