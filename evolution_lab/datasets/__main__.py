"""Writes a synthetic recording: ``python -m evolution_lab.datasets OUT``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from evolution_lab.datasets.recording import DEFAULT_SEED, shop_recording


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the recording and write its spans and labels into a folder."""
    parser = argparse.ArgumentParser(
        prog="python -m evolution_lab.datasets",
        description="Write the synthetic shop's recording: spans.jsonl.gz and faults.json.",
    )
    parser.add_argument("directory", type=Path, help="folder to write into, made if absent")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="default: %(default)s")
    parser.add_argument("--minutes", type=int, default=180, help="default: %(default)s")
    options = parser.parse_args(arguments)
    recording = shop_recording(seed=options.seed, minutes=options.minutes)
    for path in recording.write_otlp(options.directory):
        sys.stderr.write(f"{path}: {path.stat().st_size:,} bytes\n")
    sys.stderr.write(f"{recording.spans.height:,} spans\n{recording}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
