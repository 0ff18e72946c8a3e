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
# # What changed, where, and beyond chance?
#
# Somebody says the shop felt slow this morning. This notebook takes its telemetry and answers three
# questions: which operations changed, when, and what the change is concentrated in.
#
# Point `source` at your own telemetry (OTLP JSON, CSV, Parquet, access logs) and `mapping` at its
# columns, and run all cells. Without it the bundled forty minutes of a small shop are used.

# %% tags=["parameters"]
source = ""  # a file or folder; empty takes what is in `data`, or the bundled sample
mapping = []  # for tables: ["operation=Name", "timestamp=Start:ns", "duration=Took:us"]
data = ""  # the lab directory; empty takes a temporary one
every = "30s"  # length of a window

# %%
import tempfile

import plotly.io as pio
import polars as pl

from evolution_lab import Lab
from evolution_lab.datasets import sample_path
from evolution_lab.export import signal_figure

pio.renderers.default = "plotly_mimetype+notebook"
lab = Lab(data or tempfile.mkdtemp(), window=every)
if source or not data:
    lab.land(source or sample_path() / "spans.jsonl.gz", mapping=mapping)
lab.samples().select(pl.len()).collect()

# %% [markdown]
# ## Is there enough to go by?
#
# One row an operation: how often it is called, how often it fails, how long it takes. A baseline needs
# about twenty windows with calls, so a look at the number of calls a window comes first.

# %%
windows = lab.windows()
overview = (
    windows.group_by("service", "operation_key")
    .agg(
        windows=pl.len(),
        calls=pl.col("calls").sum(),
        calls_per_window=pl.col("calls").median(),
        error_rate=pl.col("errors").sum() / pl.col("outcomes").sum(),
        median_ms=(pl.col("p50_ns").median() / 1e6).round(1),
    )
    .sort("calls", descending=True)
)
overview.head(15)

# %% [markdown]
# ## What changed beyond chance
#
# Every window is compared with the ones before it, by a test that fits what is counted. Nothing is a
# threshold on a running average, and the budget is a rate: on traffic where nothing changes, at most
# one false incident a week for the whole lab.

# %%
found = lab.detect()
found

# %%
views = lab.explore()
views.timeline()

# %% [markdown]
# ## Where to look first
#
# A map of surprise: a row an operation, a column a moment, redder where a window differs more from the
# ones before it. It claims nothing, since among thousands of windows some always stand out; it shows
# where. In JupyterLab `views.linked()` draws the windows behind any cell that you click on, and
# `views.linked().selected` is their frame. A cell can be asked for as well:

# %%
views.heat_map()

# %%
surprises = views.surprise()
first = surprises.sort("surprise", descending=True).row(0, named=True) if surprises.height else None
if first is not None:
    print(first["service"], first["operation_key"], first["window_start"], first["metric"])
views.windows_of(
    first["operation_key"], since=first["window_start"], until=first["window_end"]
) if first is not None else None

# %% [markdown]
# Signals that belong together fold into one incident: a slow dependency makes its callers slow, and
# the deepest operation that changed first is the likely origin.

# %%
pl.DataFrame(
    [
        {
            "detected": incident.detected_at,
            "likely origin": str(incident.origin),
            "operations": len(incident.operations),
            "severity": incident.severity,
            "state": incident.state,
        }
        for incident in found.incidents
    ],
    schema={
        "detected": pl.Datetime("us", "UTC"),
        "likely origin": pl.String,
        "operations": pl.Int64,
        "severity": pl.String,
        "state": pl.String,
    },
)

# %% [markdown]
# ## One signal from close by
#
# The metric over time, the trailing baseline, the episode, and the moment at which the claim could be
# made. Nothing later than that moment was used.

# %%
worst = min(found.signals, key=lambda signal: signal.p_value or 1.0, default=None)
figure = signal_figure(worst, windows) if worst is not None else None
figure

# %%
for item in worst.evidence if worst is not None else ():
    print(item.description)

# %% [markdown]
# How long calls took in the episode and in the windows before it, call by call: every point drawn is a
# duration that was measured, and the quantiles are exact.

# %%
views.latency(worst) if worst is not None else None

# %%
views.quantiles(worst) if worst is not None else None

# %% [markdown]
# ## What is it concentrated in?
#
# The evidence names a tenant, a version or an error code only where it carries at least four fifths of
# the excess and behaves unlike all others. The rows behind it are one query away: `%%sql` asks `lab`,
# in memory, and `%%sql --into name` keeps the answer as a polars frame. `lab.sql("…")` is the same in a line.

# %%
# %load_ext evolution_lab.lab.sql_magic

# %% language="sql"
# SELECT service, operation_key, error_code, count(*) AS failed, count(DISTINCT tenant_id) AS tenants
# FROM samples
# WHERE success = false OR status_code BETWEEN 400 AND 499
# GROUP BY ALL ORDER BY failed DESC LIMIT 10

# %%
views.errors()

# %% [markdown]
# ## What clients do again and again
#
# Chains of calls that clients repeat far more often than shuffled traffic would. Each is a question:
# should this be one operation?

# %%
views.workflows()

# %%
for workflow in found.workflows[:5]:
    print(" > ".join(step.key for step in workflow.steps), f"({workflow.support} sequences)")

# %% [markdown]
# ## And what could not be seen?
#
# Silence about an operation is only good news where a change would have shown. These are the
# operations whose traffic is too thin to tell, and why.

# %%
pl.DataFrame(
    [
        {"metric": verdict.metric, "operation": str(verdict.operation), "why": verdict.reason}
        for verdicts in found.insufficient.values()
        for verdict in verdicts
    ][:12],
    schema={"metric": pl.String, "operation": pl.String, "why": pl.String},
)

# %% [markdown]
# Next: `03_review_suggestions` turns these findings into spec changes and decides on them.
