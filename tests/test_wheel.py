"""The wheel is whole: installed elsewhere, it runs the demo in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUNDLED = {
    "evolution_lab/": "evolution_lab/",
    "data/sample/": "evolution_lab/_bundled/sample/",
    "notebooks/": "evolution_lab/_bundled/notebooks/",
}
REPORTS = ("suggestions.html", "suggestions.json", "suggestions.md")


@dataclass(frozen=True)
class Run:
    """One run of the demo: what it printed and every file it left, by relative path."""

    done: subprocess.CompletedProcess[str]
    files: dict[str, bytes]


@dataclass(frozen=True)
class Installation:
    """A virtual environment with the wheel in it."""

    bin: Path

    def run(self, folder: Path, *arguments: str) -> Run:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("EVOLUTION_LAB_", "COV"))}
        done = subprocess.run(
            [self.bin / "evolution-lab", *arguments],
            cwd=folder,
            env={k: v for k, v in kept.items() if k != "PYTHONPATH"},
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return Run(done, {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths})


def pip(*arguments: str | Path, python: Path = Path(sys.executable)) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "--quiet", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="builds wheels; in requirements/test.txt")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("evolution_lab-*.whl")
    return built


@pytest.fixture(scope="module")
def contents(wheel: Path) -> frozenset[str]:
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(archive.namelist())


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel alone, with the libraries of the environment of the tests behind it.

    The path to the libraries is added after the wheel is installed, so that pip sees no other
    installation of the package, and last, so that none is imported.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    builder = venv.EnvBuilder(with_pip=False, symlinks=True)
    builder.create(folder)
    environment = builder.ensure_directories(folder)
    python = Path(environment.env_exe)
    pip("install", "--no-deps", "--no-index", "--no-compile", wheel, python=python)
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    libraries = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (Path(site) / "libraries.pth").write_text("\n".join(libraries) + "\n", encoding="utf-8")
    return Installation(Path(environment.bin_path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="module")
def first(installation: Installation, folder: Path) -> Run:
    return installation.run(folder, "demo")


@pytest.mark.parametrize("source", sorted(BUNDLED))
def test_wheel_carries_what_is_tracked_and_no_more(source: str, contents: frozenset[str]):
    listed = subprocess.run(
        ["git", "ls-files", "-z", source], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    tracked = {BUNDLED[source] + name.removeprefix(source) for name in listed.split("\0") if name}
    others = [target for target in BUNDLED.values() if target != BUNDLED[source]]
    carried = {
        name
        for name in contents
        if name.startswith(BUNDLED[source])
        and not any(name.startswith(o) and len(o) > len(BUNDLED[source]) for o in others)
    }
    assert tracked
    assert tracked - carried == set()
    if not os.environ.get("EVOLUTION_LAB_DIRTY_TREE"):
        assert carried - tracked == set()


def test_wheel_holds_nothing_else(contents: frozenset[str]):
    tops = {name.partition("/")[0] for name in contents}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"evolution_lab"}
    assert any(name.endswith("licenses/LICENSE") for name in contents)


def test_installed_package_is_the_wheels_own(installation: Installation, folder: Path):
    done = subprocess.run(
        [installation.bin / "python", "-c", "import evolution_lab; print(evolution_lab.__file__)"],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(installation.bin.parent)


def test_demo_runs_in_an_empty_folder(first: Run):
    assert first.done.returncode == 0, first.done.stdout + first.done.stderr
    missing = [name for name in REPORTS if not first.files.get(f"reports/{name}")]
    assert missing == []


def test_demo_decides_on_one_suggestion(first: Run):
    envelopes = [name for name in first.files if name.endswith(".suggestion.json")]
    assert len(envelopes) == 1, envelopes
    assert envelopes[0].startswith("reports/generated/")


def test_demo_run_again_ends_the_same_way(installation: Installation, folder: Path, first: Run):
    again = installation.run(folder, "demo")
    assert again.done.returncode == 0, again.done.stdout + again.done.stderr
    parts = {
        name for name in first.files if name.startswith("data/lake/") and "/locks/" not in name
    }
    kept = {n for n in again.files if n.startswith("data/lake/") and "/locks/" not in n}
    assert kept == parts, "new files in the lake: the second run landed rows again"
    reports = {name for name in first.files if name.startswith("reports/")}
    assert {name for name in again.files if name.startswith("reports/")} == reports
    assert [name for name in sorted(reports) if again.files[name] != first.files[name]] == []
