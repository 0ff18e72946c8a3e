"""Workflows: chains of operations that clients repeat more often than chance explains.

A support count alone proves nothing: shuffled traffic has nearly as many frequent chains as real
traffic. Each candidate chain (contiguous calls, repeats of one call collapsed) is therefore compared
with what two kinds of shuffling would give: within each sequence, which keeps what was called
together and breaks the order; and over all traffic, which keeps only how often each operation is
called. Both expectations have a closed form, so nothing is drawn at random:

- within: a sequence of ``L`` calls holds the chain at one place with probability
  ``prod(counts falling) / (L)_n``, over ``L - n + 1`` places;
- over all: ``(L - n + 1) * prod(frequencies)``.

Sequences are independent, so the support is a sum of independent indicators; its upper tail is
bounded by Chernoff's inequality for Poisson trials (Mitzenmacher & Upfal 2005, Theorem 4.4). The
larger of the two p-values is multiplied by the number of chains of that length that could be formed
(Bonferroni: family-wise over everything looked at). A chain must also be more than a shorter one that
an unrelated call happened to precede or follow. Only maximal chains are returned, and none whose
neighbouring steps call each other: that is one service's implementation, not a client's workflow.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy
from scipy import sparse

from evolution_lab.records import OperationRef, Workflow
from evolution_lab.schemas import EDGES, SEQUENCES, check

Chain = tuple[int, ...]

LEVEL: Final = 0.05
LONGEST: Final = 6
SMALLEST_SUPPORT: Final = 5
SMALLEST_SHARE: Final = 0.005
MOST_SHOWN: Final = 50
"""Workflows returned of each basis, the strongest: nobody reads more."""
_MOST_CANDIDATES: Final = 500
_ABSORBED: Final = 0.8
"""A chain is left out when a longer one holds it and has at least this share of its support."""


@dataclass(frozen=True, eq=False)
class _Sequences:
    """Collapsed sequences of one basis, step after step.

    Attributes:
        codes: Operation of each step.
        which: Sequence of each step.
        starts: Start of each step, ns.
        ends: End of each step, ns.
        failed: 1 where a step failed, 0 where it succeeded, -1 where nothing says.
        tenants: Tenant of each step.
        count: How many sequences there are.
    """

    codes: npt.NDArray[np.int64]
    which: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    failed: npt.NDArray[np.int8]
    tenants: pl.Series
    count: int

    def __len__(self) -> int:
        return self.count

    def runs_of(self, chain: Chain) -> npt.NDArray[np.int64]:
        """Return where runs of a chain begin, found step by step."""
        n = len(chain)
        places = np.nonzero(self.codes[: len(self.codes) - n + 1] == chain[0])[0]
        for i, code in enumerate(chain[1:], start=1):
            places = places[self.codes[places + i] == code]
        runs: npt.NDArray[np.int64] = places[self.which[places] == self.which[places + n - 1]]
        return runs


def find_workflows(
    sequences: pl.DataFrame,
    *,
    edges: pl.DataFrame,
    operations: Mapping[int, OperationRef],
    min_length: int = 3,
) -> tuple[Workflow, ...]:
    """Return significant maximal chains, strongest first.

    Args:
        sequences: A ``SEQUENCES`` frame.
        edges: An ``EDGES`` frame; chains that follow an edge are not client workflows.
        operations: What each op_id is; versions of one operation count as one step.
        min_length: Steps of a chain worth showing.

    Raises:
        FrameContractError: A frame breaks its contract.
    """
    check(sequences, SEQUENCES)
    check(edges, EDGES)
    names = sorted({_step(operations[i]) for i in operations}, key=lambda o: o.sort_key)
    code_of = {name: code for code, name in enumerate(names)}
    codes = pl.DataFrame(
        {
            "op_id": pl.Series(list(operations), dtype=pl.Int64),
            "code": pl.Series([code_of[_step(o)] for o in operations.values()], dtype=pl.Int64),
        }
    )
    calls = {
        (code_of[_step(operations[a])], code_of[_step(operations[b])])
        for a, b in edges.select("caller_op_id", "callee_op_id").iter_rows()
        if a in operations and b in operations
    }
    found: list[Workflow] = []
    bases: tuple[Literal["session", "trace"], ...] = ("session", "trace")
    for basis in bases:
        own = _collapsed(sequences.filter(pl.col("basis") == basis), codes)
        if len(own):
            chains = _significant(own, len(names), min_length=min_length, calls=calls)
            strongest = sorted(
                chains, key=lambda item: (item[1].p_value, -item[1].support, item[0])
            )
            shown = strongest[:MOST_SHOWN]
            labels = chain_labels(own, [chain for chain, _ in shown])
            found += [
                _workflow(own, chain, numbers, names, basis, label)
                for (chain, numbers), label in zip(shown, labels, strict=True)
            ]
    return tuple(sorted(found, key=lambda w: (w.p_value, -w.support, w.id)))


def _step(operation: OperationRef) -> OperationRef:
    return OperationRef(operation.key, service=operation.service)


def _collapsed(sequences: pl.DataFrame, codes: pl.DataFrame) -> _Sequences:
    rows = (
        sequences.join(codes, on="op_id", how="inner")
        .sort("sequence_id", "position")
        .filter(
            (pl.col("code") != pl.col("code").shift(1).over("sequence_id")).fill_null(value=True)
        )
    )
    starts = rows["timestamp"].dt.timestamp("us").to_numpy().astype(np.int64) * 1000
    which = rows["sequence_id"].rle_id().cast(pl.Int64)
    return _Sequences(
        codes=rows["code"].to_numpy(),
        which=which.to_numpy(),
        starts=starts,
        ends=starts + rows["duration_ns"].to_numpy(),
        failed=(~rows["success"]).cast(pl.Int8).fill_null(-1).to_numpy(),
        tenants=rows["tenant_id"],
        count=rows["sequence_id"].n_unique(),
    )


@dataclass(frozen=True)
class _Numbers:
    support: int
    expected: float
    p_value: float


def _significant(
    sequences: _Sequences, alphabet: int, *, min_length: int, calls: set[tuple[int, int]]
) -> list[tuple[Chain, _Numbers]]:
    smallest = max(SMALLEST_SUPPORT, math.ceil(SMALLEST_SHARE * len(sequences)))
    lengths = np.bincount(sequences.which, minlength=len(sequences)).astype(np.float64)
    table = sparse.coo_array(
        (np.ones(len(sequences.codes)), (sequences.which, sequences.codes)),
        shape=(len(sequences), alphabet),
    ).tocsc()
    shares = np.asarray(table.sum(axis=0)).ravel() / len(sequences.codes)
    kept: list[tuple[Chain, _Numbers]] = []
    support = _supports(sequences, min_length - 1)
    for n in range(min_length, LONGEST + 1):
        shorter, support = support, _supports(sequences, n)
        frequent = sorted(
            ((c, s) for c, s in support.items() if s >= smallest),
            key=lambda item: (-item[1], item[0]),
        )
        for chain, seen in frequent[:_MOST_CANDIDATES]:
            if any(pair in calls for pair in itertools.pairwise(chain)):
                continue
            overall = np.maximum(lengths - n + 1, 0.0) * math.prod(shares[list(chain)])
            expected = max(
                _expected_within(chain, table, lengths),
                float(np.minimum(overall, 1.0).sum()),
                _expected_by_extension(chain, shorter, shares),
            )
            p_value = min(_chernoff(seen, expected) * float(alphabet) ** n, 1.0)
            if p_value <= LEVEL:
                kept.append((chain, _Numbers(seen, expected, p_value)))
    return _maximal(kept)


def _supports(sequences: _Sequences, n: int) -> Counter[Chain]:
    """Count in how many sequences each contiguous chain of ``n`` distinct steps occurs."""
    codes, which = sequences.codes, sequences.which
    if len(codes) < n:
        return Counter()
    grams = np.lib.stride_tricks.sliding_window_view(codes, n)
    inside = which[: len(grams)] == which[n - 1 :]
    distinct = np.ones(len(grams), dtype=bool)
    for i in range(n):
        for j in range(i):
            distinct &= grams[:, i] != grams[:, j]
    used = inside & distinct
    steps = [f"step{i}" for i in range(n)]
    table = pl.DataFrame(
        {
            "which": which[: len(grams)][used],
            **{step: grams[used, i] for i, step in enumerate(steps)},
        }
    )
    counts = table.unique().group_by(steps).len()
    return Counter({row[:-1]: row[-1] for row in counts.iter_rows()})


def _expected_within(
    chain: Chain, table: sparse.csc_array, lengths: npt.NDArray[np.float64]
) -> float:
    """Return the support expected when the calls of each sequence are shuffled.

    Only sequences that have all steps count; few have, so their counts are kept sparse.
    """
    n = len(chain)
    columns = [slice(table.indptr[code], table.indptr[code + 1]) for code in chain]
    rows = functools.reduce(
        lambda left, right: np.intersect1d(left, right, assume_unique=True),
        (table.indices[column] for column in columns),
    )
    ways = np.ones(len(rows))
    for column in columns:
        ways *= table.data[column][np.searchsorted(table.indices[column], rows)]
    length = lengths[rows]
    orders = np.prod([np.maximum(length - i, 1.0) for i in range(n)], axis=0)
    expected = np.where(length >= n, (length - n + 1) * ways / orders, 0.0)
    return float(np.minimum(expected, 1.0).sum())


def _expected_by_extension(
    chain: Chain, shorter: Mapping[Chain, int], shares: npt.NDArray[np.float64]
) -> float:
    """Return the support expected when the first or last step only happens to stand beside the rest.

    Without this every chain would be reported once more with each call that may come before it.
    """
    return max(
        shorter.get(chain[1:], 0) * float(shares[chain[0]]),
        shorter.get(chain[:-1], 0) * float(shares[chain[-1]]),
    )


def _chernoff(seen: int, expected: float) -> float:
    """Bound P(X >= seen) for a sum of independent indicators with this mean.

    Examples:
        >>> _chernoff(5, 10.0)
        1.0
        >>> _chernoff(40, 10.0) < 1e-10
        True
    """
    if seen <= expected:
        return 1.0
    mean = max(expected, 1e-9)
    return math.exp(max(seen - mean - seen * math.log(seen / mean), -690.0))


def chain_labels(sequences: _Sequences, chains: Sequence[Chain]) -> list[Literal["chain", "path"]]:
    """Say of each chain whether it is more than its pairwise links.

    If only the present call decides the next one (a Markov chain of order 1), then among the ``N(b)``
    calls of ``b`` those that came by ``… a`` and those that go on to ``c`` are independent: how many
    do both is hypergeometric, whatever the links' own probabilities are. A chain is a ``chain`` where
    some step follows the steps before it more often than that (Holm's method would gain little over
    Bonferroni here: over all steps of all chains); it is a ``path`` otherwise.
    """
    tests = max(sum(len(chain) - 2 for chain in chains), 1)
    counts = np.bincount(sequences.codes) if len(sequences.codes) else np.zeros(1, np.int64)
    labels: list[Literal["chain", "path"]] = []
    for chain in chains:
        smallest = 1.0
        came = len(sequences.runs_of(chain[:2]))
        for k in range(2, len(chain)):
            both = len(sequences.runs_of(chain[: k + 1]))
            on = len(sequences.runs_of(chain[k - 1 : k + 1]))
            p_value = scipy.stats.hypergeom.sf(both - 1, int(counts[chain[k - 1]]), came, on)
            smallest, came = min(smallest, float(p_value)), both
        labels.append("chain" if smallest * tests <= LEVEL else "path")
    return labels


def _maximal(found: Sequence[tuple[Chain, _Numbers]]) -> list[tuple[Chain, _Numbers]]:
    """Leave out chains that a longer one with nearly the same support holds."""
    return [
        (chain, numbers)
        for chain, numbers in found
        if not any(
            len(longer) > len(chain)
            and _holds(longer, chain)
            and other.support >= _ABSORBED * numbers.support
            for longer, other in found
        )
    ]


def _holds(longer: Chain, chain: Chain) -> bool:
    n = len(chain)
    return any(longer[i : i + n] == chain for i in range(len(longer) - n + 1))


def _workflow(
    sequences: _Sequences,
    chain: Chain,
    numbers: _Numbers,
    names: Sequence[OperationRef],
    basis: Literal["trace", "session"],
    label: Literal["chain", "path"],
) -> Workflow:
    """Describe a chain by the runs of it: gaps, failures, duration, tenants."""
    n = len(chain)
    runs = sequences.runs_of(chain)
    starts, ends = sequences.starts, sequences.ends
    gaps = np.concatenate([starts[runs + i + 1] - starts[runs + i] for i in range(n - 1)])
    spans = np.max([ends[runs + i] for i in range(n)], axis=0) - starts[runs]
    outcomes = np.stack([sequences.failed[runs + i] for i in range(n)])
    known = outcomes[:, (outcomes >= 0).all(axis=0)]
    tenants = Counter(t for t in sequences.tenants.gather(runs).to_list() if t is not None)
    ranked = sorted(tenants.items(), key=lambda item: (-item[1], item[0]))
    steps = tuple(names[code] for code in chain)
    text = "\x1f".join([basis, *(f"{s.service or ''}\x1e{s.key}" for s in steps)])
    return Workflow(
        id=hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest(),
        basis=basis,
        steps=steps,
        support=numbers.support,
        sequences=len(sequences),
        expected=numbers.expected,
        lift=numbers.support / max(numbers.expected, 1e-9),
        p_value=numbers.p_value,
        label=label,
        median_gap_ns=int(np.median(gaps)),
        error_rate=float((known > 0).any(axis=0).mean()) if known.shape[1] else None,
        duration_p50_ns=int(np.median(spans)),
        tenants=tuple(name for name, _ in ranked[:10]),
    )
