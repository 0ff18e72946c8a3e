"""A public recording of a real microservice system, where it is at hand."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.records import OperationRef
from evolution_lab.schemas import SAMPLES, polars_schema
from evolution_lab.windows import aggregate, call_edges, operation_sequences, span_tree

RECORDING = (
    Path(__file__).parents[2].parent / "shared" / "data" / "trainticket" / "continuous.parquet"
)
MINUTE = timedelta(minutes=1)

pytestmark = pytest.mark.skipif(
    not RECORDING.exists(), reason="shared/data/trainticket is not beside this checkout"
)


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> pl.LazyFrame:
    source = pl.scan_parquet(RECORDING)
    names = source.select(pl.col("OperationName").unique()).collect().to_series()
    op_ids = {name: OperationRef(name).op_id for name in names}
    known = {
        "operation_key": pl.col("OperationName"),
        "op_id": pl.col("OperationName").replace_strict(op_ids, return_dtype=pl.Int64),
        "timestamp": pl.from_epoch(pl.col("StartTimeUnixNano") // 1_000, "us").dt.replace_time_zone(
            "UTC"
        ),
        "duration_ns": pl.col("Duration") * 1_000,
        "trace_id": pl.col("TraceID"),
        "span_id": pl.col("SpanID"),
        "parent_span_id": pl.col("ParentID").replace("root", None),
        "weight": pl.lit(1.0),
        "name_source": pl.lit("mapped"),
        "row_id": pl.col("TraceID") + "/" + pl.col("SpanID"),
    }
    path = tmp_path_factory.mktemp("recording") / "samples.parquet"
    source.select(
        known.get(name, pl.lit(None, dtype=dtype)).alias(name)
        for name, dtype in polars_schema(SAMPLES).items()
    ).collect().write_parquet(path)
    return pl.scan_parquet(path)


def test_windows_of_a_real_recording_are_whole_and_quick(samples):
    began = time.process_time()
    windows = aggregate(samples, window=MINUTE, latency_bins=True)
    spent = time.process_time() - began
    assert windows["calls"].sum() == 805_257
    assert windows["op_id"].n_unique() == 201
    assert windows["error_rate"].null_count() == windows.height
    bins = windows.explode("latency_bins", empty_as_null=True).unnest("latency_bins")
    assert bins["count"].sum() == 805_257
    assert spent < 6, f"{spent:.1f} s of CPU; 0.8 s were measured on an idle core"


def test_edges_and_sequences_of_a_real_recording_are_whole_and_quick(samples):
    began = time.process_time()
    tree = span_tree(samples)
    edges = call_edges(tree)
    sequences = operation_sequences(tree)
    spent = time.process_time() - began
    # Every trace has one root and no orphans: all other spans are called by somebody.
    own = sum(
        samples.select("trace_id", "span_id", "op_id")
        .join(
            samples.select("trace_id", span_id="parent_span_id", child="op_id"),
            on=["trace_id", "span_id"],
        )
        .select((pl.col("op_id") == pl.col("child")).sum())
        .collect()
        .row(0)
    )
    assert edges["calls"].sum() == 805_257 - 11_449 - own
    assert sequences["sequence_id"].n_unique() <= 11_449
    assert sequences["basis"].unique().to_list() == ["trace"]
    assert spent < 12, f"{spent:.1f} s of CPU; 2 s were measured on an idle core"
