"""Every page of the documentation: its code runs, its commands are commands, its links lead somewhere."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer

from evolution_lab.cli import main
from evolution_lab.cli.app import app
from evolution_lab.config import SETTING_NAMES
from evolution_lab.lab.pages import page_text, public_names
from evolution_lab.pipeline import EVENTS

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "evolution_lab" / "lab" / "guides"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("evolution_lab/**/guides/*.md")])
RUN_HERE = ["concepts", "tutorial", "how_to", "methods"]
"""Pages whose Python is run here; the other guides are run beside what they are about."""
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FOLDERS = {path.name for path in (ROOT / "evolution_lab").iterdir() if path.is_dir()}
DOTTED = re.compile(r"`(?:evolution_lab\.)?([a-z_]+(?:\.\w+)+)(?:\(.*?\))?`")
PROGRAM = typer.main.get_command(app)
ids = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-")
        for heading in headings
    }


def commands_of(text: str) -> Iterator[list[str]]:
    """Yield what stands behind ``evolution-lab`` in consoles and in code within a line."""
    for block in blocks(text, "console"):
        joined = re.sub(r"\\\n\s*(?:>\s*)?", " ", block)
        for line in joined.splitlines():
            found = re.match(r"\s*\$ (?:\S+/)?evolution-lab (.*)", line)
            if found:
                yield from alternatives(shlex.split(found[1]))
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`evolution-lab ([^`]*)`", prose, re.DOTALL):
        yield from alternatives(shlex.split(" ".join(code.split())))


def alternatives(words: list[str]) -> Iterator[list[str]]:
    """Yield one command for each of ``a|b|c``."""
    for place, word in enumerate(words):
        if re.fullmatch(r"[a-z-]+(\|[a-z-]+)+", word):
            for each in word.split("|"):
                yield [*words[:place], each, *words[place + 1 :]]
            return
    yield words


def accept(arguments: list[str]) -> None:
    """Read a command line as the program would, without running it."""
    command, name = PROGRAM, "evolution-lab"
    words = list(arguments)
    while (inner := getattr(command, "commands", None)) is not None and words:
        if words[0].startswith("-"):
            assert words[0] in {"--help", "--version", "--install-completion"}, words
            return
        assert words[0] in inner, f"{' '.join(arguments)}: no command {words[0]!r}"
        name = words.pop(0)
        command = inner[name]
    if "…" in " ".join(words) or "..." in " ".join(words) or not words:
        known = {option for p in command.params for option in p.opts}
        assert {w for w in words if w.startswith("--")} <= known
        return
    context = command.make_context(name, words)
    if context.params.get("section"):
        sections = importlib.import_module(f"evolution_lab.bench.{name}")
        known = {**sections.SECTIONS, **vars(sections).get("ON_CORPORA", {})}
        assert context.params["section"] in known


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_somewhere(page: Path):
    prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    lost = []
    for target in LINK.findall(prose):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        found = page if not file else page.parent / unquote(file)
        if not found.exists() or (anchor and anchor not in anchors(found)):
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_is_a_command(page: Path):
    for arguments in commands_of(page.read_text("utf-8")):
        try:
            accept(arguments)
        except Exception as error:
            raise AssertionError(f"evolution-lab {shlex.join(arguments)}: {error!r}") from error


@pytest.mark.parametrize("page", sorted(GUIDES.glob("*.md")), ids=lambda page: page.stem)
def test_every_dotted_name_is_there(page: Path):
    lost = []
    for name in DOTTED.findall(page.read_text("utf-8")):
        first, *rest = name.split(".")
        if (
            first not in FOLDERS or first == "lab" or name in EVENTS
        ):  # `lab` is somebody's variable.
            continue
        found = importlib.import_module(f"evolution_lab.{first}")
        for depth, part in enumerate(rest):
            inner = getattr(found, part, None)
            if inner is None:
                try:
                    path = ".".join(["evolution_lab", first, *rest[: depth + 1]])
                    inner = importlib.import_module(path)
                except ImportError:
                    lost.append(name)
                    break
            found = inner
    assert lost == []


@pytest.mark.parametrize("name", RUN_HERE)
def test_the_code_of_a_page_runs_as_it_stands(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    defined = {"__name__": f"page_{name}"}
    code = blocks((GUIDES / f"{name}.md").read_text("utf-8"), "python")
    assert code
    for block in code:
        exec(compile(block, f"{name}.md", "exec"), defined)


def test_a_command_that_is_none_would_be_noticed():
    with pytest.raises(AssertionError):
        accept(["detekt"])
    with pytest.raises(Exception, match="No such option"):
        accept(["detect", "--evry", "1m"])
    assert list(commands_of("```console\n$ evolution-lab land a \\\n    --map b=c\n```")) == [
        ["land", "a", "--map", "b=c"]
    ]


def test_pages_are_listed_and_read(capsys: pytest.CaptureFixture[str]):
    assert main(["docs", "--json"]) == 0
    listed = {entry["page"] for entry in json.loads(capsys.readouterr().out)}
    assert {
        "tutorial",
        "methods",
        "experiments/fastapi",
        "telemetry/fastapi",
        "reference",
    } <= listed
    assert len(listed) == len(list(ROOT.glob("evolution_lab/*/guides/*.md"))) + 1
    assert main(["docs", "how_to"]) == 0
    assert capsys.readouterr().out == (GUIDES / "how_to.md").read_text("utf-8")
    assert main(["docs", "fastapi"]) == 2
    assert "experiments/fastapi" in capsys.readouterr().err
    assert main(["docs", "metods"]) == 2
    assert "Did you mean 'methods'" in capsys.readouterr().err


def test_the_reference_has_every_setting_and_every_public_name(capsys):
    text = page_text("reference")
    assert all(f"`{name}`" in text for name in SETTING_NAMES)
    homes = {name.partition(".")[0] for name in public_names()}
    assert homes >= {"telemetry", "windows", "intents", "golden", "experiments", "lab"}
    assert "`lab.Lab.detect`: Find what changed" in text
    assert main(["docs", "Lab.detect"]) == 0
    said = capsys.readouterr().out
    assert "progress: Called with" in said
    assert "every: 'str | timedelta | None' = None" in said
    assert main(["docs", "Lab.detekt"]) == 2
    assert "Did you mean" in capsys.readouterr().err
