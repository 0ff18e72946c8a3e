"""Tail probabilities against exact sums and against scipy where it can."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evolution_lab.intents.tails import (
    beta_binomial_upper,
    cauchy_tail,
    cauchy_terms,
    negative_binomial_lower,
)


def upper(x: float, n: float, share: float, correlation: float) -> float:
    arrays = (np.array([float(v)]) for v in (x, n, share, correlation))
    return float(beta_binomial_upper(*arrays)[0])


def exact_upper(x: int, n: int, a: Fraction, b: Fraction) -> Fraction:
    """P(X >= x) by exact fractions."""

    def rising(base: Fraction, k: int) -> Fraction:
        return math.prod((base + i for i in range(k)), start=Fraction(1))

    return sum(
        (math.comb(n, k) * rising(a, k) * rising(b, n - k) for k in range(x, n + 1)),
        start=Fraction(0),
    ) / rising(a + b, n)


@pytest.mark.parametrize(("x", "n"), [(9, 20), (12, 20), (20, 20), (5, 9), (40, 60)])
def test_the_tail_is_exact_far_below_what_subtraction_gives(x: int, n: int):
    a, b = Fraction(3), Fraction(57)
    correlation = 1 / float(a + b + 1)
    expected = float(exact_upper(x, n, a, b))
    assert upper(x, n, float(a / (a + b)), correlation) == pytest.approx(expected, rel=1e-9)


@given(
    n=st.integers(1, 400),
    share=st.floats(0.001, 0.9),
    correlation=st.floats(0.001, 0.5),
    data=st.data(),
)
def test_the_tail_is_a_probability_and_falls_with_the_count(
    n: int, share: float, correlation: float, data: st.DataObject
):
    x = data.draw(st.integers(0, n - 1))
    here, next_one = upper(x, n, share, correlation), upper(x + 1, n, share, correlation)
    assert 0.0 < next_one <= 1.0
    # Around the mean a normal curve stands in; there the two forms may meet a little out of step.
    assert next_one <= here or here > 0.05


@given(n=st.integers(30, 300), share=st.floats(0.05, 0.6), correlation=st.floats(0.001, 0.1))
def test_surprising_counts_agree_with_scipy(n: int, share: float, correlation: float):
    size = 1 / correlation - 1
    law = stats.betabinom(n, share * size, (1 - share) * size)
    x = min(int(law.mean() + 2.5 * law.std()) + 1, n)
    assert upper(x, n, share, correlation) == pytest.approx(
        float(law.sf(x - 1)), rel=1e-6, abs=1e-12
    )


def test_a_very_large_window_uses_the_beta_limit():
    limit = stats.beta.sf(0.3, 0.1 * 99, 0.9 * 99)
    assert upper(30_000, 100_000, 0.1, 0.01) == pytest.approx(limit, rel=0.01)


@given(mean=st.floats(0.1, 500), dispersion=st.floats(0.001, 5), x=st.integers(0, 400))
def test_negative_binomial_agrees_with_scipy(mean: float, dispersion: float, x: int):
    size = 1 / dispersion
    expected = float(stats.nbinom.cdf(x, size, size / (size + mean)))
    arrays = (np.array([float(v)]) for v in (x, mean, dispersion))
    assert float(negative_binomial_lower(*arrays)[0]) == pytest.approx(
        expected, rel=1e-6, abs=1e-290
    )


@given(p=st.floats(1e-12, 0.4))
def test_one_p_value_combined_with_itself_is_itself(p: float):
    terms = cauchy_terms(np.array([p, p, p]))
    assert cauchy_tail(float(terms.mean())) == pytest.approx(p, rel=1e-6)


def test_combination_holds_its_level_under_any_dependence():
    rng = np.random.default_rng(5)
    shared = rng.normal(size=(20_000, 1))
    for weight in (0.0, 0.5, 0.95):
        noise = rng.normal(size=(20_000, 20))
        p = stats.norm.sf(math.sqrt(weight) * shared + math.sqrt(1 - weight) * noise)
        combined = [cauchy_tail(float(row.mean())) for row in cauchy_terms(p)]
        assert (
            np.mean(np.array(combined) < 0.01) < 0.015
        )  # slightly above its level where dependence is moderate
