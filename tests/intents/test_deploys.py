"""Deployments: blamed for harm, at any look, and never for a change of the traffic's mix."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from evolution_lab.bench.deploys import BEFORE, FIRST, WINDOW, _draw, _simulate
from evolution_lab.errors import InputError, TimeZoneRequiredError
from evolution_lab.intents.deploys import (
    Deployment,
    e_value,
    implied_deployments,
    judge_deployments,
    read_deployments,
    store_deployment,
)

DEPLOYED = FIRST + WINDOW * BEFORE


def verdicts(samples, **options):
    return judge_deployments(
        samples.lazy(), implied_deployments(samples.lazy()), window=WINDOW, **options
    ).verdicts


def test_versions_imply_deployments_but_the_first_one():
    samples = _draw(np.random.default_rng(1), None, None, shifted=False)
    assert [d.version for d in implied_deployments(samples.lazy())] == ["1.1", "1.2"]


@pytest.mark.parametrize("guilty", ["1.1", "1.2"])
@pytest.mark.parametrize("effect", [("errors", 0.15), ("latency", 2.0)])
def test_the_guilty_version_is_blamed_first(guilty: str, effect: tuple[str, float]):
    blamed = _simulate(np.random.default_rng(3), effect, guilty, shifted=True, step=8)
    assert blamed[0] == guilty


def test_a_change_of_mix_is_told_from_harm():
    samples = _draw(np.random.default_rng(4), None, None, shifted=True)
    first, second = verdicts(samples)
    assert first.verdict == "cannot-separate"
    assert first.crude_e_value > 20 > first.e_value
    assert "explains it" in first.sentence
    assert second.verdict in {"not-blamed", "cannot-separate"}


def test_harmless_deployments_are_not_blamed_at_any_look():
    for seed in range(12):
        rng = np.random.default_rng([7, seed])
        assert _simulate(rng, None, None, shifted=False, step=8) == []


def test_too_few_calls_say_nothing():
    samples = _draw(np.random.default_rng(1), None, None, shifted=False)
    soon = DEPLOYED + timedelta(seconds=1)
    (found, *_) = verdicts(samples, as_of=soon)
    assert (found.verdict, found.e_value) in {("too-little", 1.0), ("not-blamed", found.e_value)}
    (none,) = judge_deployments(
        samples.lazy(), [Deployment(service="mail", version="9", at=DEPLOYED)], window=WINDOW
    ).verdicts
    assert none.verdict == "too-little"


def test_the_evidence_is_a_martingale_on_average():
    """Under no change the mean e-value is 1, so that it passes 20 in at most a twentieth."""
    rng = np.random.default_rng(11)
    values = []
    for _ in range(4_000):
        p = rng.beta(10.5, 990.5)
        counts = {"n_old": 1000, "x_old": 10, "n_new": 100, "x_new": rng.binomial(100, p)}
        values.append(e_value({name: np.array([float(v)]) for name, v in counts.items()}))
    assert 0.5 < np.mean(values) < 1.3  # Its tail is heavy: the mean of a sample wanders.
    assert np.mean(np.array(values) >= 20) <= 0.05


def test_telling_twice_tells_once(tmp_path):
    at = datetime(2025, 3, 4, 12, tzinfo=UTC)
    for _ in range(2):
        store_deployment(tmp_path, service="shop", version="2.0", at=at)
    store_deployment(tmp_path, service=None, version="2.0", at=at)
    assert [(d.service, d.at) for d in read_deployments(tmp_path)] == [(None, at), ("shop", at)]
    with pytest.raises(TimeZoneRequiredError):
        store_deployment(tmp_path, service=None, version="1", at=datetime(2025, 3, 4))  # noqa: DTZ001
    with pytest.raises(InputError):
        store_deployment(tmp_path, service=None, version=" ", at=at)
