"""The names people import, and what importing them and asking for help costs."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import evolution_lab

ROOT = Path(__file__).parents[1]
MOST_NAMES = 20
HELP_CPU_SECONDS = 0.5
RUNS = 5

SURFACE = [
    "DetectionResult",
    "EvolutionConfig",
    "EvolutionLabError",
    "IntentAggregator",
    "IntentDetector",
    "IntentSignal",
    "Lab",
    "OperationRef",
    "SpecAnalyzer",
    "SpecGenerator",
    "SpecSuggestion",
    "TelemetrySample",
]
HEAVY = ("polars", "pandera", "duckdb", "numpy", "pyarrow", "scipy", "statsmodels", "plotly")


def clean_environment() -> dict[str, str]:
    """The environment without what would make a child measure its own coverage."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("COV_CORE_", "COVERAGE_"))}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=clean_environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def cpu_seconds(*arguments: str) -> float:
    """User and system time of one run of the interpreter; the best of several, as others interrupt."""
    best = float("inf")
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = python(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = min(best, spent)
    return best


def test_surface_is_small_and_as_listed():
    assert evolution_lab.__all__ == SURFACE
    assert sorted(SURFACE) == SURFACE
    assert len(SURFACE) <= MOST_NAMES


@pytest.mark.parametrize("name", SURFACE)
def test_name_resolves_and_is_listed_by_dir(name: str):
    value = getattr(evolution_lab, name)
    assert value.__name__ == name
    assert name in dir(evolution_lab)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Laboratory'"):
        _ = evolution_lab.Laboratory


def test_import_is_lazy():
    code = f"import sys, evolution_lab; print([n for n in {HEAVY} if n in sys.modules])"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_help_is_printed():
    done = python("-m", "evolution_lab", "--help")
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout
    assert "land" in done.stdout


def test_help_costs_little():
    extra = cpu_seconds("-m", "evolution_lab", "--help") - cpu_seconds("-c", "pass")
    assert extra < HELP_CPU_SECONDS, f"{extra:.2f} s of CPU, must be < {HELP_CPU_SECONDS} s."


def test_commands_of_a_lab_wait_for_no_statistics_that_they_do_not_use():
    """A second of CPU for each command: tests import scipy.stats and statsmodels where they run."""
    loaded = python("-c", "import sys, evolution_lab.lab as lab; lab.Lab; print(*sys.modules)")
    assert loaded.returncode == 0, loaded.stderr
    names = set(loaded.stdout.split())
    assert "evolution_lab.lab.whole" in names
    assert names.isdisjoint({"scipy.stats", "scipy.optimize", "statsmodels.api", "ipywidgets"})
