"""Golden tests: takes recorded traffic, gives test suites that guard what works, and verdicts."""

from evolution_lab.golden.comparison import Difference, compare
from evolution_lab.golden.emitting import emit
from evolution_lab.golden.from_production import recent_snapshots
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.http_snapshots import HeaderList
from evolution_lab.golden.importing import ImportReport, import_traffic
from evolution_lab.golden.recorder import TrafficRecorder
from evolution_lab.golden.recorder_counts import RecorderCounts
from evolution_lab.golden.runners import http_runner
from evolution_lab.golden.running import run_golden_tests
from evolution_lab.golden.side_files import EmitSettings
from evolution_lab.golden.store import InMemoryTrafficStore, TrafficStore
from evolution_lab.golden.store_lake import LakeTrafficStore
from evolution_lab.golden.suite import GoldenCase, GoldenStep, GoldenSuite
from evolution_lab.golden.suite_code import (
    generate_jest_suite,
    generate_pytest_suite,
    generate_vitest_suite,
)
from evolution_lab.golden.verdicts import CaseResult, GoldenRun

__all__ = [
    "CaseResult",
    "Difference",
    "EmitSettings",
    "GoldenCase",
    "GoldenRun",
    "GoldenStep",
    "GoldenSuite",
    "GoldenTestGenerator",
    "HeaderList",
    "ImportReport",
    "InMemoryTrafficStore",
    "LakeTrafficStore",
    "RecorderCounts",
    "TrafficRecorder",
    "TrafficStore",
    "compare",
    "emit",
    "generate_jest_suite",
    "generate_pytest_suite",
    "generate_vitest_suite",
    "http_runner",
    "import_traffic",
    "recent_snapshots",
    "run_golden_tests",
]
