"""Statistics of rollouts: evidence that stays valid however often one looks.

One file a question. Counts in, natural logarithms of e-values out; every function takes scalars or
numpy arrays and gives the same numbers for both, so that the simulation of a rollout and the
controller of a real one are the same code.

An e-process is a nonnegative process whose expectation is at most 1 at every stopping time while its
hypothesis holds. By Ville's inequality it exceeds ``1 / alpha`` at any time with probability at most
``alpha``: nothing is paid for looking.
"""

from evolution_lab.experiments.statistics.asymptotic import (
    MeanSums,
    RatioSums,
    asymptotic_half_width,
    cuped,
)
from evolution_lab.experiments.statistics.combining import e_bh, log_weighted_mean
from evolution_lab.experiments.statistics.ratios import RatioPrior, log_e_ratio, ratio_interval
from evolution_lab.experiments.statistics.sample_ratio import log_e_sample_ratio
from evolution_lab.experiments.statistics.shares import (
    log_e_share_above,
    log_e_share_below,
    share_interval,
)

__all__ = [
    "MeanSums",
    "RatioPrior",
    "RatioSums",
    "asymptotic_half_width",
    "cuped",
    "e_bh",
    "log_e_ratio",
    "log_e_sample_ratio",
    "log_e_share_above",
    "log_e_share_below",
    "log_weighted_mean",
    "ratio_interval",
    "share_interval",
]
