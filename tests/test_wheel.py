"""The wheel is whole: installed elsewhere, it runs the demo in an empty folder."""

from __future__ import annotations

import os
import re
import shutil
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
WIDTH = "100"
REPORTS = ("suggestions.html", "suggestions.json", "suggestions.md")


def cut_off() -> tuple[str, ...]:
    """What runs a command without any network, nothing where the system does not allow it."""
    command = ("unshare", "--net", "--map-root-user")
    if shutil.which(command[0]) is None:
        return ()
    tried = subprocess.run([*command, "true"], check=False, capture_output=True)
    return command if tried.returncode == 0 else ()


CUT_OFF = cut_off()


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
            [*CUT_OFF, self.bin / "evolution-lab", *arguments],
            cwd=folder,
            env={k: v for k, v in kept.items() if k != "PYTHONPATH"} | {"COLUMNS": WIDTH},
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


def bundled_files() -> set[str]:
    """Where the wheel should hold the files that are tracked, or would be if they were added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *BUNDLED],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {
        target + name.removeprefix(source)
        for name in listed.split("\0")
        for source, target in BUNDLED.items()
        if name.startswith(source) and (ROOT / name).is_file()
    }


@pytest.mark.parametrize("source", sorted(BUNDLED))
def test_there_is_something_to_carry(source: str):
    assert any(name.startswith(BUNDLED[source]) for name in bundled_files())


def test_wheel_carries_the_package_the_sample_and_the_notebooks(contents: frozenset[str]):
    carried = {name for name in contents if name.startswith("evolution_lab/")}
    assert bundled_files() - carried == set()
    assert carried - bundled_files() == set()


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


def test_demo_needs_no_network(first: Run):
    if not CUT_OFF:
        pytest.skip("this system does not let a command be cut off from the network")
    assert first.done.returncode == 0, first.done.stderr


def test_demo_decides_on_one_suggestion(first: Run):
    envelopes = [name for name in first.files if name.endswith(".suggestion.json")]
    assert len(envelopes) == 1, envelopes
    assert envelopes[0].startswith("reports/generated/")


def test_demo_run_again_ends_the_same_way(installation: Installation, folder: Path, first: Run):
    again = installation.run(folder, "demo")
    assert again.done.returncode == 0, again.done.stdout + again.done.stderr
    assert landed(again) == landed(first) != set()
    assert reports(again) == reports(first)


def landed(run: Run) -> set[str]:
    """Published batches and the files of their rows; a new one would be new rows."""
    return {
        name
        for name in run.files
        if "lake" in Path(name).parts
        and ("batches" in Path(name).parts or name.endswith(".parquet"))
    }


def reports(run: Run) -> dict[str, bytes]:
    return {name: data for name, data in run.files.items() if name.startswith("reports/")}


def test_readme_shows_what_the_demo_prints(first: Run):
    """Every line of the README's first block of text, in order; spaces and rules aside."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = text.partition("```text\n")[2].partition("```")[0]
    printed = iter([words(line) for line in first.done.stdout.splitlines()])
    lines = [words(line) for line in shown.splitlines() if words(line)]
    assert lines, "the README does not show what `make demo` prints"
    missing = [line for line in lines if line not in printed]
    assert missing == []


def words(line: str) -> str:
    return " ".join(re.sub(r"[^\w\s.,:;%/{}()<>=~+-]", " ", line).split())
