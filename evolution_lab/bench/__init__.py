"""Measurements anyone can rerun: takes a stage of the line, gives its numbers beside their targets.

``bench_detection`` counts false alarms on traffic in which nothing changes, plants effects beside an
oracle that knows them, and judges labelled recordings.
"""

__all__: list[str] = []
