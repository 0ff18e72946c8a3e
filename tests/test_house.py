"""What holds for the repository as a whole: its order, its files, what it must never carry."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "evolution_lab"
LONGEST_MODULE = 500
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
PINNED = re.compile(r"^[a-z0-9][a-z0-9-]*==[^\s;@]+( ; [^@]+)?$")
LOCK_FILES_WITH_ADDRESSES = {"uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock"}

# Somebody's home, a mounted workspace: a path that holds on one machine.
MACHINE_PATH = re.compile(r"(?<![\w./:-])/(?:root|work|home/\w+|Users/\w+|workspace)/[\w.-]+")
# Where packages are downloaded from; a project's page on an index is a link, not a source.
PACKAGE_SOURCE = re.compile(r"https?://[^\s\"'<>)]*(?:/simple\b|pythonhosted\.org|registry\.npmjs)")


@cache
def tracked() -> tuple[str, ...]:
    """Paths under version control, relative to the root; those deleted but not committed left out."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("these files are not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return tuple(sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file()))


@cache
def texts() -> dict[str, str]:
    """Tracked text files by name; what is not UTF-8 is left out."""
    found = {}
    for name in tracked():
        try:
            found[name] = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def makefile_targets() -> dict[str, str]:
    """Targets that ``make help`` lists, with what it says of them."""
    return dict(
        re.findall(r"^([a-z-]+):.*?## (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )


def pins(name: str) -> list[str]:
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


# The order of the folders


def test_data_flows_one_way():
    lint_imports = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [lint_imports, "--no-cache"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_packages_are_imported_at_the_top_of_modules():
    """In-function imports of the package hide cycles; only the command line may save time so."""
    hidden = [
        f"{path.relative_to(ROOT)}:{inner.lineno}"
        for path in modules()
        if "cli" not in path.relative_to(PACKAGE).parts
        for outer in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
        if imports_own_package(inner)
    ]
    assert hidden == []


def imports_own_package(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or (node.module or "").partition(".")[0] == PACKAGE.name
    return isinstance(node, ast.Import) and any(
        alias.name.partition(".")[0] == PACKAGE.name for alias in node.names
    )


# Modules


def test_there_are_modules_to_look_at():
    assert PACKAGE / "errors.py" in modules()


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_module_says_what_it_holds(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_module_is_short_and_named_by_what_it_holds(path: Path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_MODULE, f"{lines} lines, must be <= {LONGEST_MODULE}."
    assert path.stem not in {"utils", "util", "helpers", "common", "core", "misc"}


def test_every_folder_of_the_package_is_a_package_that_lists_its_names():
    for folder in sorted({path.parent for path in modules()}):
        init = folder / "__init__.py"
        assert init.is_file(), f"{folder.relative_to(ROOT)} has no __init__.py"
        assert "__all__" in init.read_text(encoding="utf-8"), (
            f"{init.relative_to(ROOT)}: no __all__"
        )


def test_package_is_typed():
    assert (PACKAGE / "py.typed").is_file()


# What is written down


@pytest.mark.parametrize("target", sorted(makefile_targets()))
def test_make_target_is_documented(target: str):
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS)
    assert re.search(rf"\bmake {target}(?![\w-])", text), f"no document names `make {target}`"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documented_make_target_exists(document: str):
    text = (ROOT / document).read_text(encoding="utf-8")
    code = " ".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", code))
    assert named
    assert named <= makefile_targets().keys()


@pytest.mark.parametrize("document", [*DOCUMENTS, "CHANGELOG.md", "reports/README.md"])
def test_links_between_files_lead_somewhere(document: str):
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r'(?:src|href)="([^"#]+)"', text)
    local = [target for target in targets if "://" not in target]
    missing = [t for t in local if not ((ROOT / document).parent / t).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_has_no_open_places(document: str):
    assert "<!-- open:" not in (ROOT / document).read_text(encoding="utf-8")


def test_contributing_places_every_folder_of_the_package():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    children = sorted(
        f"{child.name}/" if child.is_dir() else child.name
        for child in PACKAGE.iterdir()
        if child.suffix == ".py" or (child / "__init__.py").is_file()
    )
    unplaced = [c for c in children if not c.startswith("__") and f"`{c}`" not in text]
    assert unplaced == []


def test_changelog_opens_with_the_version_of_the_package():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    init = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    assert f'__version__ = "{project["version"]}"' in init
    assert f"## [{project['version']}]" in text


# What must never be carried


@pytest.mark.parametrize(
    ("pattern", "what"),
    [(MACHINE_PATH, "a path of one machine"), (PACKAGE_SOURCE, "the address of a package index")],
    ids=["machine-path", "package-source"],
)
def test_no_tracked_file_carries(pattern: re.Pattern[str], what: str):
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
        for name, text in texts().items()
        if name != "tests/test_house.py"
        for match in pattern.finditer(text)
    ]
    assert found == [], f"{what} is in {', '.join(found)}"


def test_no_tracked_file_names_this_machine():
    places = {str(ROOT), str(ROOT.parent), os.path.expanduser("~")}  # noqa: PTH111
    telling = sorted(place for place in places if len(Path(place).parts) > 2)
    found = [(name, p) for name, text in texts().items() for p in telling if f"{p}/" in text]
    assert found == []


def test_no_lock_file_with_addresses():
    names = {Path(name).name for name in tracked()}
    assert names.isdisjoint(LOCK_FILES_WITH_ADDRESSES)


@pytest.mark.parametrize("name", ["demo.txt", "test.txt"])
def test_requirements_are_pins_and_nothing_else(name: str):
    assert pins(name)
    assert [line for line in pins(name) if not PINNED.match(line)] == []


def test_demo_installs_nothing_that_tests_do_not_see():
    # a package that several need is pinned for more platforms: only its version must be the same
    demo, test = (
        {pin.partition(";")[0].strip() for pin in pins(name)} for name in ("demo.txt", "test.txt")
    )
    assert demo <= test


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = {
        name: {pin.partition("==")[0] for pin in pins(name)} for name in ("demo.txt", "test.txt")
    }
    runtime = {requirement_name(r) for r in project["project"]["dependencies"]}
    tools = {
        requirement_name(r) for r in project["dependency-groups"]["test"] if isinstance(r, str)
    }
    assert runtime <= pinned["demo.txt"]
    assert runtime | tools <= pinned["test.txt"]


def requirement_name(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_lab_directories_are_not_tracked():
    """A key or landed traffic in the repository would be personal data that is published."""
    kept = re.compile(
        r"^(data/(?!sample/)|reports/(?!(README\.md|(example|review|notebook|notebook_dark)\.png)$))|(^|/)\.key$|\.duckdb$"
    )
    assert [name for name in tracked() if kept.search(name)] == []
