"""Writes the report of the tests' scene into a folder; run under several hash seeds."""

import runpy
import sys
from pathlib import Path

from evolution_lab.export import write_report

if __name__ == "__main__":
    scene = runpy.run_path(str(Path(__file__).with_name("conftest.py")))["make_scene"]()
    write_report(
        Path(sys.argv[1]),
        detection=scene.detection,
        windows=scene.windows,
        suggestions=scene.suggestions,
        provenance=scene.provenance,
    )
