"""Hours and days of a lab, and what other machines wrote of theirs."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.cli import main
from evolution_lab.datasets import null_samples
from evolution_lab.errors import EmptyLakeError, FrameContractError
from evolution_lab.lab import Lab
from evolution_lab.windows import aggregate

EXACT = ["operation_key", "window_start", "calls", "errors", "sum_ns", "max_ns"]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> list[Lab]:
    """Two machines that saw every other call."""
    samples = null_samples(calls=40, windows=60, seed=5)
    folder = tmp_path_factory.mktemp("machines")
    labs = []
    for number in range(2):
        lab = Lab(folder / f"machine {number}", window="1m")
        lab.land(samples.gather_every(2, number))
        labs.append(lab)
    return labs


def test_machines_merged_are_the_calls_of_all(machines: list[Lab], tmp_path: Path):
    one, other = machines
    file = tmp_path / "other.parquet"
    command = ["windows", "--data", str(other.data), "--from-bins", "--every", "30m"]
    assert main([*command, "--output", str(file)]) == 0
    merged = one.roll_up(every="1h", merge=[file])
    again = other.roll_up(every="1h", merge=[_written(one, tmp_path / "one.parquet")])
    assert merged.equals(again)
    assert merged.equals(Lab(tmp_path / "none").roll_up(merge=[tmp_path / "one.parquet", file]))
    both = pl.concat([one.samples(), other.samples()])
    exact = aggregate(both, window=timedelta(hours=1)).filter(pl.col("calls") > 0)
    assert merged.filter(pl.col("calls") > 0)["calls"].to_list() == exact["calls"].to_list()
    assert merged["max_ns"].drop_nulls().to_list() == exact["max_ns"].to_list()


def test_one_operation_of_all_machines(machines: list[Lab], tmp_path: Path):
    one, other = machines
    file = _written(other, tmp_path / "other.parquet")
    key = one.roll_up()["operation_key"][0]
    merged = one.roll_up(operation=key, merge=[file])
    assert set(merged["operation_key"]) == {key}
    assert merged["calls"].sum() == sum(
        lab.roll_up(operation=key)["calls"].sum() for lab in machines
    )


def test_the_command_prints_hours_without_histograms(
    machines: list[Lab], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = _written(machines[1], tmp_path / "other.parquet")
    command = ["windows", "--data", str(machines[0].data), "--merge", str(file)]
    assert main([*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sum(row["calls"] for row in rows) == sum(
        lab.samples().collect().height for lab in machines
    )
    assert "latency_bins" not in rows[0]
    assert main([*command, "--output", str(tmp_path / "hours.csv")]) == 0
    assert main([*command, "--merge", str(file)]) == 2
    assert "would count twice" in capsys.readouterr().err


@pytest.mark.slow
def test_a_handed_on_lab_has_its_hours_too(machines: list[Lab], tmp_path: Path):
    opened = Lab.open_export(machines[0].export(tmp_path / "shop.lab.zip"))
    hours = opened.roll_up(every="1h")
    assert hours.select(EXACT).equals(machines[0].roll_up(every="1h").select(EXACT))


def test_refuses_what_is_no_state_of_a_roll_up(machines: list[Lab], tmp_path: Path):
    plain = tmp_path / "plain.parquet"
    machines[1].windows().write_parquet(plain)
    with pytest.raises(FrameContractError, match=r"no latency_bins.*--from-bins --output"):
        machines[0].roll_up(merge=[plain])
    pl.DataFrame({"a": [1]}).write_parquet(plain)
    with pytest.raises(FrameContractError):
        machines[0].roll_up(operation="x", merge=[plain])
    with pytest.raises(EmptyLakeError):
        Lab(tmp_path / "none").roll_up()


def _written(lab: Lab, file: Path) -> Path:
    lab.roll_up(every="30m").write_parquet(file)
    return file
