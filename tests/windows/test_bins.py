from __future__ import annotations

from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.schemas import LATENCY_BINS
from evolution_lab.windows import merge_bins
from evolution_lab.windows.bins import ZERO_BIN, bin_bounds, bin_edges, bin_of, bin_value, histogram

GAMMA = Fraction(101, 99)
durations = st.one_of(st.integers(0, 200), st.integers(0, 2**63 - 1))


def bins(values: list[int]) -> list[int]:
    frame = pl.DataFrame({"d": values}, schema={"d": pl.Int64})
    return frame.select(bin=bin_of(pl.col("d")))["bin"].to_list()


@settings(max_examples=200, deadline=None)
@given(duration=durations)
def test_a_bins_value_is_within_one_percent_of_what_it_holds(duration):
    (index,) = bins([duration])
    if duration == 0:
        assert index == ZERO_BIN
    assert abs(bin_value(index) - duration) <= duration * (0.01 + 1e-12)
    lower, upper = bin_bounds(index)
    assert lower * (1 - 1e-12) <= duration <= upper * (1 + 1e-12)


def test_edges_are_the_powers_of_gamma_in_exact_arithmetic():
    for index in (0, 1, 34, 35, 691, 1_000, 2_000):
        edge = bin_edges()[index]
        assert edge <= GAMMA**index < edge + 1
    # Where a bin holds a duration at all, its largest one lies in it and the next one does not.
    some = [bin_edges()[index] for index in (35, 400, 691, 1_500, 2_183)]
    assert bins(some) == [35, 400, 691, 1_500, 2_183]
    assert bins([edge + 1 for edge in some]) == [next_bin(edge + 1) for edge in some]
    assert bins([2**63 - 1]) == [len(bin_edges()) - 1]


def next_bin(duration: int) -> int:
    """ceil(log(duration) / log(gamma)), searched in exact arithmetic."""
    index, power = 0, Fraction(1)
    while power < duration:
        index, power = index + 1, power * GAMMA
    return index


@settings(max_examples=40, deadline=None)
@given(values=st.lists(durations, min_size=1, max_size=60), seed=st.integers(0, 999))
def test_parts_merged_in_any_order_are_the_histogram_of_the_whole(values, seed):
    rows = pl.DataFrame({"op": 1, "duration_ns": pl.Series(values, dtype=pl.Int64)})
    part = pl.Series([hash((seed, place)) % 4 for place in range(len(values))])
    parts = histogram(rows.with_columns(part=part).lazy(), ["op", "part"]).collect()
    shuffled = parts.sample(fraction=1.0, shuffle=True, seed=seed)
    whole = histogram(rows.lazy(), ["op"]).collect()
    assert merge_bins(shuffled, ["op"]).equals(whole)
    assert sum(b["count"] for b in whole["latency_bins"][0]) == len(values)
    assert whole["latency_bins"].dtype == LATENCY_BINS


def test_windows_without_calls_add_nothing():
    frame = pl.DataFrame(
        {"op": [1, 1, 2], "latency_bins": [[{"bin": 5, "count": 2}], None, None]},
        schema_overrides={"latency_bins": LATENCY_BINS},
    )
    assert merge_bins(frame, ["op"]).rows() == [(1, [{"bin": 5, "count": 2}])]


@pytest.mark.parametrize("duration", [1, 1_000, 750_000_000])
def test_the_log_formula_gives_the_same_bin(duration):
    assert bins([duration]) == [next_bin(duration)]
