"""Fuzzes everything that strangers reach: ``python tests/fuzz/run.py --inputs 1000000``.

Each target runs in a process of its own, so that one that dies is counted and stops nothing. Prints a
table, and as ``--json FILE`` the figures with the inputs of what went wrong. Ends with 1 where
anything did.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]


def main() -> int:
    """Run all targets, or one here."""
    from fuzz_engine import Figures, fuzz
    from fuzz_readers import reading_targets
    from fuzz_writers import writing_targets

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="Targets whose name has this in it.")
    parser.add_argument("--here", action="store_true", help="In this process, one line of JSON.")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    targets = [*reading_targets(), *writing_targets()]
    whole = sum(target.share for target in targets)
    chosen = [target for target in targets if asked.only is None or asked.only in target.name]
    if asked.here:
        (target,) = chosen
        try:
            print(json.dumps(asdict(fuzz(target, inputs=asked.inputs, seed=asked.seed))))
        finally:
            target.close()
        return 0
    found: dict[str, dict[str, Any]] = {}
    head = (
        "target",
        "inputs",
        "refused",
        "crashes",
        "hangs",
        "lost",
        "slowest, s",
        "grown, MB",
        "CPU, s",
    )
    print("| " + " | ".join(head) + " |\n|---" + "|---:" * (len(head) - 1) + "|", flush=True)
    for target in chosen:
        count = max(1, round(asked.inputs * target.share / whole))
        command = [sys.executable, __file__, "--here", "--only", target.name]
        done = subprocess.run(
            [*command, "--inputs", str(count), "--seed", str(asked.seed)],
            stdout=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            figures = Figures(inputs=count, crashes=1)
            figures.examples.append(("", f"the process ended with {done.returncode}"))
        else:
            figures = Figures(**json.loads(done.stdout.splitlines()[-1]))
        found[target.name] = asdict(figures)
        cells = (
            target.name, f"{figures.inputs:,}", f"{figures.refused:,}", figures.crashes,
            figures.hangs, figures.lost, f"{figures.slowest_seconds:.3f}", figures.grown_mb,
            f"{figures.seconds:.0f}",
        )  # fmt: skip
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
        for given, reason in figures.examples[:3]:
            print(f"    {reason[:300]}\n      of {given[:300]}", file=sys.stderr, flush=True)
    total = sum(each["inputs"] for each in found.values())
    wrong = sum(each[name] for each in found.values() for name in ("crashes", "hangs", "lost"))
    print(f"\n{total:,} inputs, {wrong} went wrong.")
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
