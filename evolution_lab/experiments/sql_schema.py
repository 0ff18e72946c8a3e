"""The tables of experiments, as DuckDB and PostgreSQL both make them.

``payload``, ``look`` and ``decision`` are the JSON of ``CountedOutcomes`` (or of a step in the
history), ``Look`` and ``RolloutDecision``. ``spec_experiment_metrics`` has one row a writer, which
that writer alone rewrites.
"""

from __future__ import annotations

from typing import Final

FORMAT_VERSION: Final = 1

TABLES: Final = (
    """
CREATE TABLE IF NOT EXISTS spec_experiments (
    key VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    operation VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    stage INTEGER NOT NULL,
    definition JSON NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    stage_since TIMESTAMP,
    format_version INTEGER NOT NULL,
    PRIMARY KEY (key, version)
)""",
    """
CREATE TABLE IF NOT EXISTS spec_experiment_history (
    key VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    happened_at TIMESTAMP NOT NULL,
    actor VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    payload JSON NOT NULL,
    format_version INTEGER NOT NULL,
    PRIMARY KEY (key, version, sequence)
)""",
    """
CREATE TABLE IF NOT EXISTS spec_experiment_metrics (
    key VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    writer VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    payload JSON NOT NULL,
    format_version INTEGER NOT NULL,
    PRIMARY KEY (key, version, writer)
)""",
    """
CREATE TABLE IF NOT EXISTS spec_experiment_looks (
    key VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    number INTEGER NOT NULL,
    looked_at TIMESTAMP NOT NULL,
    look JSON NOT NULL,
    decision JSON NOT NULL,
    format_version INTEGER NOT NULL,
    PRIMARY KEY (key, version, number)
)""",
    """
CREATE TABLE IF NOT EXISTS spec_experiment_lease (
    name VARCHAR PRIMARY KEY,
    holder VARCHAR NOT NULL,
    until TIMESTAMP NOT NULL
)""",
    """
CREATE TABLE IF NOT EXISTS spec_experiment_state (
    name VARCHAR PRIMARY KEY,
    revision BIGINT NOT NULL,
    document VARCHAR NOT NULL
)""",
)
