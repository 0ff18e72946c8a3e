"""The measurement of recording measures what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolution_lab.bench import golden_recording


def test_fills_a_lake_and_reads_one_operation_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden_recording, "_BASE", 200)
    found = golden_recording.fill(str(tmp_path), 1_000)
    assert (found["snapshots"], found["read_back"]) == (1_000, 25)
    assert found["peak_mb"] >= found["base_mb"] > 0


def test_measures_calls_of_both_kinds() -> None:
    unsampled = golden_recording._unsampled(200)
    sampled = golden_recording._sampled(50)
    assert 0 < min(unsampled) < min(sampled)
