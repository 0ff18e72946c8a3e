"""What can be said of inputs, as columns of true and false: the candidates for a rule on them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from evolution_lab.suggestions.traffic.exchanges import is_redacted
from evolution_lab.suggestions.traffic.values import ITEM, MOST_DEPTH, MOST_ITEMS, Path, type_name

RuleKind = Literal[
    "required", "maxItems", "minItems", "maxLength", "minLength", "maximum", "minimum", "exclude-value",
]  # fmt: skip
Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]

MOST_VALUES: Final = 20
"""A field with more distinct values is an identifier or a text, not a category."""
MOST_PATHS: Final = 500
"""Paths of one operation's inputs that are looked at; objects with more are maps of strangers' names."""
CUTS: Final = 24
"""Places at which a number is cut into high and low."""
_ORDER: Final[tuple[RuleKind, ...]] = (
    "required", "maxItems", "minItems", "maximum", "minimum", "exclude-value", "maxLength", "minLength",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """One thing that inputs may have in common.

    Attributes:
        kind: The rule that would forbid it.
        path: Of the field.
        value: The value; the cut of a number (the first that would be forbidden).
        holds: Per input, whether it is so.
        measured: Per input, the number that is cut; NaN where there is none.
    """

    kind: RuleKind
    path: Path
    value: Any
    holds: Mask
    measured: Numbers | None = None

    @property
    def sort_key(self) -> tuple[int, Path, str]:
        """Order among candidates that explain equally much: the simplest rule first."""
        return (_ORDER.index(self.kind), self.path, repr(self.value))


def candidates(inputs: Sequence[Any], *, fewest: int = 5) -> list[Candidate]:
    """Return everything that at least ``fewest`` inputs, but not all, have in common.

    Path parameters name single things and are left out. Redacted values tell nothing.

    Examples:
        >>> found = candidates([{"body": {"po": "x"}}, {"body": {}}], fewest=1)
        >>> [(c.kind, c.path, c.value) for c in found][:1]
        [('required', ('body', 'po'), None)]
    """
    n = len(inputs)
    table = _Table(n)
    for row, value in enumerate(inputs):
        table.add(row, value, ())
    found = [c for c in table.candidates() if fewest <= int(c.holds.sum()) <= n - 1]
    return sorted(found, key=lambda c: c.sort_key)


class _Table:
    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.present: dict[Path, Mask] = {}
        self.parents: dict[Path, set[str]] = defaultdict(set)
        self.scalars: dict[Path, dict[int, Any]] = defaultdict(dict)
        self.numbers: dict[tuple[Path, str], Numbers] = {}

    def add(self, row: int, value: Any, path: Path) -> None:  # noqa: C901, PLR0912 - one branch a type
        if len(path) > MOST_DEPTH:
            return
        if path and path[-1] != ITEM:
            self._mark(self.present, path, row)
        inside_items = ITEM in path
        if isinstance(value, Mapping):
            if path == ():
                self._mark(self.present, path, row)
            for name in value:
                if path or name != "path":  # What the route names is always there.
                    if len(self.parents[path]) < MOST_PATHS:
                        self.parents[path].add(str(name))
                    self.add(row, value[name], (*path, str(name)))
        elif isinstance(value, list):
            self._measure((path, "items"), row, float(len(value)))
            for item in value[:MOST_ITEMS]:
                self.add(row, item, (*path, ITEM))
        elif value is not None and not is_redacted(value):
            if not inside_items:
                self.scalars[path][row] = value
            if isinstance(value, str):
                self._measure((path, "length"), row, float(len(value)))
                value = _as_number(value)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                self._measure((path, "number"), row, float(value))

    def candidates(self) -> Iterator[Candidate]:
        for path, names in self.parents.items():
            if ITEM in path:
                continue
            for name in sorted(names):
                here = self.present.get((*path, name))
                if here is None:
                    continue
                missing = self.present[path] & ~here
                yield Candidate(kind="required", path=(*path, name), value=None, holds=missing)
        for path, by_row in self.scalars.items():
            counts = Counter((type_name(v), v) for v in by_row.values())
            if len(counts) > MOST_VALUES:
                continue
            for kind, value in sorted(counts, key=repr):
                holds = np.zeros(self.rows, dtype=np.bool_)
                holds[[r for r, v in by_row.items() if v == value and type_name(v) == kind]] = True
                yield Candidate(kind="exclude-value", path=path, value=value, holds=holds)
        for (path, what), measured in self.numbers.items():
            yield from _cut(path, what, measured)

    def _mark(self, marks: dict[Any, Mask], key: Any, row: int) -> None:
        if key not in marks:
            if len(marks) >= MOST_PATHS:
                return
            marks[key] = np.zeros(self.rows, dtype=np.bool_)
        marks[key][row] = True

    def _measure(self, key: tuple[Path, str], row: int, number: float) -> None:
        if key not in self.numbers:
            if len(self.numbers) >= MOST_PATHS:
                return
            self.numbers[key] = np.full(self.rows, np.nan)
        held = self.numbers[key][row]
        self.numbers[key][row] = number if np.isnan(held) else max(held, number)


_RULES: Final[Mapping[str, tuple[RuleKind, RuleKind]]] = {
    "items": ("maxItems", "minItems"),
    "length": ("maxLength", "minLength"),
    "number": ("maximum", "minimum"),
}


def _cut(path: Path, what: str, measured: Numbers) -> Iterator[Candidate]:
    known = np.unique(measured[~np.isnan(measured)])
    if len(known) < 2:
        return
    if len(known) > CUTS:
        values = measured[~np.isnan(measured)]
        shares = np.concatenate([np.linspace(0.02, 0.98, CUTS - 4), [0.005, 0.01, 0.99, 0.995]])
        known = np.unique(np.quantile(values, shares, method="inverted_cdf"))
    high, low = _RULES[what]
    for cut in known:
        with np.errstate(invalid="ignore"):
            yield Candidate(kind=high, path=path, value=float(cut), holds=measured >= cut, measured=measured)  # fmt: skip
            yield Candidate(kind=low, path=path, value=float(cut), holds=measured <= cut, measured=measured)  # fmt: skip


def _as_number(text: str) -> object:
    """Return a query's number; texts of other kinds stay what they are."""
    if len(text) > 18:
        return text
    try:
        return float(text) if text.strip() == text and text[:1] in "+-.0123456789" else text
    except ValueError:
        return text
