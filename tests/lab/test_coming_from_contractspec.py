"""Whoever comes from the seed system finds every one of its names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = ROOT.parent / "shared" / "seed"
PAGE = ROOT / "evolution_lab" / "lab" / "guides" / "coming_from_contractspec.md"

IN_CODE = re.compile(r"@[\w./-]+|[A-Za-z_][\w./-]*\w|--[a-z][a-z-]*\w")
IN_TEXT = re.compile(
    r"\b[a-z]+(?:[A-Z][A-Za-z0-9]*)+\b|\b(?:[A-Z][a-z]+){2,}\b|\bAUTO(?:_[A-Z0-9]+)+\b|--[a-z]+(?:-[a-z]+)*"
)
SUFFIX = re.compile(r"(?<![A-Z0-9])_[A-Z0-9]+(?:_[A-Z0-9]+)*\b")
NO_NAMES = {"TypeScript", "camelCase", "createInvoice", "AUTO_EVOLUTION"}
"""Languages and spellings; the operation of an example; a prefix alone."""
WORDS = {"with", "code", "when", "min", "in", "ctx"}


def names_of(text: str) -> set[str]:
    """Return what a text of the seed names: code, camelCase and PascalCase words, options, variables."""
    prose = re.sub(r"```.*?```", " ", text, flags=re.DOTALL)
    found = {name for code in re.findall(r"`([^`\n]+)`", prose) for name in IN_CODE.findall(code)}
    found |= set(IN_TEXT.findall(text))
    found |= {f"AUTO_EVOLUTION{suffix}" for suffix in SUFFIX.findall(prose)}
    return found - NO_NAMES - WORDS


@pytest.fixture(scope="module")
def seed() -> str:
    files = sorted(SEED.glob("*.md"))
    if not files:
        pytest.skip("shared/seed is absent: there is nothing to hold the page against")
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def test_every_name_of_the_seed_has_its_place(seed: str):
    page = PAGE.read_text(encoding="utf-8")
    names = names_of(seed)
    assert len(names) > 150
    assert {"AUTO_EVOLUTION_MAX_P99_MS", "IntentAggregator", "--suite-name", "topErrors"} <= names
    missing = [n for n in sorted(names) if not re.search(rf"(?<![\w]){re.escape(n)}(?!\w)", page)]
    assert missing == []


def test_a_name_that_is_not_there_would_be_missed():
    assert names_of("the `Oracle` and `maxRetries {onFail, per}`, AUTO_EVOLUTION_X, _Y_Z, a --flag") == {
        "Oracle", "maxRetries", "onFail", "per", "AUTO_EVOLUTION_X", "AUTO_EVOLUTION_Y_Z", "--flag",
    }  # fmt: skip
