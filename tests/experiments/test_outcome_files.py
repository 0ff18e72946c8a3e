"""Files of outcomes: added by many processes, joined, read meanwhile, and counted once each."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.errors import CorruptFileError, FormatVersionError
from evolution_lab.experiments import Binding, SpecExperiment
from evolution_lab.experiments.outcome_files import (
    OutcomeWriter,
    counted_in,
    merged_counts,
    outcomes_folder,
)
from evolution_lab.experiments.tallies import added, counts_of, tallies

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ARM = {"operation": "checkout"}
EXPERIMENT = SpecExperiment(
    key="try:it",
    operation="checkout",
    control=Binding(version="1", **ARM),
    variant=Binding(version="2", **ARM),
)


def a_row(unit: int, requests: int = 1):
    return (0, unit % 2, unit, requests, 0, 0, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), min_size=1, max_size=60))
def test_whatever_is_joined_the_counts_are_those_of_one_pass(tmp_path_factory, flushes) -> None:
    data = tmp_path_factory.mktemp("lab")
    folder = outcomes_folder(data, EXPERIMENT)
    writers = [OutcomeWriter(folder, f"{k:016x}") for k in range(3)]
    every = []
    for number, (writer, units) in enumerate(flushes):
        table = tallies(a_row(unit) for unit in range(1, units + 1))
        every.append(table)
        writers[writer].add(table, NOW + timedelta(seconds=number))
    found = merged_counts(data, EXPERIMENT)
    assert found.counts == counts_of(EXPERIMENT, added(every))
    assert found.newest == NOW + timedelta(seconds=len(flushes) - 1)
    assert len(list(folder.iterdir())) <= 3 * 8
    shutil.rmtree(data)


def test_files_stay_few(tmp_path) -> None:
    folder = outcomes_folder(tmp_path, EXPERIMENT)
    writer = OutcomeWriter(folder, "0" * 16)
    for number in range(200):  # New units at each flush: nothing grows smaller by joining.
        writer.add(tallies(a_row(7 * number + k) for k in range(1, 8)), NOW)
    assert len(list(folder.iterdir())) <= 10
    assert merged_counts(tmp_path, EXPERIMENT).counts.stages[0].variant.units == 700


def test_what_another_file_covers_is_left_out(tmp_path, monkeypatch) -> None:
    """A writer that dies between publishing the joined file and deleting the others."""
    folder = outcomes_folder(tmp_path, EXPERIMENT)
    writer = OutcomeWriter(folder, "0" * 16)
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.unlink", lambda *_, **__: None)
        for _ in range(3):
            writer.add(tallies([a_row(1)]), NOW)
    assert len(list(folder.glob("*.tallies"))) == 5
    assert merged_counts(tmp_path, EXPERIMENT).counts.stages[0].variant.requests == 3


def test_a_flush_that_failed_late_is_not_added_twice(tmp_path, monkeypatch) -> None:
    folder = outcomes_folder(tmp_path, EXPERIMENT)
    writer = OutcomeWriter(folder, "0" * 16)

    def fails(folder):
        raise OSError("no space")

    with monkeypatch.context() as patched:
        patched.setattr("evolution_lab.telemetry.publishing.sync_folder", fails)
        folder.mkdir(parents=True)
        with pytest.raises(OSError, match="no space"):
            writer.add(tallies([a_row(1)]), NOW)
    writer.add(tallies([a_row(1), a_row(3)]), NOW)  # What failed comes again, with more.
    assert merged_counts(tmp_path, EXPERIMENT).counts.stages[0].variant.requests == 2


def test_nothing_counted_is_no_counts(tmp_path) -> None:
    found = counted_in(tmp_path)(EXPERIMENT)
    assert found.newest is None
    assert [stage.share for stage in found.counts.stages] == [0.01, 0.1, 0.5, 1.0]


def test_other_files_and_other_versions_are_left_alone(tmp_path) -> None:
    folder = outcomes_folder(tmp_path, EXPERIMENT)
    OutcomeWriter(folder, "0" * 16).add(tallies([a_row(1)]), NOW)
    (folder / ".0000-tallies.tmp").write_bytes(b"half")
    (folder / "README").write_text("Notes.")
    assert merged_counts(tmp_path, EXPERIMENT).counts.stages[0].variant.requests == 1


@pytest.mark.parametrize("spoil", ["short", "head", "rows", "version", "long"])
def test_spoilt_files_are_told(tmp_path, spoil: str) -> None:
    folder = outcomes_folder(tmp_path, EXPERIMENT)
    OutcomeWriter(folder, "0" * 16).add(tallies([a_row(1)]), NOW)
    (path,) = folder.iterdir()
    head, body = path.read_bytes().split(b"\n", 1)
    said = json.loads(head)
    if spoil == "short":
        body = body[:-3]
    elif spoil == "head":
        said = ["no", "object"]
    elif spoil == "rows":
        said["rows"] = 2
    elif spoil == "long":
        said["rows"] = 0
    else:
        said["formatVersion"] = 2
    path.write_bytes(json.dumps(said).encode() + b"\n" + body)
    with pytest.raises(FormatVersionError if spoil == "version" else CorruptFileError):
        merged_counts(tmp_path, EXPERIMENT)
