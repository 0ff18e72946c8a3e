"""Rollouts: takes spec variants and outcomes, gives assignments, decisions and stages.

This is where the registry of experiments, the assignment of units to variants, the counters of
outcomes, their analysis and the staged controller will live. This release has none of them yet.
"""

__all__: list[str] = []
