"""Landing, compacting, refreshing, deciding, exporting and rolling out, killed at every step of each.

A step is a file opened, renamed, removed or made (Python's audit events say when), or a moment drawn
from the time that the work takes. Two hundred kills and more (``test_kills.py`` makes some in CI, too);
after each kill what is there is whole, and the same work done again ends as if nothing had been.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from evolution_lab.datasets import sample_path
from evolution_lab.errors import AlreadyDecidedError, ExperimentStateError
from evolution_lab.experiments import STATE_IN_FORCE, SpecExperimentRegistry, read_state
from evolution_lab.golden import GoldenCase, GoldenStep, GoldenSuite
from evolution_lab.golden.emitting import EmitSettings, emit, framework_of
from evolution_lab.lab import Lab
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.compaction import compact
from evolution_lab.telemetry.verifying import verify
from evolution_lab.windows.refreshing import refresh, stored_sums

QUARTER = timedelta(minutes=15)
STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate")
CHILD = """
    import os, signal, sys, threading, time
    sys.path.insert(0, {folder!r})
    import test_kills_at_every_step as here
    work, data, kill = here.WORK[{work!r}], here.Path({data!r}), {kill!r}
    work.load(data)
    seen = 0
    def heard(event, arguments):
        global seen
        if event not in here.STEPS:
            return
        if event == "open" and not (isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+")):
            return
        seen += 1
        if seen == kill:
            os.kill(os.getpid(), signal.SIGKILL)
    if isinstance(kill, float):
        def later():
            time.sleep(kill)
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Thread(target=later, daemon=True).start()
    sys.addaudithook(heard)
    began = time.monotonic()
    work.do(data)
    kill = -1
    print(seen, time.monotonic() - began, flush=True)
    os._exit(0)
"""


@dataclass(frozen=True)
class Work:
    """Something that may be killed.

    Attributes:
        do: The work.
        sound: Checks that what is there is whole.
        outcome: What the work leads to; the same after a kill and the work done again.
        load: Reads what is read in any case, so that kills hit the work.
    """

    do: Callable[[Path], Any]
    sound: Callable[[Path], None]
    outcome: Callable[[Path], Any]
    load: Callable[[Path], Any] = lambda data: Lake(data).batches()


def _csv(folder: Path, number: int) -> Path:
    path = folder / f"more-{number}.csv"
    rows = [
        f"2026-11-23T0{3 + n % 2}:{n % 60:02d}:00Z,op {n % 3},{number * 1000 + n}"
        for n in range(80)
    ]
    path.write_text("timestamp,operation,duration_ms\n" + "\n".join(rows) + "\n")
    return path


def _lands(data: Path) -> None:
    Lab(data).land(_csv(data.parent, 9))


def _samples(data: Path) -> list[int]:
    return sorted(Lab(data).samples().select("duration_ns").collect().to_series().to_list())


def _lake_is_sound(data: Path) -> None:
    lake = Lake(data)
    assert lake.samples().select("row_id").collect().to_series().is_unique().all()
    assert [finding for finding in verify(lake).findings if finding.harmful] == []


def _sums(data: Path) -> pl.DataFrame:
    refresh(Lake(data), window=QUARTER)
    return stored_sums(Lake(data), window=QUARTER)


def _first(lab: Lab) -> Any:
    return min(lab.suggestions(), key=lambda suggestion: suggestion.id)


def _decides(data: Path) -> None:
    lab = Lab(data)
    with contextlib.suppress(AlreadyDecidedError):
        lab.approve(_first(lab).id, reviewer="ada", notes="seen", output=data.parent / "out")


def _decision_is_whole(data: Path) -> None:
    suggestion = _first(Lab(data))
    assert suggestion.status in {"pending", "approved"}
    assert len(suggestion.approvals) == (suggestion.status == "approved")


def _decided(data: Path) -> Any:
    suggestion = _first(Lab(data))
    return suggestion.status, len(suggestion.approvals)


def _exports(data: Path) -> None:
    lab = Lab(data)
    lab.report(data.parent / "out", every="30s", light=True)
    lab.export(data.parent / "out" / "lab.zip", every="30s")
    step = GoldenStep(operation="GET /a", input={"a": 1}, output={"rows": ["x" * 100] * 200})
    cases = (GoldenCase(id="0a", name="GET /a", outcome="ok", steps=(step,)),)
    for path in ("golden/test_a.py", "golden/a.golden.test.ts"):
        output = data.parent / "out" / path
        settings = EmitSettings(framework=framework_of(output), runner_import="runner")
        emit(GoldenSuite(operation="GET /a", cases=cases), output, settings).write(output)


def _files_are_whole(data: Path) -> None:
    out = data.parent / "out"
    for path in sorted(out.rglob("*")) if out.exists() else ():
        if path.name.startswith("."):  # What a dead writer left.
            continue
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")
        elif path.suffix == ".py":
            compile(path.read_text(), path.name, "exec")
        elif path.suffix == ".zip":
            Lab.open_export(path).windows()


def _exported(data: Path) -> dict[str, bytes]:
    out = data.parent / "out"
    names = sorted(p for p in out.rglob("*") if p.is_file() and not p.name.startswith("."))
    return {
        path.relative_to(out).as_posix(): b""
        if path.suffix == ".zip"
        else path.read_bytes().replace(
            str(data.parent).encode(), b""
        )  # It says how to get it again.
        for path in names
    }


def _rolls_out(data: Path) -> None:
    registry = SpecExperimentRegistry.in_lab(data)
    (key,) = [each.definition.key for each in registry.list()]
    steps: list[Callable[[], Any]] = [
        lambda: registry.start(key, actor="ada"),
        lambda: registry.advance(key, 1, actor="ada", reason="calm"),
        lambda: registry.pause(key, actor="ada", reason="lunch"),
        lambda: registry.resume(key, actor="ada"),
        lambda: registry.roll_back(key, actor="ada", reason="errors"),
    ]
    for step in steps:
        with contextlib.suppress(ExperimentStateError):  # It was taken before the kill.
            step()


def _rollout_is_whole(data: Path) -> None:
    registry = SpecExperimentRegistry.in_lab(data)
    (each,) = registry.list()
    history = registry.history(each.definition.key)
    assert [entry.sequence for entry in history] == list(range(1, len(history) + 1))
    state = data / STATE_IN_FORCE
    for path in data.glob("*.json"):
        json.loads(path.read_bytes())
    if state.exists():
        read_state(state.read_bytes())


def _rolled_out(data: Path) -> Any:
    registry = SpecExperimentRegistry.in_lab(data)
    (each,) = registry.list()
    return each.status


WORK = {
    "land": Work(_lands, _lake_is_sound, _samples),
    "compact": Work(
        lambda data: compact(Lake(data), joined_rows=10_000, grace=timedelta(0)),
        _lake_is_sound,
        _samples,
    ),
    "refresh": Work(lambda data: refresh(Lake(data), window=QUARTER), _lake_is_sound, _sums),
    "decide": Work(_decides, _decision_is_whole, _decided),
    "export": Work(_exports, _files_are_whole, _exported),
    "roll out": Work(_rolls_out, _rollout_is_whole, _rolled_out),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with telemetry, suggestions, recorded calls and a draft of an experiment."""
    from evolution_lab.experiments import Binding, SpecExperiment

    folder = tmp_path_factory.mktemp("template")
    data = folder / "lab"
    lab = Lab(data, window="30s")
    lab.land(sample_path() / "spans.jsonl.gz")
    for number in range(4):
        lab.land(_csv(folder, number))
    lab.import_traffic(sample_path() / "traffic.har.zst")
    lab.suggest(every="30s")
    SpecExperimentRegistry.in_lab(data).register(
        SpecExperiment(
            key="try",
            operation="checkout",
            control=Binding(operation="checkout", version="1"),
            variant=Binding(operation="checkout", version="2"),
        ),
        actor="ada",
    )
    return folder


def _run(name: str, data: Path, kill: float | int) -> tuple[int, str]:
    program = textwrap.dedent(CHILD).format(
        folder=str(Path(__file__).parent), work=name, data=str(data), kill=kill
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr[-2000:]
    return done.returncode, done.stdout


def _same(what: str, outcome: Any, expected: Any) -> None:
    if isinstance(expected, pl.DataFrame):
        assert outcome.equals(expected), what
    elif isinstance(expected, dict):
        assert [name for name in expected if outcome.get(name) != expected[name]] == [], what
        assert outcome.keys() == expected.keys(), what
    else:
        assert outcome == expected, what


@pytest.mark.slow
@pytest.mark.parametrize("name", list(WORK))
def test_a_kill_at_any_step_loses_nothing_and_leaves_nothing_half(
    template: Path, tmp_path: Path, name: str
):
    most = 20 if name == "export" else 40  # Its report takes ten seconds each time.
    work, draw = WORK[name], random.Random(most)
    whole = tmp_path / "whole"
    shutil.copytree(template, whole)
    code, said = _run(name, whole / "lab", 0)
    assert code == 0
    steps, seconds = int(said.split()[0]), float(said.split()[1])
    expected = work.outcome(whole / "lab")
    chosen = draw.sample(range(1, steps + 1), min(steps, most // 2))
    killed = 0
    for number in range(3 * most):
        # Each step once; then moments, some of which come when the work is done.
        kill = chosen[number] if number < len(chosen) else draw.uniform(0.0, 0.9 * seconds)
        copy = tmp_path / f"kill-{number}"
        shutil.copytree(template, copy)
        code, _ = _run(name, copy / "lab", kill)
        killed += code == -signal.SIGKILL
        work.sound(copy / "lab")
        work.do(copy / "lab")
        work.sound(copy / "lab")
        _same(f"{name} killed at {kill}", work.outcome(copy / "lab"), expected)
        shutil.rmtree(copy)
        if killed == most:
            break
    assert killed == most
    print(f"{name}: {killed} kills, {steps} steps, {seconds:.2f} s")
