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
# # Which spec changes does the traffic ask for, and do we want them?
#
# Detection says what changed. This notebook turns that into concrete changes to the spec, shows the
# evidence behind each, and takes decisions on them. Nothing is applied without one.

# %% tags=["parameters"]
source = ""  # a file or folder; empty takes what is in `data`, or the bundled sample
mapping = []  # for tables: ["operation=Name", "timestamp=Start:ns", "duration=Took:us"]
data = ""  # the lab directory; empty takes a temporary one
every = "30s"  # length of a window
reviewer = "ada"  # who decides
approve = ""  # id of the suggestion to approve; on the bundled sample one is picked
reject = ""  # id of the one to reject, likewise
notes = "Tried out in a notebook."  # why

# %%
import tempfile
from pathlib import Path

import plotly.io as pio
import polars as pl

from evolution_lab import Lab
from evolution_lab.datasets import sample_path
from evolution_lab.errors import DecisionError
from evolution_lab.export import signal_figure

pio.renderers.default = "plotly_mimetype+notebook"
home = Path(data or tempfile.mkdtemp())
lab = Lab(home, reports=home / "reports", window=every)
if source or not data:
    lab.land(source or sample_path() / "spans.jsonl.gz", mapping=mapping)
lab.samples().select(pl.len()).collect()

# %% [markdown]
# ## From signals to suggestions
#
# A suggestion is what is asked, not what was measured: its id stays the same when more evidence
# arrives, and asking twice changes nothing.

# %%
lab.suggest()


# %%
def table():
    """Show where every suggestion stands."""
    return pl.DataFrame(
        [
            {
                "id": suggestion.id[:8],
                "status": suggestion.status,
                "priority": suggestion.priority,
                "risk": suggestion.risk,
                "summary": suggestion.proposal.summary,
            }
            for suggestion in lab.suggestions()
        ],
        schema={
            "id": pl.String,
            "status": pl.String,
            "priority": pl.String,
            "risk": pl.Float64,
            "summary": pl.String,
        },
    )


table()

# %% [markdown]
# ## One suggestion from close by
#
# What to change, why, and the chart that asks for it.

# %%
suggestions = lab.suggestions("pending")
first = suggestions[0] if suggestions else None
if first is not None:
    print(first.proposal.summary, first.proposal.rationale, sep="\n\n")

# %%
signals = {signal.id: signal for signal in lab.detect().signals}
behind = [signals[i] for i in first.signal_ids if i in signals] if first is not None else []
figure = signal_figure(behind[0], lab.windows()) if behind else None
figure

# %% [markdown]
# The change itself, as it would be handed to a spec:

# %%
dict(first.proposal.spec or {}) if first is not None else None

# %% [markdown]
# ## Deciding
#
# A decision has a reviewer; a rejection also says why. Decisions are appended and never replaced, so
# with your own data nothing is decided here until you name the suggestions at the top.

# %%
if not source and not data and len(suggestions) > 1:
    approve, reject = suggestions[0].id, suggestions[1].id
if approve:
    lab.approve(approve, reviewer=reviewer, notes=notes)
if reject:
    lab.reject(reject, reviewer=reviewer, notes=notes)
table()

# %%
try:
    lab.reject(approve, reviewer=reviewer, notes="On second thoughts") if approve else None
except DecisionError as refused:
    print(refused)

# %% [markdown]
# ## What a decision leaves behind
#
# An envelope for review in git, and the report with status and history.

# %%
sorted(path.name for path in (home / "reports" / "generated").glob("*.json"))

# %%
lab.report()

# %% [markdown]
# The same in one go, for a nightly job: `lab.suggest(); lab.report()`, or from a shell
# `evolution-lab suggest && evolution-lab report`.
