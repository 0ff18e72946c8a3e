"""What ``doctor`` says of the installation; it loads none of the libraries it looks for."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar, Final, Literal

from packaging.requirements import Requirement

from evolution_lab import __version__
from evolution_lab.display import ResultMixin

DISTRIBUTION: Final = "evolution-lab"
Outcome = Literal["ok", "note", "failed"]
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        outcome: ``ok``; ``note`` for what may be meant so; ``failed`` for what must be mended.
        found: What was found.
        advice: What to do; empty where there is nothing to do.
    """

    name: str
    outcome: Outcome
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Examination(ResultMixin):
    """What ``doctor`` found.

    Attributes:
        checks: In the order in which they were made.
    """

    _title: ClassVar[str] = "Doctor"

    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Whether no check failed."""
        return all(check.outcome != "failed" for check in self.checks)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row a check: ``check``, ``outcome``, ``found`` and ``advice``."""
        return [
            {"check": c.name, "outcome": c.outcome, "found": c.found, "advice": c.advice}
            for c in self.checks
        ]


def examine_installation(
    *,
    requirements: list[str] | None = None,
    version_of: Callable[[str], str] = metadata.version,
) -> Examination:
    """Look at the interpreter, the libraries that are needed, and the extras.

    Args:
        requirements: What is needed, in the words of PEP 508; what this distribution declares
            without it.
        version_of: Says the version of an installed distribution, and raises
            ``PackageNotFoundError`` where there is none.

    Examples:
        >>> found = examine_installation(requirements=["polars>=999"])
        >>> found.checks[-1].name, found.checks[-1].outcome
        ('libraries', 'failed')
    """
    version = platform.python_version()
    checks = [
        Check(name="python", outcome="ok", found=f"{version} on {platform.system()}")
        if sys.version_info >= (3, 11)
        else Check(
            name="python", outcome="failed", found=version, advice="Install Python 3.11 or later."
        )
    ]
    if requirements is None:
        try:
            requirements = metadata.requires(DISTRIBUTION) or []
        except metadata.PackageNotFoundError:
            checks.append(
                Check(
                    name="package",
                    outcome="note",
                    found=f"{__version__}, run from a folder without being installed",
                    advice="pip install --editable . gives the command and checks of libraries.",
                )
            )
            return Examination(tuple(checks))
    checks.append(Check(name="package", outcome="ok", found=f"{DISTRIBUTION} {__version__}"))
    always, extras = _split([Requirement(text) for text in requirements])
    checks.append(_libraries(always, version_of))
    checks += [_extra(name, needed, version_of) for name, needed in sorted(extras.items())]
    return Examination(tuple(checks))


def _split(
    requirements: list[Requirement],
) -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """Part what is always needed from what an extra needs; other platforms' are left out."""
    always: list[Requirement] = []
    extras: dict[str, list[Requirement]] = {}
    for requirement in requirements:
        named = _EXTRA.search(str(requirement.marker or ""))
        if requirement.marker and not requirement.marker.evaluate(
            {"extra": named[1] if named else ""}
        ):
            continue
        (extras.setdefault(named[1], []) if named else always).append(requirement)
    return always, extras


def _amiss(needed: list[Requirement], version_of: Callable[[str], str]) -> list[str]:
    found = []
    for requirement in needed:
        try:
            version = version_of(requirement.name)
        except metadata.PackageNotFoundError:
            found.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name} is {version}, must be {requirement.specifier}")
    return found


def _libraries(needed: list[Requirement], version_of: Callable[[str], str]) -> Check:
    amiss = _amiss(needed, version_of)
    if amiss:
        return Check(
            name="libraries",
            outcome="failed",
            found="; ".join(amiss),
            advice=f"pip install --upgrade {DISTRIBUTION}",
        )
    return Check(name="libraries", outcome="ok", found=f"all {len(needed)} in versions that fit")


def _extra(name: str, needed: list[Requirement], version_of: Callable[[str], str]) -> Check:
    amiss = _amiss(needed, version_of)
    return Check(
        name=f"extra {name}",
        outcome="note" if amiss else "ok",
        found="; ".join(amiss) or ", ".join(r.name for r in needed),
        advice=f"pip install '{DISTRIBUTION}[{name}]', should you need it." if amiss else "",
    )
