"""What was said, kept for audit and training: the ``intent_snapshots`` table.

A row is appended when a signal is said for the first time and whenever what is said about it
changes; nothing is ever overwritten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import polars as pl

from evolution_lab.records import IntentSignal, to_json
from evolution_lab.telemetry.state import open_state

FORMAT_VERSION: Final = 1
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS intent_snapshots (
    id VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    format_version INTEGER NOT NULL,
    service VARCHAR,
    operation_name VARCHAR NOT NULL,
    operation_version VARCHAR,
    confidence DOUBLE,
    payload JSON NOT NULL,
    detected_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (id, digest)
)
"""


def store_snapshots(data_dir: Path, signals: Sequence[IntentSignal]) -> int:
    """Append what is new among the signals.

    Args:
        data_dir: The lab directory.
        signals: As detection returned them.

    Returns:
        How many rows were added.

    Raises:
        LockedError: Another process holds the state database for too long.
    """
    rows = []
    for signal in signals:
        payload = to_json(signal)
        digest = hashlib.blake2b(payload, digest_size=8).hexdigest()
        operation = signal.operation
        rows.append(
            [
                signal.id,
                digest,
                FORMAT_VERSION,
                operation.service,
                operation.key,
                operation.version,
                signal.confidence,
                payload.decode(),
                signal.detected_at,
            ]
        )
    with open_state(data_dir) as state:
        state.execute(_TABLE)
        before = state.execute("SELECT count(*) FROM intent_snapshots").fetchone()
        if rows:
            state.executemany(
                "INSERT INTO intent_snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                rows,
            )
        after = state.execute("SELECT count(*) FROM intent_snapshots").fetchone()
    assert before is not None
    assert after is not None
    return int(after[0]) - int(before[0])


def withdraw_snapshots(data_dir: Path, signals: Sequence[IntentSignal]) -> int:
    """Append that signals hold no more: late rows took away what a first look had said.

    They leave the list of signals and stay here, for audit and training.

    Args:
        data_dir: The lab directory.
        signals: As they were last said.

    Returns:
        How many rows were added.

    Raises:
        LockedError: Another process holds the state database for too long.
    """
    return store_snapshots(data_dir, [replace(signal, state="withdrawn") for signal in signals])


def standing_snapshots(data_dir: Path) -> pl.DataFrame:
    """Return the newest snapshot of each signal that was not withdrawn, oldest signal first."""
    newest = read_snapshots(data_dir).group_by("id", maintain_order=True).last()
    state = pl.col("payload").str.json_path_match("$.state")
    return newest.filter(state.ne_missing("withdrawn"))


def read_snapshots(data_dir: Path) -> pl.DataFrame:
    """Return all snapshots in the order of detection, those of one signal as they were said.

    ``payload`` is the signal as JSON.
    """
    with open_state(data_dir) as state:
        state.execute(_TABLE)
        rows = state.sql(
            "SELECT id, digest, service, operation_name, operation_version, confidence, "
            "payload::VARCHAR AS payload, epoch_us(detected_at) AS detected_at "
            "FROM intent_snapshots "
            "ORDER BY min(detected_at) OVER (PARTITION BY id), id, rowid"
        ).to_arrow_table()
    return pl.DataFrame(rows).with_columns(
        pl.from_epoch("detected_at", "us").dt.replace_time_zone("UTC")
    )
