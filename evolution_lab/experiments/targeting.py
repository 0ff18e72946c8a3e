"""Who is in an experiment: conditions on attributes, as GrowthBook writes and evaluates them.

A condition is data (a mapping of MongoDB-like operators) and is interpreted, never executed. What
cannot be understood matches nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from evolution_lab.errors import InvalidExperimentError, did_you_mean

Attributes = Mapping[str, Any]
SavedGroups = Mapping[str, Sequence[Any]]

_DEEPEST: Final = 64
_LONGEST_PATTERN: Final = 1_000
_LONGEST_SUBJECT: Final = 10_000
_JOINING: Final = frozenset({"$and", "$or", "$nor", "$not"})


def matches(
    condition: Mapping[str, Any], attributes: Attributes, groups: SavedGroups | None = None
) -> bool:
    """Say whether attributes meet a condition.

    Args:
        condition: As GrowthBook writes it; an empty one is met by everybody.
        attributes: What is known of the unit; names with dots look into mappings.
        groups: Members of saved groups by the group's id, for ``$inGroup``.

    Examples:
        >>> matches({"country": {"$in": ["NL", "BE"]}, "age": {"$gte": 18}},
        ...         {"country": "NL", "age": 20})
        True
        >>> matches({"app.version": {"$vgte": "1.10.0"}}, {"app": {"version": "1.9.3"}})
        False
    """
    try:
        return _meets(condition, attributes, groups or {}, 0)
    except RecursionError:
        return False


def check_condition(condition: Mapping[str, Any]) -> None:
    """Do nothing where every operator of a condition is known and its patterns can be read.

    ``matches`` takes an unknown operator for one that nobody meets; whoever writes a condition
    wants to be told.

    Raises:
        InvalidExperimentError: Names the operator or the pattern.

    Examples:
        >>> check_condition({"country": {"$eqq": "NL"}})
        Traceback (most recent call last):
        evolution_lab.errors.InvalidExperimentError: unknown operator '$eqq'... Did you mean '$eq'?
    """
    _check(condition, 0)


def _check(part: object, depth: int) -> None:
    if depth > _DEEPEST:
        raise InvalidExperimentError(f"a condition is nested deeper than {_DEEPEST} levels.")
    if isinstance(part, Mapping):
        for name, value in part.items():
            if name.startswith("$") and name not in _JOINING | _OPERATORS.keys() | _NESTING:
                known = _JOINING | _OPERATORS.keys() | _NESTING
                raise InvalidExperimentError(
                    f"unknown operator {name!r} in a condition.{did_you_mean(name, known)}"
                )
            if name in {"$regex", "$regexi"} and _compiled(str(value), fold=False) is None:
                raise InvalidExperimentError(f"pattern {str(value)!r} of {name} cannot be read.")
            _check(value, depth + 1)
    elif isinstance(part, list | tuple):
        for value in part:
            _check(value, depth + 1)


def _meets(condition: object, attributes: Attributes, groups: SavedGroups, depth: int) -> bool:
    if not isinstance(condition, Mapping) or depth > _DEEPEST:
        return False
    for name, wanted in condition.items():
        if name == "$or":
            met = not wanted or any(_meets(c, attributes, groups, depth + 1) for c in wanted)
        elif name == "$nor":
            met = not (wanted and any(_meets(c, attributes, groups, depth + 1) for c in wanted))
            met = met and bool(wanted)
        elif name == "$and":
            met = all(_meets(c, attributes, groups, depth + 1) for c in wanted)
        elif name == "$not":
            met = not _meets(wanted, attributes, groups, depth + 1)
        else:
            met = _fits(wanted, _at(attributes, name), groups, depth + 1)
        if not met:
            return False
    return True


def _at(attributes: object, path: str) -> Any:
    found: Any = attributes
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _is_operators(condition: object) -> bool:
    return (
        isinstance(condition, Mapping)
        and len(condition) > 0
        and all(isinstance(name, str) and name.startswith("$") for name in condition)
    )


def _fits(wanted: object, value: Any, groups: SavedGroups, depth: int) -> bool:
    if depth > _DEEPEST:
        return False
    if isinstance(wanted, Mapping) and _is_operators(wanted):
        return all(_holds(name, value, part, groups, depth) for name, part in wanted.items())
    return _same(value, wanted)


def _holds(name: str, value: Any, wanted: Any, groups: SavedGroups, depth: int) -> bool:
    if name == "$not":
        return not _fits(wanted, value, groups, depth + 1)
    if name == "$elemMatch":
        if not isinstance(value, list | tuple):
            return False
        if _is_operators(wanted):
            return any(_fits(wanted, item, groups, depth + 1) for item in value)
        return any(_meets(wanted, item, groups, depth + 1) for item in value)
    if name in {"$all", "$alli"}:
        if not isinstance(value, list | tuple) or not isinstance(wanted, list | tuple):
            return False
        fold = name == "$alli"
        return all(
            any(_element(part, item, groups, depth, fold=fold) for item in value) for part in wanted
        )
    if name == "$size":
        return isinstance(value, list | tuple) and _fits(wanted, len(value), groups, depth + 1)
    if name in {"$inGroup", "$notInGroup"}:
        return _is_in(value, groups.get(wanted, ())) is (name == "$inGroup")
    operator = _OPERATORS.get(name)
    return operator is not None and operator(value, wanted)


def _element(part: Any, item: Any, groups: SavedGroups, depth: int, *, fold: bool) -> bool:
    if fold and isinstance(part, str) and isinstance(item, str):
        return part.lower() == item.lower()
    return _fits(part, item, groups, depth + 1)


def _same(left: Any, right: Any) -> bool:
    """Compare as JSON compares: 1 and true are different, 1 and 1.0 are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[n], right[n]) for n in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


def _is_in(value: Any, members: Any, *, fold: bool = False) -> bool:
    if not isinstance(members, list | tuple):
        return False
    values = value if isinstance(value, list | tuple) else (value,)
    return any(_same(_folded(v, fold=fold), _folded(m, fold=fold)) for v in values for m in members)


def _folded(value: Any, *, fold: bool) -> Any:
    return value.lower() if fold and isinstance(value, str) else value


def _number(value: Any) -> float | None:
    """Read a number as JavaScript does when it compares one."""
    if value is None:
        return 0.0
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value) if value.strip() else 0.0
        except ValueError:
            return None
    return None


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(value: Any, wanted: Any) -> bool:
        if isinstance(value, str) and isinstance(wanted, str):
            return compare(value, wanted)
        left, right = _number(value), _number(wanted)
        return left is not None and right is not None and compare(left, right)

    return holds


_PARTS = re.compile(r"[-.]")


def padded_version(version: Any) -> str:
    """Return a version as a text whose order is that of versions, as GrowthBook pads it.

    Examples:
        >>> padded_version("1.10.0") > padded_version("v1.9.3")
        True
    """
    if isinstance(version, int | float) and not isinstance(version, bool):
        version = str(version)
    if not isinstance(version, str) or not version:
        version = "0"
    version = re.sub(r"(^v|\+.*$)", "", version)
    parts = _PARTS.split(version)
    if len(parts) == 3:
        parts.append("~")
    return "-".join(p.rjust(5, " ") if re.fullmatch(r"[0-9]+", p) else p for p in parts)


def _versions(compare: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, wanted: compare(padded_version(value), padded_version(wanted))


@lru_cache(maxsize=256)
def _compiled(pattern: str, *, fold: bool) -> re.Pattern[str] | None:
    if len(pattern) > _LONGEST_PATTERN:
        return None
    try:
        return re.compile(pattern, re.IGNORECASE if fold else 0)
    except re.error:
        return None


def _searched(*, fold: bool) -> Callable[[Any, Any], bool]:
    def holds(value: Any, wanted: Any) -> bool:
        pattern = _compiled(str(wanted), fold=fold)
        if pattern is None or value is None or len(str(value)) > _LONGEST_SUBJECT:
            return False
        return pattern.search(str(value)) is not None

    return holds


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list | tuple) else "object"


_NESTING: Final = frozenset({"$elemMatch", "$all", "$alli", "$size", "$inGroup", "$notInGroup"})
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$eq": _same,
    "$ne": lambda value, wanted: not _same(value, wanted),
    "$lt": _ordered(lambda a, b: a < b),
    "$lte": _ordered(lambda a, b: a <= b),
    "$gt": _ordered(lambda a, b: a > b),
    "$gte": _ordered(lambda a, b: a >= b),
    "$veq": _versions(lambda a, b: a == b),
    "$vne": _versions(lambda a, b: a != b),
    "$vlt": _versions(lambda a, b: a < b),
    "$vlte": _versions(lambda a, b: a <= b),
    "$vgt": _versions(lambda a, b: a > b),
    "$vgte": _versions(lambda a, b: a >= b),
    "$in": _is_in,
    "$nin": lambda value, wanted: isinstance(wanted, list | tuple) and not _is_in(value, wanted),
    "$ini": lambda value, wanted: _is_in(value, wanted, fold=True),
    "$nini": lambda value, wanted: (
        isinstance(wanted, list | tuple) and not _is_in(value, wanted, fold=True)
    ),
    "$regex": _searched(fold=False),
    "$regexi": _searched(fold=True),
    "$exists": lambda value, wanted: (value is not None) is bool(wanted),
    "$type": lambda value, wanted: _type(value) == wanted,
}
