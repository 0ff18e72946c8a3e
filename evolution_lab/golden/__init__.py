"""Golden tests: takes recorded traffic, gives test suites that guard what works, and verdicts."""

from evolution_lab.golden.comparison import Difference, compare
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.http_snapshots import HeaderList
from evolution_lab.golden.importing import ImportReport, import_traffic
from evolution_lab.golden.recorder import RecorderCounts, TrafficRecorder
from evolution_lab.golden.store import InMemoryTrafficStore, TrafficStore
from evolution_lab.golden.store_lake import LakeTrafficStore
from evolution_lab.golden.suite import GoldenCase, GoldenStep, GoldenSuite

__all__ = [
    "Difference",
    "GoldenCase",
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
    "import_traffic",
]
