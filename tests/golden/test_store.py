"""Snapshots in memory and in the lake: the same ones come back, once, and only those asked for."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from evolution_lab.errors import CorruptFileError, InputError
from evolution_lab.golden.store import InMemoryTrafficStore, TrafficStore
from evolution_lab.golden.store_lake import LakeTrafficStore, _may_hold
from evolution_lab.records import OperationRef, RecordedError, TrafficSnapshot
from evolution_lab.telemetry import Lake

START = datetime(2026, 3, 1, tzinfo=UTC)


def snapshot(number: int, key: str = "cart.add", **changes: Any) -> TrafficSnapshot:
    fields: dict[str, Any] = {
        "id": f"s{number}",
        "operation": OperationRef(key, service="shop", version="1.0.0"),
        "input": {"sku": number},
        "output": {"added": number},
        "success": True,
        "timestamp": START + timedelta(hours=number),
    }
    return TrafficSnapshot(**{**fields, **changes})


@pytest.fixture(params=["memory", "lake"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TrafficStore:
    return InMemoryTrafficStore() if request.param == "memory" else LakeTrafficStore(tmp_path)


def ids(store: TrafficStore, *arguments: Any, **named: Any) -> list[str]:
    return sorted(found.id for found in store.snapshots(*arguments, **named))


def test_finds_by_operation_and_time(store: TrafficStore) -> None:
    made = [snapshot(n, "cart.add" if n % 2 else "cart.get") for n in range(0, 96, 6)]
    made += [snapshot(n, "cart.drop") for n in range(1, 96, 30)]
    assert store.add(made).added == len(made)
    assert ids(store) == sorted(each.id for each in made)
    assert ids(store, "cart.drop") == ["s1", "s31", "s61", "s91"]
    since, until = START + timedelta(hours=31), START + timedelta(hours=91)
    assert ids(store, "cart.drop", since=since, until=until) == ["s31", "s61"]
    assert ids(store, OperationRef("cart.get", "billing")) == []
    assert [(str(o.operation), o.snapshots) for o in store.operations()] == [
        ("shop · cart.drop · 1.0.0", 4),
        ("shop · cart.get · 1.0.0", 16),
    ]


def test_twice_is_once(store: TrafficStore) -> None:
    made = [snapshot(n) for n in range(5)]
    assert (store.add(made).added, store.add(made).duplicates) == (5, 5)
    more = store.add([*made[2:], snapshot(9)])
    assert (more.added, more.duplicates) == (1, 3)
    assert len(ids(store)) == 6


def test_gives_back_what_was_stored(store: TrafficStore) -> None:
    hostile = {"__proto__": "\ud800 </script>\u2028", "n": [2**53 + 1, -0.0, 1e308], "": None}
    made = snapshot(
        1,
        input=hostile,
        output=None,
        success=False,
        error=RecordedError(name="Declined", message="'; DROP TABLE x; --", code="DECLINED"),
        metadata={"traceId": "t", "sessionId": "s", "kept": "error"},
        sample_rate=0.04,
        duration_ms=1.5,
        tenant_id="acme",
        user_id="actor_1",
        channel="rest",
    )
    store.add([made])
    (read,) = store.snapshots()
    assert read == made


def test_numbers_that_json_has_no_word_for_survive(store: TrafficStore) -> None:
    store.add([snapshot(1, output=[math.nan, math.inf])])
    (read,) = store.snapshots()
    assert math.isnan(read.output[0])
    assert read.output[1] == math.inf


def test_the_lake_keeps_a_file_a_day_and_states_its_format(tmp_path: Path) -> None:
    store = LakeTrafficStore(tmp_path)
    store.add(snapshot(n) for n in range(48))
    files = Lake(tmp_path).live_files("traffic")
    assert [path.parent.name for path in files] == ["date=2026-03-01", "date=2026-03-02"]
    assert all(pl.read_parquet_metadata(path)["format_version"] == "1" for path in files)
    (record,) = Lake(tmp_path).batches()
    assert (record.rows, record.rows_read, record.services) == (48, 48, ("shop",))
    assert Lake(tmp_path).live_files("samples") == []


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = LakeTrafficStore(tmp_path)
    store.add([snapshot(1)])
    (path,) = Lake(tmp_path).live_files("traffic")
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(CorruptFileError, match="part-"):
        list(store.snapshots())


def test_what_is_no_json_is_refused_and_nothing_is_stored(tmp_path: Path) -> None:
    store = LakeTrafficStore(tmp_path)
    with pytest.raises(InputError, match="cannot be stored"):
        store.add([snapshot(1), snapshot(2, output={1, 2})])
    assert Lake(tmp_path).live_files("traffic") == []


def test_reading_one_operation_skips_the_row_groups_of_others(tmp_path: Path) -> None:
    store = LakeTrafficStore(tmp_path)
    keys = ("a.first", "m.middle", "z.last")
    store.add(snapshot(n, keys[n % 3], timestamp=START) for n in range(4_500))
    (path,) = Lake(tmp_path).live_files("traffic")
    with pq.ParquetFile(path) as file:
        held = [_may_hold(file, group, "z.last") for group in range(file.num_row_groups)]
    assert held == [False, False, True, True, True]
    assert len(list(store.snapshots("z.last"))) == 1_500
