"""A service with its code changed in one place: what a careless edit does.

Operators follow DeMillo, Lipton, Sayward (1978) and mutmut's: comparisons, boundaries, constants,
arithmetic, logic, statements and fields left out, names and codes misspelt.
"""

from __future__ import annotations

import ast
import copy
import inspect
import random
from collections.abc import Iterator
from types import ModuleType
from typing import Final

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
}  # fmt: skip


def code_mutants(module: ModuleType, *, most: int, seed: int) -> Iterator[ModuleType]:
    """Yield copies of a module, each with one change.

    Args:
        module: What is changed; only what functions and tables of it hold.
        most: How many at most, drawn.
        seed: Of the draw.

    Examples:
        >>> from evolution_lab.bench.services import ledger
        >>> [mutant.__doc__ for mutant in code_mutants(ledger, most=1, seed=3)] != [ledger.__doc__]
        True
    """
    tree = ast.parse(inspect.getsource(module))
    changes = list(_changes(tree))
    random.Random(seed).shuffle(changes)  # noqa: S311 - nothing secret depends on it
    for number, change in enumerate(changes[:most]):
        changed = copy.deepcopy(tree)
        change.apply(list(ast.walk(changed))[change.node])
        mutant = ModuleType(f"{module.__name__}_{number}")
        mutant.__doc__ = change.what
        code = compile(ast.fix_missing_locations(changed), f"<{change.what}>", "exec")
        try:
            exec(code, mutant.__dict__)  # noqa: S102 - our own source, changed in one place
        except Exception:  # noqa: BLE001, S112 - one that cannot be imported would never be deployed
            continue
        mutant.__doc__ = change.what
        yield mutant


class _Change:
    def __init__(self, node: int, what: str, part: int = 0) -> None:
        self.node, self.what, self.part = node, what, part

    def apply(self, node: ast.AST) -> None:
        if isinstance(node, ast.Compare):
            node.ops[0] = _COMPARISONS[type(node.ops[0])]()
        elif isinstance(node, ast.BoolOp):
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        elif isinstance(node, ast.BinOp):
            node.op = _ARITHMETIC[type(node.op)]()
        elif isinstance(node, ast.Constant):
            _change_constant(node)
        elif isinstance(node, ast.Dict):
            del node.keys[self.part], node.values[self.part]
        elif isinstance(node, ast.IfExp):
            node.body, node.orelse = node.orelse, node.body
        elif isinstance(node, ast.If):
            node.body = [ast.Pass()]


def _change_constant(node: ast.Constant) -> None:
    value = node.value
    if isinstance(value, bool):
        node.value = not value
    elif isinstance(value, int):
        node.value = value + 1
    elif isinstance(value, float):
        node.value = value * 1.1 + 0.01
    elif isinstance(value, str):
        node.value = value + "x"


def _changes(tree: ast.Module) -> Iterator[_Change]:
    left_alone = _annotations_and_docstrings(tree)
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in left_alone:
            continue
        where = f"{type(node).__name__} in line {getattr(node, 'lineno', 0)}"
        if (
            (isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS)
            or isinstance(node, ast.BoolOp | ast.IfExp)
            or (isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC)
            or (isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str))
            or (isinstance(node, ast.If) and not isinstance(node.body[0], ast.Raise))
        ):
            yield _Change(number, where)
        elif isinstance(node, ast.Dict):
            for part, key in enumerate(node.keys):
                if key is not None:
                    yield _Change(number, f"field {part} of {where}", part)


def _annotations_and_docstrings(tree: ast.Module) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.append(node)
        elif isinstance(node, ast.AnnAssign | ast.arg):
            parts.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            parts.append(node.returns)
        elif isinstance(node, ast.ImportFrom):
            parts.append(node)
        for part in parts:
            if part is not None:
                found.update(id(each) for each in ast.walk(part))
    return found
