# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What telemetry do I have, and did it arrive whole?
#
# A folder of traces, an access log, a table of calls: before anybody draws a conclusion from it, four
# questions want an answer. Is each column what I take it for? What was refused, and why? What was masked?
# And is there enough, for long enough, to notice a change?
#
# Point `source` at your own telemetry (OTLP JSON or protobuf, CSV, Parquet, access logs; plain, gzip or
# zstd) and run all cells. For tables say in `mapping` which column is what. Without a source the bundled
# forty minutes of a small shop are used.

# %% tags=["parameters"]
source = ""  # a file or folder; empty takes what is in `data`, or the bundled sample
mapping = []  # for tables: ["operation=Name", "timestamp=Start:ns", "duration=Took:us"]
data = ""  # the lab directory; empty takes a temporary one
every = "1m"  # length of a window

# %%
import tempfile

import plotly.express as px
import plotly.io as pio
import polars as pl

from evolution_lab import Lab
from evolution_lab.datasets import sample_path

pio.renderers.default = "plotly_mimetype+notebook"
lab = Lab(data or tempfile.mkdtemp(), window=every)
if not source and not data:
    source = sample_path() / "spans.jsonl.gz"

# %% [markdown]
# ## Is each column what I take it for?
#
# A dry run reads and checks everything and writes nothing. Look at the first rows with care: a duration
# read as milliseconds that are microseconds is wrong by a thousand in every chart that follows.

# %%
trial = lab.land(source, mapping=mapping, dry_run=True) if source else None
print(
    *(trial.notes if trial else ["No source is named: this is about what was landed before."]),
    sep="\n",
)

# %%
shown = ["timestamp", "service", "operation_key", "kind", "duration_ns", "success", "status_code"]
rows = trial.first_rows if trial else lab.samples().head(8).collect()
rows.select(name for name in shown if name in rows.columns).head(8)

# %% [markdown]
# ## Landing
#
# Now for good. Names of people become pseudonyms that only this lab can tell, e-mail addresses, tokens
# and numbers are masked before anything reaches the disk, and a span that is there already is not
# counted twice: so landing the same file again adds nothing.

# %%
landed = lab.land(source, mapping=mapping) if source else None
landed

# %%
if source:
    again = lab.land(source, mapping=mapping)
    print(again.summary)
    assert again.rows_added == 0

# %% [markdown]
# ## What was refused, and why?
#
# A row that cannot be read is set aside with its line and the reason; it never stops the others. An
# empty table is what you want to see.

# %%
refused = lab.lake.quarantine()
refused.group_by("reason").agg(rows=pl.len(), first_line=pl.col("line").min()).sort("reason")

# %% [markdown]
# ## What is there?
#
# One row an operation: how often it was called, from when to when, and what is recorded of it. Where
# success is not recorded there will be no word about errors, rather than a wrong one.

# %%
operations = lab.sql(
    """
    SELECT service, operation_key,
           count(*) AS calls,
           round(quantile_cont(duration_ns, 0.5) / 1e6, 1) AS median_ms,
           round(avg((success IS NOT NULL)::INT), 3) AS outcome_recorded,
           count(DISTINCT tenant_id) AS tenants,
           count(DISTINCT operation_version) AS versions,
           min(timestamp) AS first, max(timestamp) AS last
    FROM samples GROUP BY ALL ORDER BY calls DESC
    """
)
operations.head(15)

# %% [markdown]
# ## Is there enough to notice a change?
#
# Detection compares each window with the ones before it, and wants about thirty of them. Short windows
# give many, long ones hold more calls each: this is how the two trade off here.

# %%
span = lab.samples().select(pl.col("timestamp").max() - pl.col("timestamp").min()).collect().item()
trade = []
for length in ("30s", "1m", "5m", "15m"):
    frame = lab.windows(every=length)
    per_operation = frame.group_by("service", "operation_key").agg(
        pl.len(), pl.col("calls").median()
    )
    trade.append(
        {
            "every": length,
            "windows an operation": per_operation["len"].median(),
            "calls a window": per_operation["calls"].median(),
            "operations with thirty windows": (per_operation["len"] >= 30).sum(),
        }
    )
print(f"The recording spans {span}.")
pl.DataFrame(trade)

# %% [markdown]
# ## Does the volume look like yours?
#
# A gap here is a gap in the recording; a step is a deployment, or a collector that was restarted.

# %%
volume = (
    lab.windows(every=every)
    .group_by("window_start", "service")
    .agg(pl.col("calls").sum())
    .sort("window_start", "service", nulls_last=False)
)
px.bar(volume, x="window_start", y="calls", color="service", height=300)

# %% [markdown]
# Next: `02_explore_anomalies` looks for what changed. The same from a shell:
#
# ```console
# $ evolution-lab land PATH --map operation=Name --map timestamp=Start:ns --map duration=Took:us
# ```
