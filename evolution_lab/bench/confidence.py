"""Calibration: is a share ``c`` of what is said with confidence ``c`` true?"""

from __future__ import annotations

from collections.abc import Callable

from evolution_lab.bench.targets import BenchReport, Target
from evolution_lab.intents.calibration import JUDGED_SEEDS, judge_map, planted_cases
from evolution_lab.intents.confidence import bundled_map

FULL_LABS = 60


def calibration(*, quick: bool, progress: Callable[[int, int], None] | None = None) -> BenchReport:
    """Hold the bundled map against planted labs that it was not fitted on.

    Args:
        quick: 12 labs rather than 60.
        progress: Called with (labs done, labs in all).
    """
    first = JUDGED_SEEDS[0]
    seeds = range(first, first + (len(JUDGED_SEEDS) if quick else FULL_LABS))
    found = judge_map(bundled_map(), planted_cases(seeds, progress=progress))
    fewest = min(row["cases"] for row in found.rows)
    what = f"{found.cases} candidates of {len(seeds)} planted labs, none of them fitted"
    return BenchReport(
        targets=(
            Target(
                id="confidence-ece", value=found.expected_calibration_error,
                interval=found.error_interval, target=0.05, bound="at most",
                what=f"Expected calibration error on {what}.",
            ),
            Target(
                id="confidence-skill", value=found.brier_skill, interval=found.skill_interval,
                target=0.3, bound="at least",
                what="Brier skill over stating the mean share always.",
            ),
            Target(
                id="confidence-cases", value=float(fewest), target=20 if quick else 100,
                bound="at least", what="Cases in the emptiest of five bins.",
            ),
        ),
        tables={"Confidence held against truth": found.rows},
    )  # fmt: skip
