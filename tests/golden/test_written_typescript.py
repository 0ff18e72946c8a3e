"""Suites written for Vitest and Jest, run as a user runs them: each ending is told from the others."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evolution_lab.golden.emitting import emit
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.running import run_written
from evolution_lab.golden.side_files import EmitSettings
from evolution_lab.records import OperationRef, RecordedError, TrafficSnapshot

PACKAGES = Path(__file__).parents[1] / "js"
RUNNER = """
export async function run(sent: { kind: string }): Promise<unknown> {
  if (sent.kind === "slow") await new Promise((resolve) => setTimeout(resolve, 60_000));
  if (sent.kind === "declined") throw Object.assign(new Error("no"), { name: "Declined", code: "NO_FUNDS" });
  if (sent.kind === "other") throw Object.assign(new Error("no"), { name: "Declined", code: "OTHER" });
  return sent.kind === "drift" ? { paid: false } : { paid: true };
}
export function setup(title: string): void { void title; }
"""


def snapshots() -> list[TrafficSnapshot]:
    def call(kind: str, **came: Any) -> TrafficSnapshot:
        return TrafficSnapshot(
            id=kind,
            operation=OperationRef("pay"),
            input={"kind": kind},
            success="error" not in came,
            timestamp=datetime(2026, 1, 1, tzinfo=UTC),
            **came,
        )

    error = RecordedError(name="Declined", message="no", code="NO_FUNDS")
    return [
        call("fine", output={"paid": True}),
        call("drift", output={"paid": True}),
        call("slow", output={"paid": True}),
        call("declined", error=error),
        call("other", error=error),
        call("missing", error=error),
    ]


@pytest.fixture
def folder(tmp_path: Path, require_or_skip: Any) -> Path:
    if shutil.which("npx") is None:
        require_or_skip("node", "npx is not on the PATH")
    if not (PACKAGES / "node_modules" / ".bin" / "vitest").exists():
        require_or_skip("node", "tests/js has no packages: make javascript")
    (tmp_path / "node_modules").symlink_to(os.path.realpath(PACKAGES / "node_modules"))
    for name in ("jest.config.cjs", "package.json", "tsconfig.json"):
        shutil.copy(PACKAGES / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("framework", "standalone"),
    [
        ("vitest", True),
        ("jest", False),
        pytest.param("vitest", False, marks=pytest.mark.slow),
        pytest.param("jest", True, marks=pytest.mark.slow),
    ],
)
def test_every_ending_is_told_apart(framework: str, standalone: bool, folder: Path) -> None:
    (folder / "runner.ts").write_text(RUNNER)
    suite = GoldenTestGenerator().generate(snapshots())
    output = folder / "pay.golden.test.ts"
    settings = EmitSettings(
        framework=framework,  # type: ignore[arg-type]
        runner_import="./runner",
        runner_fn="run",
        standalone=standalone,
        timeout_seconds=1.0,
    )
    emit(suite, output, settings).write(output)
    assert (folder / "golden-runtime.ts").exists() is not standalone
    found = run_written([output], timeout_seconds=120.0)
    assert {result.verdict for result in found.results} == {
        "pass", "drift", "timeout", "wrong-error", "missing-error",
    }  # fmt: skip
    assert found.exit_code == 1
    (folder / "runner.ts").write_text("export const nothing = 1;\n")
    broken = run_written([output], timeout_seconds=120.0)
    assert {result.verdict for result in broken.results} == {"could-not-run"}
    assert broken.exit_code == 2
