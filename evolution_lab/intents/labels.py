"""What people said of signals: ``signal_labels``, and the maps fitted on them; only appended to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from evolution_lab.errors import InputError, UnknownNameError
from evolution_lab.intents.confidence import (
    FITTED_DETECTORS,
    ConfidenceMap,
    bundled_map,
    with_labels,
)
from evolution_lab.intents.evidence import KINDS
from evolution_lab.intents.snapshots import read_snapshots
from evolution_lab.records import IntentSignal, from_json, to_json
from evolution_lab.telemetry.state import STATE_FILE, open_state

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FEWEST_LABELS: Final = 20
FEWEST_OF_EACH: Final = 3
"""Labels of either kind without which a refit would say nothing but its prior."""
NOT_REAL: Final = "not-real"
"""The reason of a rejection that says: what was claimed is not true."""
_LABELS: Final = """
CREATE TABLE IF NOT EXISTS signal_labels (
    signal_id VARCHAR NOT NULL,
    truth BOOLEAN NOT NULL,
    why VARCHAR,
    labelled_by VARCHAR NOT NULL,
    labelled_at TIMESTAMPTZ NOT NULL
)
"""
_MAPS: Final = """
CREATE TABLE IF NOT EXISTS confidence_maps (
    fitted_at TIMESTAMPTZ NOT NULL,
    payload JSON NOT NULL
)
"""


@dataclass(frozen=True, kw_only=True)
class SignalLabel:
    """What one person said of one signal.

    Attributes:
        signal_id: The signal.
        truth: Whether what it claims is true.
        why: Their reason.
        labelled_by: Who said it.
        labelled_at: When, UTC.
    """

    signal_id: str
    truth: bool
    why: str | None
    labelled_by: str
    labelled_at: datetime


def store_label(
    data_dir: Path, signal_id: str, *, truth: bool, why: str | None, labelled_by: str
) -> SignalLabel:
    """Append a label; the newest one of a signal counts.

    Args:
        data_dir: The lab directory.
        signal_id: The signal's id, or an unambiguous beginning of it.
        truth: Whether what it claims is true.
        why: The reason.
        labelled_by: Who says so.

    Raises:
        UnknownNameError: No signal said so far has this id, or several begin like it.
    """
    known = sorted(set(read_snapshots(data_dir)["id"].to_list()))
    matches = [name for name in known if name.startswith(signal_id)] if signal_id else []
    if len(matches) != 1:
        raise UnknownNameError("signal", signal_id, matches or known)
    label = SignalLabel(
        signal_id=matches[0],
        truth=truth,
        why=why,
        labelled_by=labelled_by,
        labelled_at=datetime.now(UTC),
    )
    with open_state(data_dir) as state:
        state.execute(_LABELS)
        state.execute(
            "INSERT INTO signal_labels VALUES (?, ?, ?, ?, ?)",
            [label.signal_id, label.truth, label.why, label.labelled_by, label.labelled_at],
        )
    return label


def read_labels(data_dir: Path) -> tuple[SignalLabel, ...]:
    """Return the newest label of each signal, by id."""
    if not (data_dir / STATE_FILE).exists():
        return ()
    with open_state(data_dir) as state:
        state.execute(_LABELS)
        rows = state.execute(
            "SELECT signal_id, truth, why, labelled_by, epoch_us(labelled_at) FROM signal_labels "
            "QUALIFY row_number() OVER (PARTITION BY signal_id ORDER BY labelled_at DESC) = 1 "
            "ORDER BY signal_id"
        ).fetchall()
    return tuple(
        SignalLabel(
            signal_id=name,
            truth=truth,
            why=why,
            labelled_by=who,
            labelled_at=EPOCH + timedelta(microseconds=at),
        )
        for name, truth, why, who, at in rows
    )


def calibrate_on_labels(data_dir: Path) -> ConfidenceMap:
    """Refit the lab's map of confidence on its labels, and keep it.

    Signals without a p-value, and those of other packages' detectors, carry no confidence; their
    labels are left out.

    Raises:
        InputError: There are too few labels, or nearly all say the same; the message says how many
            are missing.
    """
    said = _said(data_dir)
    labels = {
        label.signal_id: label.truth
        for label in read_labels(data_dir)
        if label.signal_id in said and _has_confidence(said[label.signal_id])
    }
    true = sum(labels.values())
    missing = max(
        FEWEST_LABELS - len(labels), FEWEST_OF_EACH - true, FEWEST_OF_EACH - len(labels) + true
    )
    if missing > 0:
        raise InputError(
            f"{len(labels)} signals with a confidence are labelled ({true} true); calibration needs {FEWEST_LABELS}, "
            f"{FEWEST_OF_EACH} of either kind: {missing} more. "
            "Label some: evolution-lab signals label ID true|false"
        )
    base = bundled_map()
    logits, truths = [], []
    for name, truth in labels.items():
        signal = said[name]
        assert signal.p_value is not None
        logits.append(base.logit(metric_of(signal), signal.p_value, signal.sample_size))
        truths.append(truth)
    fitted = with_labels(base, np.array(logits), np.array(truths, dtype=bool))
    with open_state(data_dir) as state:
        state.execute(_MAPS)
        state.execute(
            "INSERT INTO confidence_maps VALUES (?, ?)",
            [datetime.now(UTC), to_json(fitted).decode()],
        )
    return fitted


def map_in_force(data_dir: Path) -> ConfidenceMap:
    """Return the lab's newest map, the bundled one where there is none."""
    if not (data_dir / STATE_FILE).exists():
        return bundled_map()
    with open_state(data_dir) as state:
        state.execute(_MAPS)
        row = state.execute(
            "SELECT payload FROM confidence_maps ORDER BY fitted_at DESC LIMIT 1"
        ).fetchone()
    return bundled_map() if row is None else from_json(ConfidenceMap, str(row[0]).encode())


def metric_of(signal: IntentSignal) -> str:
    """Return a metric of the signal's kind: confidence does not tell those of one kind apart."""
    return next(metric for metric, kind in KINDS.items() if kind == signal.kind)


def _has_confidence(signal: IntentSignal) -> bool:
    return signal.p_value is not None and signal.detector in FITTED_DETECTORS


def _said(data_dir: Path) -> dict[str, IntentSignal]:
    """Return each signal as it was last said."""
    rows = read_snapshots(data_dir).sort("detected_at", "digest")
    return {
        row["id"]: from_json(IntentSignal, row["payload"].encode())
        for row in rows.iter_rows(named=True)
    }
