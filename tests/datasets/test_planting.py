from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.datasets import NULL_START, null_samples, plant
from evolution_lab.errors import InputError
from evolution_lab.schemas import SAMPLES, check

START, END = NULL_START + timedelta(hours=2), NULL_START + timedelta(hours=6)


@pytest.fixture(scope="module")
def quiet() -> pl.DataFrame:
    return null_samples(calls=200, windows=48, operations=2, seed=11)


def split(frame: pl.DataFrame, op_id: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that a fault of the operation touches, and all others."""
    hit = pl.col("timestamp").is_between(START, END, closed="left") & (pl.col("op_id") == op_id)
    return frame.filter(hit), frame.filter(~hit)


def test_only_the_operation_and_the_hours_named_change(quiet: pl.DataFrame) -> None:
    op_id = quiet["op_id"][0]
    faulty = plant(
        quiet,
        start=START,
        end=END,
        op_ids=[op_id],
        latency_factor=1.5,
        error_points=0.05,
        calls_factor=0.5,
        seed=3,
    )
    check(faulty, SAMPLES)
    (before, rest_before), (after, rest_after) = split(quiet, op_id), split(faulty, op_id)
    assert rest_before.equals(rest_after)
    assert after.height / before.height == pytest.approx(0.5, abs=0.03)
    both = after.join(before, on="row_id", suffix="_before")
    assert both.height == after.height
    slower = both["duration_ns"] / both["duration_ns_before"]
    assert slower.min() == pytest.approx(1.5) == slower.max()
    failed = after.filter(~pl.col("success"))
    assert failed["status_code"].unique().to_list() == [500]
    assert failed["error_code"].unique().to_list() == ["500"]


def test_error_rates_rise_by_the_points_asked_for(quiet: pl.DataFrame) -> None:
    before = (~quiet["success"]).mean()
    rises = [
        (
            ~plant(
                quiet, start=NULL_START, end=END + timedelta(days=1), error_points=0.05, seed=seed
            )["success"]
        ).mean()
        - before
        for seed in range(10)
    ]
    assert sum(rises) / len(rises) == pytest.approx(0.05, abs=0.002)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), order=st.integers(0, 1000))
def test_the_order_of_rows_changes_nothing(quiet: pl.DataFrame, seed: int, order: int) -> None:
    fault = {"start": START, "end": END, "error_points": 0.1, "calls_factor": 0.7, "seed": seed}
    shuffled = quiet.sample(fraction=1.0, shuffle=True, seed=order)
    assert plant(shuffled, **fault).sort("row_id").equals(plant(quiet, **fault).sort("row_id"))


def test_a_fault_without_effect_leaves_the_frame_as_it_is(quiet: pl.DataFrame) -> None:
    assert plant(quiet, start=START, end=END).equals(quiet)


def test_calls_can_stop_altogether(quiet: pl.DataFrame) -> None:
    stopped = plant(quiet, start=START, end=END, calls_factor=0.0)
    assert not stopped["timestamp"].is_between(START, END, closed="left").any()


def test_all_calls_can_fail(quiet: pl.DataFrame) -> None:
    broken = plant(quiet, start=START, end=END, error_points=1.0, error_code="Broken")
    hit = broken.filter(pl.col("timestamp").is_between(START, END, closed="left"))
    assert not hit["success"].any()
    assert (hit["error_code"] == "Broken").mean() > 0.95


def test_unrecorded_outcomes_and_statuses_stay_unrecorded(quiet: pl.DataFrame) -> None:
    unknown = quiet.with_columns(
        success=pl.lit(None, pl.Boolean),
        status_code=pl.lit(None, pl.Int32),
        error_code=pl.lit(None),
    ).cast({"error_code": pl.String})
    assert plant(unknown, start=START, end=END, error_points=0.5).equals(unknown)
    no_status = quiet.with_columns(status_code=pl.lit(None, pl.Int32))
    planted = plant(no_status, start=START, end=END, error_points=0.5)
    assert planted["status_code"].null_count() == planted.height
    assert (~planted["success"]).sum() > (~quiet["success"]).sum()


def test_no_row_in_the_hours_named_is_fine(quiet: pl.DataFrame) -> None:
    later = START + timedelta(days=9)
    assert plant(quiet, start=later, end=later + timedelta(hours=1), error_points=0.5).equals(quiet)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end": START}, "end comes after"),
        ({"start": START.replace(tzinfo=None)}, "need a zone"),
        ({"latency_factor": 0}, "latency_factor == 0"),
        ({"error_points": 5}, "error_points == 5"),
        ({"calls_factor": 1.2}, r"calls_factor == 1\.2"),
    ],
)
def test_arguments_out_of_range_are_refused(
    quiet: pl.DataFrame, change: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plant(quiet, **({"start": START, "end": END} | change))
