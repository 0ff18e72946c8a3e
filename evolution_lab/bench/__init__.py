"""Measurements anyone can rerun: takes a stage of the line, gives its numbers beside their targets.

This is where the benchmarks of landing, windows, detection, suggestions, rollouts and golden tests
will live, one module each. This release has none of them yet.
"""

__all__: list[str] = []
