from __future__ import annotations

import math

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.windows.quantiles import quantiles_of_groups


@settings(max_examples=100, deadline=None)
@given(
    groups=st.lists(
        st.lists(st.integers(0, 2**62), min_size=1, max_size=30), min_size=1, max_size=5
    ),
    level=st.floats(0, 1),
)
def test_a_quantile_is_the_formula_to_the_last_bit(groups, level):
    groups = [sorted(group) for group in groups]
    values = pl.Series([v for group in groups for v in group], dtype=pl.Int64)
    counts = pl.Series([len(group) for group in groups], dtype=pl.Int64)
    expected = []
    for v in groups:
        h = (len(v) - 1) * level
        low = math.floor(h)
        below, above = float(v[low]), float(v[min(low + 1, len(v) - 1)])
        expected.append(below + (above - below) * (h - low))
    assert quantiles_of_groups(values, counts, {"q": level})["q"].to_list() == expected


def test_it_agrees_with_numpy_but_for_rounding():
    values = np.sort(np.random.default_rng(3).lognormal(17, 1, 1_001).astype(np.int64))
    ours = quantiles_of_groups(pl.Series(values), pl.Series([1_001]))
    theirs = np.quantile(values, [0.5, 0.95, 0.99])
    np.testing.assert_allclose(ours.row(0), theirs, rtol=1e-12)
