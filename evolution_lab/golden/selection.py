"""Which cases are kept where not all can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolution_lab.golden.scenarios import Chain
from evolution_lab.golden.suite import GoldenCase


@dataclass(frozen=True)
class Candidate:
    """A case with the calls it was made of."""

    case: GoldenCase
    chain: Chain


@dataclass(frozen=True)
class Chosen:
    """What is kept, and which features were lost with the rest."""

    cases: tuple[GoldenCase, ...]
    lost: Mapping[str, int]


def select(candidates: Sequence[Candidate], *, budget: int | None) -> Chosen:
    """Return the cases that are kept."""
    cases = [c.case for c in candidates]
    return Chosen(tuple(cases if budget is None else cases[:budget]), {})
