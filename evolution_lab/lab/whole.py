"""``Lab`` itself: frames, findings, decisions, SQL and exports in one object."""

from __future__ import annotations

from evolution_lab.lab.exporting import LabExports


class Lab(LabExports):
    """A lab directory, and all that can be asked of it.

    Args:
        data: The lab directory; made by the first landing.
        config: A settings file or ready settings; looked for in ``data`` and the current directory
            otherwise.
        reports: Where reports and envelopes of approved suggestions are written.
        **settings: Single settings that win over the file and the environment.

    Raises:
        ConfigError: A setting is unknown or breaks its rule.
        PathNotFoundError: ``config`` names a file that does not exist.

    Examples:
        >>> import tempfile
        >>> from evolution_lab.datasets import sample_path
        >>> lab = Lab(tempfile.mkdtemp(), config=sample_path() / "evolution_lab.toml")
        >>> lab.land(sample_path()).rows_added > 10_000
        True
        >>> sorted({signal.kind for signal in lab.detect().signals})
        ['error-spike', 'latency-regression', 'throughput-drop']
    """
