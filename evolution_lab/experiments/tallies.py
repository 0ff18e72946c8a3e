"""What units did, as rows that add up: one a stage, arm and unit, whichever process served it.

A unit that several processes serve is one unit: it is found in several tables under the same number,
and its rows are added before anything is counted. Where requests are the units, all of an arm share
one row, number 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from evolution_lab.errors import CorruptFileError
from evolution_lab.experiments.counters import ArmCounts, RolloutCounts, StageCounts
from evolution_lab.experiments.definition import Arm, SpecExperiment

Tallies = NDArray[np.void]
Row = tuple[int, ...]
"""Stage, arm (0 the control, 1 the variant), unit, then the sums of ``SUMS``."""

SUMS: Final = ("requests", "failed", "slow", "tail", "fallbacks")
TALLY: Final = np.dtype(
    [("stage", "<u2"), ("arm", "u1"), ("unit", "<i8"), *((name, "<i8") for name in SUMS)]
)
ARMS: Final[tuple[Arm, Arm]] = ("control", "variant")
NO_UNIT: Final = 0
_EXACT: Final = float(2**62)


def unit_number(unit: str, key: bytes) -> int:
    """Return the number that stands for a unit: 63 bits of BLAKE2b keyed with the lab's key.

    Two of a million units share one with a probability below 1e-7.

    Examples:
        >>> unit_number("u-7", b"k" * 32) == unit_number("u-7", b"k" * 32) != NO_UNIT
        True
    """
    data = unit.encode("utf-8", "surrogatepass")
    digest = blake2b(data, digest_size=8, key=key, person=b"rollout unit").digest()
    return (int.from_bytes(digest, "little") >> 1) or 1


def tallies(rows: Iterable[Row]) -> Tallies:
    """Return rows as a table."""
    return np.array(list(rows), dtype=TALLY)


def added(tables: Iterable[Tallies]) -> Tallies:
    """Return one table with one row a stage, arm and unit, sorted; in any order, of any parts.

    Examples:
        >>> one = tallies([(0, 1, 7, 2, 1, 0, 0, 0)])
        >>> added([one, one])["requests"].tolist()
        [4]
    """
    rows = np.concatenate([np.empty(0, dtype=TALLY), *tables])
    if not len(rows):
        return rows
    rows = rows[np.lexsort((rows["unit"], rows["arm"], rows["stage"]))]
    places = [rows[name] for name in ("stage", "arm", "unit")]
    changes = np.any([place[1:] != place[:-1] for place in places], axis=0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    merged = rows[starts].copy()
    for name in SUMS:
        merged[name] = np.add.reduceat(rows[name], starts)
    return cast("Tallies", merged)


def counts_of(experiment: SpecExperiment, table: Tallies) -> RolloutCounts:
    """Return the counts that a decision is made of.

    Args:
        experiment: The definition: its stages, and what its units are.
        table: Rows of one unit each, as ``added`` gives them.

    Raises:
        CorruptFileError: A row is of a stage or an arm that the experiment does not have.
    """
    n_stages = len(experiment.stages)
    if len(table) and (int(table["stage"].max()) >= n_stages or int(table["arm"].max()) > 1):
        raise CorruptFileError(
            f"outcomes of {experiment.key!r} name stage {int(table['stage'].max()) + 1} of "
            f"{n_stages}, arm {int(table['arm'].max())} of 2."
        )
    of = _unit_counts if experiment.sticky else _request_counts
    return RolloutCounts(
        tuple(
            StageCounts(
                stage.share,
                *(
                    of(table[(table["stage"] == number) & (table["arm"] == arm)])
                    for arm in range(len(ARMS))
                ),
            )
            for number, stage in enumerate(experiment.stages)
        )
    )


def _unit_counts(rows: Tallies) -> ArmCounts:
    requests, failed, slow = rows["requests"], rows["failed"], rows["slow"]
    return ArmCounts(
        units=len(rows),
        failed_units=int(np.count_nonzero(failed)),
        slow_units=int(np.count_nonzero(slow)),
        tail_units=int(np.count_nonzero(rows["tail"])),
        request_squares=_product(requests, requests),
        failed_squares=_product(failed, failed),
        failed_products=_product(failed, requests),
        slow_squares=_product(slow, slow),
        slow_products=_product(slow, requests),
        **{name: int(rows[name].sum()) for name in SUMS},
    )


def _request_counts(rows: Tallies) -> ArmCounts:
    sums: dict[str, int] = {name: int(rows[name].sum()) for name in SUMS}
    requests, failed, slow = sums["requests"], sums["failed"], sums["slow"]
    return ArmCounts(
        units=requests,
        failed_units=failed,
        slow_units=slow,
        tail_units=sums["tail"],
        request_squares=requests,
        failed_squares=failed,
        failed_products=failed,
        slow_squares=slow,
        slow_products=slow,
        **sums,
    )


def _product(one: NDArray[Any], two: NDArray[Any]) -> int:
    """Return the sum of products, exactly, however often one unit called."""
    if float(one.astype(np.float64) @ two.astype(np.float64)) < _EXACT:
        return int(one @ two)
    return sum(int(a) * int(b) for a, b in zip(one, two, strict=True))
