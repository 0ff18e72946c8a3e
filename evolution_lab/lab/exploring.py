"""Looking around in a lab: linked figures and the frames behind them."""

from __future__ import annotations

from datetime import timedelta

from evolution_lab.export.exploration import Explorer
from evolution_lab.lab.querying import LabQueries
from evolution_lab.windows import operation_samples


class LabExploration(LabQueries):
    """Figures of what a lab holds; see ``Lab``."""

    def explore(self, *, every: str | timedelta | None = None, theme: str = "light") -> Explorer:
        """Return linked views: surprise by operation and time, latency before and after, errors.

        Args:
            every: Window length; the setting ``window`` without it.
            theme: ``light`` or ``dark``.

        Raises:
            EmptyLakeError: Nothing has been landed.
        """
        return Explorer(
            detection=self.detect(every=every),
            evidence=self.evidence(every=every),
            windows=self.windows(every=every),
            samples=operation_samples(self.samples(), exclude=self.config.exclude),
            deployments=self.deploys(every=every).verdicts,
            theme=theme,
        )
