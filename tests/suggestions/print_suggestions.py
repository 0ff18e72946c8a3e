"""Prints suggestions as JSON; run by a test under several hash seeds."""

import sys
from datetime import UTC, datetime, timedelta

from evolution_lab.records import DetectionResult, IntentSignal, OperationRef, to_json
from evolution_lab.suggestions import SpecGenerator

START = datetime(2026, 3, 2, tzinfo=UTC)
SIGNALS = tuple(
    IntentSignal(
        id=f"signal-{number}",
        kind="error-spike",
        severity="high",
        operation=OperationRef(f"POST /{number % 3}", service="shop"),
        window_start=START,
        window_end=START + timedelta(hours=1),
        detected_at=START + timedelta(minutes=number),
        state="open",
        observed=0.2,
        baseline=0.01,
        effect=0.19,
        unit="fraction",
        sample_size=100,
        detector="error-spike",
        attribution={"errorCode": {"value": f"E{number % 2}"}},
    )
    for number in range(12)
)
for suggestion in SpecGenerator().generate(DetectionResult(signals=SIGNALS)):
    sys.stdout.buffer.write(to_json(suggestion) + b"\n")
