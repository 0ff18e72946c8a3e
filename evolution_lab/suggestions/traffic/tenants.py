"""Whether a finding concerns one tenant only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import scipy

from evolution_lab.suggestions.traffic.exchanges import Exchange

_LEVEL: Final = 0.001


def scope_of(showing: Sequence[Exchange], all_calls: Sequence[Exchange]) -> str | None:
    """Return the one tenant that shows something, None where others show it or could not have.

    That no other tenant shows it must be more than chance: Fisher's exact test at 0.1 %.

    Args:
        showing: Calls that show it.
        all_calls: All calls that could.
    """
    tenants = {e.tenant for e in showing}
    if len(tenants) != 1 or None in tenants:
        return None
    tenant = tenants.pop()
    own = sum(e.tenant == tenant for e in all_calls)
    others = sum(e.tenant is not None and e.tenant != tenant for e in all_calls)
    k = len(showing)
    if not others or own < k:
        return None
    p = float(scipy.stats.fisher_exact([[k, own - k], [0, others]], alternative="greater").pvalue)
    return tenant if p <= _LEVEL else None
