"""Write a small lab with everything in it, to be kept as a fixture for later versions.

    python tests/compatibility/write_lab.py lab-YYYY-MM-DD.zip

Run it with the package whose format is to be kept: one fixture a change of format.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evolution_lab import Lab
from evolution_lab.datasets import null_samples, plant

START = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = timedelta(minutes=1)
EXPERIMENT = """
key = "null-1"
operation = "GET /null/1"
stages = [0.05, 1.0]
control = { operation = "GET /null/1", version = "1.0.0" }
variant = { operation = "GET /null/1", version = "1.1.0" }
"""


def main(target: Path) -> None:
    """Write the fixture."""
    with tempfile.TemporaryDirectory() as made:
        # Nothing of this machine goes into what is kept: paths are relative, the key stays here.
        os.chdir(made)
        folder = Path()
        lab = Lab(folder / "data", window="1m")
        samples = null_samples(
            calls=12, windows=90, operations=2, window=WINDOW, start=START, seed=5
        )
        faulty = plant(
            samples,
            start=START + 70 * WINDOW,
            end=START + 90 * WINDOW,
            error_points=0.6,
            op_ids=[int(samples["op_id"][0])],
        )
        half = START + 45 * WINDOW
        lab.land(faulty.filter(faulty["timestamp"] < half).drop("op_id", "row_id"))
        lab.land(faulty.filter(faulty["timestamp"] >= half).drop("op_id", "row_id"))
        (folder / "traffic.har").write_text(json.dumps(_har()), encoding="utf-8")
        lab.import_traffic(folder / "traffic.har")
        suggestions = lab.suggest()
        lab.approve(suggestions[0].id, reviewer="ada", notes="kept for later versions")
        (folder / "experiment.toml").write_text(EXPERIMENT, encoding="utf-8")
        for arguments in (
            ["experiment", "register", str(folder / "experiment.toml"), "--by", "ada"],
            ["test", "generate-all", "--output", str(folder / "golden"), "--runner", "http",
             "--base-url", "http://127.0.0.1:8000"],
        ):  # fmt: skip
            command = [sys.executable, "-m", "evolution_lab", *arguments, "--data", str(lab.data)]
            subprocess.run(command, check=True)
        told = {
            "rows": lab.samples().collect().height,
            "windows": lab.windows().height,
            "suggestions": sorted(suggestion.id for suggestion in lab.suggestions()),
            "approved": suggestions[0].id,
            "signals": sorted(signal.id for signal in lab.detect().signals),
        }
        (folder / "told.json").write_text(json.dumps(told), encoding="utf-8")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(folder).as_posix()
                if path.is_file() and not name.endswith((".lock", ".waiting", ".key")):
                    packed.write(path, name)


def _har() -> dict[str, object]:
    entries = [
        {
            "startedDateTime": (START + timedelta(minutes=number)).isoformat(),
            "time": 12.5,
            "request": {
                "method": "GET",
                "url": f"http://shop.example/things/{number}",
                "headers": [],
                "queryString": [],
            },
            "response": {
                "status": 200,
                "headers": [{"name": "content-type", "value": "application/json"}],
                "content": {
                    "mimeType": "application/json",
                    "text": json.dumps({"id": number, "name": f"thing {number}"}),
                },
            },
        }
        for number in range(12)
    ]
    return {"log": {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": entries}}


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
