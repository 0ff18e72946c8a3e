"""Chains beyond their pairwise links, and paths that the links explain."""

from __future__ import annotations

import numpy as np

from evolution_lab.bench.workflows import OPERATIONS, _code, _find, _markov, _planted


def test_a_planted_chain_is_found_exactly_and_called_a_chain():
    rows, chain = _planted(np.random.default_rng(1), 4, 0.03, 0.2)
    (found,) = _find(rows)
    assert [_code(step) for step in found.steps] == chain
    assert found.label == "chain"
    assert found.tenants == ("acme",)


def test_strong_links_alone_make_paths():
    """a > b > c where b always follows a and c always follows b, whatever came before."""
    rng = np.random.default_rng(2)
    rows = []
    for _ in range(2_000):
        row = rng.choice(np.arange(3, OPERATIONS), 6).tolist()
        if rng.random() < 0.2:
            row += [0, 1, 2]
        rows.append(row)
    (found,) = _find(rows)
    assert [_code(step) for step in found.steps] == [0, 1, 2]
    assert found.label == "path"


def test_markov_traffic_holds_no_chain():
    found = [w for seed in range(3) for w in _find(_markov(np.random.default_rng(seed)))]
    assert all(workflow.label == "path" for workflow in found)
