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
# # May this change go to everybody?
#
# A changed operation first gets one unit in a hundred, then one in ten, then half, then all, and the
# rollout is taken back as soon as it is proven to do harm. The trap is to look often: a threshold on a
# running average, looked at every minute, takes back half of all harmless changes. Here the evidence holds
# its error rate however often anybody looks.
#
# This notebook takes an operation of your telemetry as the control, checks that the boundaries suit it,
# says who would get the variant, and rehearses two rollouts: one that is harmless, and one that fails too
# often. Nothing is rolled out from here.

# %% tags=["parameters"]
source = ""  # a file or folder; empty takes what is in `data`, or the bundled sample
mapping = []  # for tables: ["operation=Name", "timestamp=Start:ns", "duration=Took:us"]
data = ""  # the lab directory; empty takes a temporary one
operation = ""  # its key; empty takes the busiest one that keeps the boundaries
pace = 6000  # requests of the operation between two looks, in the rehearsal
harm = 0.10  # how much oftener the harmful variant fails, in probability
seed = 7  # of the rehearsal

# %%
import tempfile
from datetime import UTC, datetime, timedelta

import numpy as np
import plotly.express as px
import plotly.io as pio
import polars as pl

from evolution_lab import Lab
from evolution_lab.datasets import sample_path
from evolution_lab.experiments import (
    DEFAULT_GUARDRAILS,
    ArmCounts,
    Binding,
    CountedOutcomes,
    InMemoryExperimentRepository,
    RolloutCounts,
    SpecExperiment,
    SpecExperimentController,
    SpecExperimentRegistry,
    SpecExperimentRunner,
    Stage,
    StageCounts,
    check_boundaries,
    control_counts,
    replay,
)

pio.renderers.default = "plotly_mimetype+notebook"
pl.Config.set_fmt_str_lengths(160)
lab = Lab(data or tempfile.mkdtemp())
if source or not data:
    lab.land(source or sample_path() / "spans.jsonl.gz", mapping=mapping)

# %% [markdown]
# ## Does the control keep the boundaries itself?
#
# A variant is held to boundaries: at most 5 % of calls may fail, at most one call in a hundred may take
# longer than 750 ms. Where the control breaks one already, every variant would be taken back, however
# harmless; so this is looked at first, by an exact interval.

# %%
samples = lab.samples()
busiest = (
    samples.filter(pl.col("kind").is_null() | pl.col("kind").is_in(["server", "consumer"]))
    .group_by("operation_key")
    .len()
    .sort("len", "operation_key", descending=[True, False])
    .head(12)
    .collect()["operation_key"]
    .to_list()
)
found = {
    key: check_boundaries(DEFAULT_GUARDRAILS, control_counts(samples, [key], DEFAULT_GUARDRAILS))
    for key in ([operation] if operation else busiest)
}
pl.DataFrame(
    [
        {
            "operation": key,
            "metric": f.metric,
            "boundary": f.boundary,
            "verdict": f.verdict,
            "said": f.sentence,
        }
        for key, findings in found.items()
        for f in findings
    ]
)

# %%
kept = [key for key, findings in found.items() if all(f.verdict != "broken" for f in findings)]
operation = operation or (kept or busiest)[0]
operation

# %% [markdown]
# ## What is tried, on whom, in which stages
#
# The definition is frozen once it is started. `alpha` is the probability that a harmless variant is taken
# back, over all guardrails, stages and looks together.

# %%
experiment = SpecExperiment(
    key="try-it",
    operation=operation,
    control=Binding(operation=operation, version="1.0.0"),
    variant=Binding(operation=operation, version="1.1.0"),
    unit="request",
    stages=tuple(
        Stage(share=share, minimum_dwell=timedelta(minutes=10), maximum_dwell=timedelta(hours=8))
        for share in (0.01, 0.10, 0.50, 1.0)
    ),
)

# %% [markdown]
# ## Who gets the variant?
#
# A hash of the unit decides, so that every process and every language says the same, nobody changes sides
# while a stage lasts, and whoever has the variant keeps it in the next stage.

# %%
units = pl.Series("unit", [f"user-{n}" for n in range(50_000)])
arms = pl.DataFrame(
    {
        f"stage {n + 1}": SpecExperimentRunner(experiment, n).assign_many(units)["arm"]
        for n in range(len(experiment.stages))
    }
)
shares = arms.select((pl.all() == "variant").mean())
assert arms.filter((pl.col("stage 2") == "variant") & (pl.col("stage 3") == "control")).is_empty()
shares

# %% [markdown]
# ## A rehearsal
#
# Requests are drawn with the failures of the control as it was measured above, and the controller looks
# once a minute, as it would in service. It advances a stage when safety is proven, and takes back when
# harm is.

# %%
control = control_counts(samples, [operation], DEFAULT_GUARDRAILS)
ordinary = control.failed / control.judged if control.judged else 0.01
slow = min(control.slow.get(750.0, 0) / max(control.calls, 1), 0.008)


def rehearse(key, variant_errors, *, looks=480):
    """Roll out a variant that fails with this probability; returns registry and definition."""
    rng = np.random.default_rng(seed)
    tried = SpecExperiment(
        key=key,
        operation=operation,
        control=experiment.control,
        variant=experiment.variant,
        unit="request",
        stages=experiment.stages,
    )
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    counts = [StageCounts(stage.share) for stage in tried.stages]

    def drawn(requests, errors):
        failed, late = rng.binomial(requests, [min(errors, 1.0), slow]).tolist()
        return ArmCounts(
            units=requests, failed_units=failed, slow_units=late, tail_units=late,
            requests=requests, failed=failed, slow=late, tail=late,
            request_squares=requests, failed_squares=failed, failed_products=failed,
            slow_squares=late, slow_products=late,
        )  # fmt: skip

    registry = SpecExperimentRegistry(InMemoryExperimentRepository(), clock=lambda: now)
    registry.register(tried, actor="ada")
    registry.start(key, actor="ada")
    controller = SpecExperimentController(
        registry,
        lambda _: CountedOutcomes(counts=RolloutCounts(tuple(counts)), newest=now),
        clock=lambda: now,
    )
    for _ in range(looks):
        state = registry.get(key)
        if state.status != "running":
            break
        now += timedelta(minutes=1)
        share = tried.stages[state.stage].share
        of_variant = int(rng.binomial(pace, share))
        counts[state.stage] += StageCounts(
            share,
            control=drawn(pace - of_variant, ordinary),
            variant=drawn(of_variant, variant_errors),
        )
        controller.look()
    return registry, tried


def told(registry, key):
    """Show what happened, and on whose word."""
    return pl.DataFrame(
        [
            {"at": e.at, "actor": e.actor, "action": e.action, "reason": e.reason}
            for e in registry.history(key)
            if e.action != "look"
        ]
    )


harmless, harmless_definition = rehearse("harmless", ordinary)
told(harmless, "harmless")

# %%
harmful, harmful_definition = rehearse("harmful", ordinary + harm)
told(harmful, "harmful")

# %% [markdown]
# ## The evidence, look by look
#
# Drawn is how much the counts speak for harm, on a logarithmic scale: a bet against "nothing is wrong"
# whose stake multiplied so often. It takes back at one in `alpha`, and a harmless variant ever gets there
# with that probability, however often somebody looks.

# %%
evidence = pl.DataFrame(
    [
        {
            "variant": name,
            "look": decision.look,
            "stage": decision.stage + 1,
            "evidence of harm": decision.analysis.log_e_harm / np.log(10),
            "threshold": decision.analysis.log_threshold / np.log(10),
            "action": decision.action,
        }
        for name, registry, definition in (
            ("harmless", harmless, harmless_definition),
            ("harmful", harmful, harmful_definition),
        )
        for decision in replay(definition, registry.looks(name))
    ]
)
figure = px.line(evidence, x="look", y="evidence of harm", color="variant", height=320)
figure.add_hline(y=evidence["threshold"][0], line_dash="dot", annotation_text="takes back")
figure

# %%
evidence.group_by("variant", "stage", maintain_order=True).agg(
    looks=pl.len(), last=pl.col("action").last()
)

# %% [markdown]
# The decisions shown were made again from what was stored of each look: the same looks give the same
# decisions, always, so that anybody can check afterwards why a rollout ended.
#
# ## In a service
#
# `create_spec_variant_resolver` and `current_variant` give each request its arm, and
# `SpecExperimentAdapter.track_outcome` counts what becomes of it; the controller runs beside the service. How
# often a configuration would take back harmless variants, and how soon harmful ones, is measured by
# `evolution-lab bench`.
