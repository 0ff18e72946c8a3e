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
# # Which tests would have noticed, had this behaviour changed?
#
# Recorded calls say how a service behaves, down to the field. A golden test sends a recorded request again
# and expects what came back then, less strictly only where the recording itself proves that a value
# changes from run to run. This notebook makes such tests step by step, looks at what they would notice,
# tries them, and writes them for pytest, Vitest or Jest.
#
# Point `source` at a recording of yours (HAR, VCR cassettes, Keploy, OTLP with bodies, JSON lines) and
# `operation` at one of its operations. Without it the bundled recording of a small shop is used.

# %% tags=["parameters"]
source = ""  # a recording; empty takes what is in `data`, or the bundled one
spec = ""  # its OpenAPI document, so that operations have their templates as names
data = ""  # the lab directory; empty takes a temporary one
operation = ""  # whose tests; empty takes the one that was called most
share = 0.1  # share of production traffic to make tests of
base_url = ""  # where the service answers; empty replays the recording instead
output = ""  # folder of the written tests; empty takes a temporary one

# %%
import copy
import tempfile
from pathlib import Path

import polars as pl

from evolution_lab import Lab
from evolution_lab.datasets import sample_path
from evolution_lab.golden import (
    EmitSettings,
    GoldenTestGenerator,
    LakeTrafficStore,
    emit,
    http_runner,
    recent_snapshots,
    run_golden_tests,
)

home = Path(data or tempfile.mkdtemp())
specs = [spec] if spec else [] if source or data else [str(sample_path() / "openapi.json")]
lab = Lab(home, specs=specs)
if source or not data:
    print(lab.import_traffic(source or sample_path() / "traffic.har.zst"))

# %% [markdown]
# ## What was recorded?
#
# Personal data and secrets got stand-ins of the same form before anything was stored. What could not be
# cleaned was dropped, and is counted above.

# %%
store = LakeTrafficStore(home)
recorded = pl.DataFrame([row for entry in store.operations() for row in entry.to_dicts()])
recorded.sort("snapshots", descending=True)

# %% [markdown]
# ## From calls to cases
#
# Calls that teach nothing new fold into one case; failures are kept with their code. `budget` keeps the
# cases that notice most.

# %%
operation = operation or recorded.sort("snapshots", descending=True)["operation"][0]
calls = recent_snapshots(store, operation=operation, sample_rate=share)
generator = GoldenTestGenerator(budget=12, power_sites=2)
suite = generator.generate(calls, operation=operation)
suite

# %% [markdown]
# ## What is let go, and on what evidence?
#
# Each path at which less than the recorded value is expected stands here with what proves that it
# changes: a repeated call, a link to an earlier answer, the form of an identifier. An empty table means
# that every value is expected as it was recorded.

# %%
pl.DataFrame(
    [
        {"case": case.name, "path": r.path, "evidence": r.evidence, "why": r.detail}
        for case in suite.cases
        for r in case.relaxations
    ],
    schema={"case": pl.String, "path": pl.String, "evidence": pl.String, "why": pl.String},
).head(12)

# %% [markdown]
# ## What would it notice?
#
# Wrong answers are made up (a value changed, a field gone, a type swapped) and held against the suite: the
# share it notices is its power, measured rather than hoped for.

# %%
suite.power

# %% [markdown]
# ## Does the unchanged service pass?
#
# With a `base_url` the service itself is asked. Without, a stand-in answers each recorded request as it
# was answered then.


# %%
def replay(sent, metadata):
    """Answer as the recording does."""
    same = (c for c in calls if c.operation.key == metadata["operation"] and c.input == sent)
    return copy.deepcopy(next(same).output)


runner = http_runner(base_url) if base_url else replay
before = run_golden_tests(suite, runner)
before.counts

# %% [markdown]
# ## And one that has changed?
#
# Say somebody rounds numbers on the way out. The differences fold into groups of one path and one cause;
# a person accepts a group with a reason, or mends the service.


# %%
def rounded(value):
    """Round every number with a fraction, wherever it stands."""
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(round(value)) if isinstance(value, float) else value


after = run_golden_tests(suite, lambda sent, metadata: rounded(replay(sent, metadata)))
pl.DataFrame(
    [row for group in after.groups for row in group.to_dicts()],
    schema={
        "operation": pl.String,
        "path": pl.String,
        "cause": pl.String,
        "cases": pl.Int64,
        "expected": pl.String,
        "actual": pl.String,
    },
)

# %% [markdown]
# ## Written down
#
# For pytest, standing on its own: it needs nothing of this package to run. Beside it stands a file that
# says how it was made and on what evidence, so that generating again gives the same bytes.

# %%
folder = Path(output or tempfile.mkdtemp())
target = folder / "test_golden.py"
written = emit(suite, target, EmitSettings(framework="pytest", base_url=base_url))
[path.name for path in written.write(target)]

# %%
print(*target.read_text().splitlines()[:12], sep="\n")

# %% [markdown]
# ## All of them, every time
#
# One command writes the tests of every operation, another runs them in continuous integration, and
# `evolution-lab run --suites` makes them anew every night:
#
# ```console
# $ evolution-lab test generate-all --output tests/golden --runner http --base-url http://127.0.0.1:8000
# $ evolution-lab test run tests/golden --base-url http://127.0.0.1:8000
# ```
