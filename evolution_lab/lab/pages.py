"""The documentation that comes with the package: its guides, and the reference of its public names."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import evolution_lab
from evolution_lab.display import ResultMixin
from evolution_lab.errors import AmbiguousNameError, UnknownNameError
from evolution_lab.lab.settings_file import setting_meanings

_PACKAGE: Final = Path(__file__).parents[1]
_FIRST: Final = ("tutorial", "concepts", "how_to", "methods", "coming_from_contractspec")


@dataclass(frozen=True)
class Page:
    """One guide.

    Attributes:
        name: ``methods``; with its folder (``experiments/fastapi``) where two folders have one.
        title: Its heading.
        path: Its file, Markdown.
    """

    name: str
    title: str
    path: Path


@dataclass(frozen=True)
class Pages(ResultMixin):
    """All guides, those to begin with first."""

    pages: tuple[Page, ...]
    _title: ClassVar[str] = "Guides"

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return name and title of each."""
        return [{"page": page.name, "about": page.title} for page in self.pages]


def guide_pages() -> Pages:
    """Return the guides that come with the package.

    Examples:
        >>> guide_pages().pages[0].name
        'tutorial'
    """
    files = sorted(_PACKAGE.glob("*/guides/*.md"))
    stems = [file.stem for file in files]
    found = []
    for file in files:
        whole = f"{file.parts[-3]}/{file.stem}"
        name = file.stem if stems.count(file.stem) == 1 else whole
        title = file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        found.append(Page(name, title, file))
    order = {name: place for place, name in enumerate(_FIRST)}
    return Pages(tuple(sorted(found, key=lambda p: (order.get(p.name, len(order)), p.name))))


def page_text(name: str) -> str:
    r"""Return a guide, the reference, or what one public name is for, as Markdown.

    Args:
        name: A page (``methods``), ``reference``, or a public name (``Lab.detect``,
            ``windows.aggregate``).

    Raises:
        UnknownNameError: Neither a page nor a public name is called this.
        AmbiguousNameError: Two folders have a page of this name.

    Examples:
        >>> page_text("concepts").partition("\n")[0]
        '# Concepts'
        >>> page_text("windows.aggregate").startswith("## windows.aggregate(")
        True
    """
    if name == "reference":
        return reference_text()
    pages = guide_pages().pages
    fitting = [page for page in pages if name in {page.name, page.path.stem}]
    if len(fitting) > 1:
        raise AmbiguousNameError("page", name, [page.name for page in fitting])
    if fitting:
        return fitting[0].path.read_text(encoding="utf-8")
    names = public_names()
    wanted = name.removeprefix("evolution_lab.")
    matching = [full for full in names if full == wanted or full.endswith(f".{wanted}")]
    if wanted in matching:
        matching = [wanted]
    if len(matching) > 1:
        raise AmbiguousNameError("name", name, matching)
    if not matching:
        raise UnknownNameError("page", name, ["reference", *(page.name for page in pages), *names])
    return _entry(matching[0], names[matching[0]])


def public_names() -> dict[str, Any]:
    """Return every public name of the package's folders, and the public methods of its classes."""
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(evolution_lab.__path__):
        if not module.ispkg or module.name.startswith("_") or module.name == "cli":
            continue
        home = importlib.import_module(f"evolution_lab.{module.name}")
        for name in home.__all__:
            thing = getattr(home, name)
            found[f"{module.name}.{name}"] = thing
            if inspect.isclass(thing):
                for attribute, method in inspect.getmembers(thing, callable):
                    own = getattr(method, "__module__", "") or ""
                    if not attribute.startswith("_") and own.startswith("evolution_lab"):
                        found[f"{module.name}.{name}.{attribute}"] = method
    return found


def reference_text() -> str:
    """Return settings and public names, each with its first sentence, as Markdown."""
    lines = ["# Reference", "", "One of them whole: `evolution-lab docs windows.aggregate`.", ""]
    lines += ["## Settings", ""]
    lines += [f"- `{name}`: {meaning}" for name, meaning in setting_meanings().items()]
    folder = ""
    for name, thing in public_names().items():
        home = name.partition(".")[0]
        if home != folder:
            folder = home
            module = importlib.import_module(f"evolution_lab.{folder}")
            lines += ["", f"## evolution_lab.{folder}", "", _first_sentence(module), ""]
        if inspect.isclass(thing) or callable(thing):
            lines.append(f"- `{name}`: {_first_sentence(thing)}")
    return "\n".join(lines) + "\n"


def _first_sentence(thing: object) -> str:
    paragraph = (inspect.getdoc(thing) or "").partition("\n\n")[0]
    return " ".join(paragraph.split())


def _entry(name: str, thing: object) -> str:
    try:
        signature = str(inspect.signature(thing)) if callable(thing) else ""
    except (TypeError, ValueError):
        signature = ""
    return f"## {name}{signature}\n\n{inspect.getdoc(thing) or ''}\n"
