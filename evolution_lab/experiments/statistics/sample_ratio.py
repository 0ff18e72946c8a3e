"""Are units split as they should be? A sequential test of the sample ratio.

A split that is off says that assignment or counting is broken, and that nothing else can be trusted.
A chi-square test peeked at 180 times cries wolf in a quarter of healthy rollouts; this one holds its
level at any number of looks.

Reference:
    Lindon, Malek (2022), Anytime-valid inference for multinomial count data, NeurIPS.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln

from evolution_lab.errors import InputError

CONCENTRATION = 100.0
"""How many units the expected split is worth before any is seen."""


def log_e_sample_ratio(
    variant_units: ArrayLike,
    control_units: ArrayLike,
    variant_shares: ArrayLike,
    *,
    concentration: float = CONCENTRATION,
) -> NDArray[np.float64]:
    """Return the log e-value against "units are split as configured", over all stages.

    Args:
        variant_units: Units seen in the variant, each once a stage; the last axis runs over stages.
        control_units: Units seen in the control, likewise.
        variant_shares: Configured share of the variant, one a stage.
        concentration: Weight of the expected split in the Dirichlet mixture.

    Raises:
        InputError: If a share is not between 0 and 1.

    Examples:
        >>> float(log_e_sample_ratio([100], [9900], [0.01])) < 0
        True
        >>> float(log_e_sample_ratio([60], [9900], [0.01])) > 4
        True
    """
    shares = np.asarray(variant_shares, dtype=np.float64)
    if np.any((shares <= 0) | (shares >= 1)):
        raise InputError(f"the variant's share lies between 0 and 1, got {shares.tolist()}")
    variant = np.asarray(variant_units, dtype=np.float64)
    control = np.asarray(control_units, dtype=np.float64)
    a, b = concentration * shares, concentration * (1 - shares)
    mixed = betaln(a + variant, b + control) - betaln(a, b)
    null = variant * np.log(shares) + control * np.log1p(-shares)
    return np.asarray((mixed - null).sum(axis=-1), dtype=np.float64)
