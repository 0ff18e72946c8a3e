"""Handing a lab on: one file without anybody's data."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from evolution_lab import __version__
from evolution_lab.export.lab_file import LabContents, write_lab_file
from evolution_lab.export.lab_sanitising import sanitised
from evolution_lab.lab.opened import OpenedLab
from evolution_lab.lab.rolling_out import LabRollouts
from evolution_lab.redaction import LabKey


class LabExports(LabRollouts):
    """A lab as a file, out and in; see ``Lab``."""

    def export(self, file: str | Path, *, every: str | timedelta | None = None) -> Path:
        """Write windows, signals, suggestions and decisions to one file for a colleague.

        Texts are sanitised again on the way out. Samples and recorded calls, and with them every
        actor, session and trace, stay in the lab.

        Args:
            file: Where to; replaced where it exists.
            every: Window length; the setting ``window`` without it.

        Returns:
            The file.

        Raises:
            EmptyLakeError: Nothing has been landed.
            UnsafePayloadError: Something personal or secret would remain.
            LakeError: The file cannot be written.
        """
        contents = LabContents(
            windows=self.windows(every=every, latency_bins=True),
            detection=self._with_deployments(self.detect(every=every), every),
            suggestions=self.suggestions(),
            data_digest=self.lake.digest(),
            package_version=__version__,
        )
        return write_lab_file(sanitised(contents, LabKey.open(self.data)), Path(file))

    @staticmethod
    def open_export(file: str | Path) -> OpenedLab:
        """Open what ``export`` wrote, to look at.

        Raises:
            PathNotFoundError: There is no such file.
            CorruptFileError: It is no exported lab, or is damaged.
            FormatVersionError: A newer version of the package wrote it.
        """
        return OpenedLab(file)
