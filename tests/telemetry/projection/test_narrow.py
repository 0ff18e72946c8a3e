from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.errors import CorruptFileError
from evolution_lab.telemetry.projection.narrow import (
    SLOT_MINUTES,
    NarrowRows,
    merged,
    minute_of,
    narrow_rows,
    ordered,
)
from evolution_lab.telemetry.projection.runs import FAILURES, read_failures, read_file, write_run

LONGEST_NS = 7 * 86_400 * 10**9

rows_of_a_day = st.lists(
    st.tuples(
        st.sampled_from((3, 5, 2**62)),
        st.integers(0, 1439),
        st.one_of(st.integers(0, 9), st.integers(0, LONGEST_NS)),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=40,
)


def narrow(rows: list[tuple[int, int, int, int]], *, weight: float | None = None) -> NarrowRows:
    schema = {
        "op_id": pl.Int64(),
        "minute": pl.UInt16(),
        "duration_ns": pl.Int64(),
        "outcome": pl.UInt8(),
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    if weight is not None:
        frame = frame.with_columns(weight=pl.lit(weight))
    return narrow_rows(frame)


def plain(rows: NarrowRows) -> list[tuple[int, int, int, int]]:
    columns = (rows.op_ids[rows.operation], rows.minute, rows.duration_ns, rows.outcome)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def in_order(rows: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int]]:
    return sorted((op, minute // SLOT_MINUTES, duration) for op, minute, duration, _ in rows)


@given(rows_of_a_day, st.sampled_from((None, 2.0)))
def test_rows_are_sorted_by_operation_quarter_and_duration(
    rows: list[tuple[int, int, int, int]], weight: float | None
) -> None:
    found = plain(narrow(rows, weight=weight))
    assert sorted(found) == sorted(rows)
    assert [(op, minute // SLOT_MINUTES, d) for op, minute, d, _ in found] == in_order(rows)


@given(rows_of_a_day, rows_of_a_day)
def test_merging_is_sorting_all_at_once(
    one: list[tuple[int, int, int, int]], other: list[tuple[int, int, int, int]]
) -> None:
    both = plain(merged([narrow(one), narrow(other)]))
    assert sorted(both) == sorted([*one, *other])
    assert [(op, minute // SLOT_MINUTES, d) for op, minute, d, _ in both] == in_order(
        [*one, *other]
    )


@given(rows_of_a_day)
def test_other_slots_order_other(rows: list[tuple[int, int, int, int]]) -> None:
    found = plain(ordered(narrow(rows), slot_minutes=60))
    assert sorted(found) == sorted(rows)
    keys = [(op, minute // 60, duration) for op, minute, duration, _ in found]
    assert keys == sorted(keys)


@settings(max_examples=15)
@given(rows_of_a_day, st.integers(1, 10))
def test_files_of_a_run_share_no_operation_and_slot(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int, int]], size: int
) -> None:
    root = tmp_path_factory.mktemp("lake")
    run = write_run(
        root,
        "latency/date=2026-01-01",
        narrow(rows),
        pl.DataFrame(schema=FAILURES),
        built_from=("samples/a",),
        between=0,
        file_rows=size,
    )
    parts = [plain(read_file(root, file)) for file in run.files]
    assert [row for part in parts for row in part] == plain(narrow(rows))
    cells = [{(op, minute // SLOT_MINUTES) for op, minute, _, _ in part} for part in parts]
    assert sum(len(each) for each in cells) == len(set().union(*cells))


def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    run = write_run(
        tmp_path,
        "latency/date=2026-01-01",
        narrow([(3, 0, 1, 2)]),
        pl.DataFrame([(3, 0, "E", 1)], schema=FAILURES, orient="row"),
        built_from=("samples/a",),
        between=0,
    )
    path = tmp_path / run.files[0].path
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CorruptFileError, match=r"run-.*it is built again from the samples"):
        read_file(tmp_path, run.files[0])
    assert run.failures is not None
    (tmp_path / run.failures).write_bytes(b"PAR1")
    with pytest.raises(CorruptFileError, match="built again"):
        read_failures(tmp_path, (run,))


def test_minutes_are_utc_and_whole() -> None:
    moments = [
        datetime(2026, 1, 1, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 1, 2, tzinfo=UTC),
    ]
    minutes = pl.DataFrame({"timestamp": moments}).select(minute=minute_of())["minute"]
    assert minutes.to_list() == [1439, 0]
    assert minutes.dtype == pl.UInt16
    assert np.uint16(1439) == minutes[0]
