"""Golden tests: takes recorded traffic, gives test suites that guard what works, and verdicts.

This is where the traffic recorder and its store, the selection of cases, the emitters of pytest,
Vitest and Jest suites and the runner will live. This release has none of them yet.
"""

__all__: list[str] = []
