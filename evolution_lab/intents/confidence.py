"""Calibrated confidence: of the things said with confidence ``c``, a share ``c`` is true.

A p-value says how surprising evidence is where nothing changed; confidence says how often evidence
like it was true. The bundled map is a logistic regression of truth on evidence, fitted to planted
changes and to traffic in which nothing changes, candidates below the decision's level included
(``evolution-lab calibrate --planted``). A lab's own labels move it by Platt's (1999) scaling, shrunk
towards the bundled map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from evolution_lab.records.json_form import CAMEL_CASE, from_json

Floats = npt.NDArray[np.float64]

BUNDLED_MAP: Final = Path(__file__).with_name("confidence_map.json")
FORMAT_VERSION: Final = 1
MOST_DIGITS: Final = 20.0
"""Beyond p = 1e-20 evidence is as good as it gets."""
LEAST_SLOPE: Final = 0.1
"""Labels flatten the map at most to a tenth."""
FITTED_DETECTORS: Final = frozenset({"error-spike", "latency-regression", "throughput-drop"})
"""Whose p-values maps are fitted on; what another detector's mean, no map knows."""
FEATURES: Final = ("intercept", "digits", "root_digits", "log_calls", "latency", "throughput")


@dataclass(frozen=True, kw_only=True)
class ConfidenceMap:
    """From evidence to the probability that it is true.

    Attributes:
        coefficients: Of the logit, in the order of ``FEATURES``.
        shift: Added to the logit by a lab's own labels.
        slope: The logit's factor by a lab's own labels.
        provenance: What it was fitted on: cases, seeds, package version, labels.
        format_version: Of its JSON form.
    """

    __pydantic_config__ = CAMEL_CASE

    coefficients: tuple[float, ...]
    shift: float = 0.0
    slope: float = 1.0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @property
    def fitted_on(self) -> str:
        """What the map was fitted on, in words.

        Examples:
            >>> bundled_map().fitted_on.endswith("planted candidates")
            True
        """
        cases = self.provenance.get("cases", 0)
        labels = self.provenance.get("labels")
        words = f"bundled map, fitted on {cases:,} planted candidates"
        return words if labels is None else f"{words}, moved by {labels:,} labels of this lab"

    def logit(self, metric: str, p_value: float, n_obs: int) -> float:
        """Return the logit before a lab's own labels."""
        row = features([metric], np.array([p_value]), np.array([float(n_obs)]))[0]
        return float(row @ np.asarray(self.coefficients))

    def confidence(
        self, metric: str, p_value: float | None, n_obs: int, *, detector: str | None = None
    ) -> float | None:
        """Return the probability that a change is true; None where no map applies.

        It applies to p-values, and to those of the detectors that it was fitted on.

        Args:
            metric: One of ``schemas.METRICS``.
            p_value: Of the strongest evidence.
            n_obs: Calls behind it.
            detector: Whose p-value it is; one of those fitted on unless given.

        Examples:
            >>> bundled = bundled_map()
            >>> strong = bundled.confidence("error-rate", 1e-12, 200)
            >>> weak = bundled.confidence("error-rate", 1e-2, 200)
            >>> 0 < weak < 0.5 < strong < 1
            True
        """
        if p_value is None or (detector is not None and detector not in FITTED_DETECTORS):
            return None
        return _expit(self.shift + self.slope * self.logit(metric, p_value, n_obs))


@cache
def bundled_map() -> ConfidenceMap:
    """Return the map that comes with the package."""
    return from_json(ConfidenceMap, BUNDLED_MAP.read_bytes())


def features(metrics: Sequence[str], p_values: Floats, n_obs: Floats) -> Floats:
    """Return the regression's columns, shape ``(n, len(FEATURES))``."""
    digits = np.minimum(-np.log10(np.maximum(p_values, 1e-300)), MOST_DIGITS)
    return np.column_stack(
        [
            np.ones_like(digits),
            digits,
            np.sqrt(digits),
            np.log10(1.0 + np.maximum(n_obs, 0.0)),
            np.array([metric.startswith("latency") for metric in metrics], dtype=np.float64),
            np.array([metric == "throughput" for metric in metrics], dtype=np.float64),
        ]
    )


def with_labels(
    base: ConfidenceMap,
    logits: Floats,
    truths: npt.NDArray[np.bool_],
    *,
    prior_weight: float = 20.0,
) -> ConfidenceMap:
    """Move a map by labels: a shift and a slope of its logit, shrunk towards none.

    The penalty is that of ``prior_weight`` labels that agree with the map: a handful of labels moves
    it a little, hundreds decide.

    Args:
        base: The map to start from.
        logits: Of the labelled signals, by ``base``.
        truths: What people said of them.
        prior_weight: How many labels the bundled map is worth.
    """
    shift, slope = _fitted(logits, truths, prior_weight)
    if slope < LEAST_SLOPE:  # Stronger evidence never means less confidence.
        slope = LEAST_SLOPE
        shift, _ = _fitted(logits, truths, prior_weight, slope=slope)
    return ConfidenceMap(
        coefficients=base.coefficients,
        shift=shift,
        slope=slope,
        provenance={
            **base.provenance,
            "labels": len(truths),
            "true": int(truths.sum()),
            "priorWeight": prior_weight,
        },
    )


def _fitted(
    logits: Floats,
    truths: npt.NDArray[np.bool_],
    prior_weight: float,
    *,
    slope: float | None = None,
) -> tuple[float, float]:
    """Return shift and slope of penalised maximum likelihood, by Newton's method."""
    theta = np.array([0.0, 1.0 if slope is None else slope])
    prior, free = theta.copy(), np.array([True, slope is None])
    # A label tells at most 1/4 about the shift, and as much about the slope per squared logit.
    precision = prior_weight / 4.0 * np.array([1.0, max(float(np.mean(logits**2)), 1.0)])
    design = np.column_stack([np.ones_like(logits), logits])[:, free]
    for _ in range(100):
        p = 1.0 / (1.0 + np.exp(-np.clip(theta[0] + theta[1] * logits, -30, 30)))
        gradient = design.T @ (truths - p) - (precision * (theta - prior))[free]
        hessian = (design * (p * (1 - p))[:, None]).T @ design + np.diag(precision[free])
        step = np.linalg.solve(hessian, gradient)
        theta[free] += np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-10:
            break
    return float(theta[0]), float(theta[1])


def _expit(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(min(value, 30.0), -30.0)))
