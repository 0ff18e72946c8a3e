"""Counts how often findings are right on drawn shops: what their confidence is made of.

``python -m evolution_lab.bench.suggestion_confidence`` writes the file that comes with the package.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from evolution_lab.bench.suggestions import JUDGED_SEEDS, Tally, judge_null, judge_planted
from evolution_lab.suggestions.traffic.confidence import BUNDLED

FITTED_SEEDS: Final = range(2_000, 2_040)
FITTED_NULLS: Final = range(3_000, 3_015)
FORMAT_VERSION: Final = 1


def count_findings(
    planted: Iterable[int] = FITTED_SEEDS,
    nulls: Iterable[int] = FITTED_NULLS,
    *,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Return, per kind of finding, how many were said and how many were right.

    Args:
        planted: Seeds of shops with gaps; below those that the benchmark judges.
        nulls: Seeds of shops without.
        progress: Called with the seed that is done.
    """
    tally = Tally()
    for judge, seeds in ((judge_planted, planted), (judge_null, nulls)):
        for seed in seeds:
            assert seed < JUDGED_SEEDS[0]
            judge(seed, tally)
            if progress is not None:
                progress(seed)
    said, true = Counter(tally.said_by_kind), Counter(tally.true_by_kind)
    return {
        "formatVersion": FORMAT_VERSION,
        "kinds": {kind: {"said": said[kind], "true": true[kind]} for kind in sorted(said)},
        "seeds": {"planted": [min(planted), max(planted)], "null": [min(nulls), max(nulls)]},
    }


if __name__ == "__main__":
    BUNDLED.write_text(
        json.dumps(count_findings(progress=print), indent=2) + "\n", encoding="utf-8"
    )
