"""Code changed in one place: what a careless edit does.

Operators follow DeMillo, Lipton, Sayward (1978) and mutmut's: comparisons, boundaries, constants,
arithmetic, logic, statements and fields left out, names and codes misspelt.
"""

from __future__ import annotations

import ast
import copy
import inspect
import random
from collections.abc import Collection, Iterator
from types import CodeType, ModuleType
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
        module: What is changed; the module itself stays as it is.
        most: How many at most, drawn.
        seed: Of the draw.

    Examples:
        >>> import colorsys
        >>> [mutant.__name__ for mutant in code_mutants(colorsys, most=2, seed=3)]
        ['colorsys_0', 'colorsys_1']
    """
    for number, (what, code) in enumerate(mutated_code(module, most=most, seed=seed)):
        mutant = ModuleType(f"{module.__name__}_{number}")
        try:
            exec(code, mutant.__dict__)  # noqa: S102 - the module's own source, changed in one place
        except Exception:  # noqa: BLE001, S112 - one that cannot be imported would never be deployed
            continue
        mutant.__doc__ = what
        yield mutant


def mutated_code(
    module: ModuleType, *, most: int, seed: int, lines: Collection[int] | None = None
) -> Iterator[tuple[str, CodeType]]:
    """Yield what was changed and the code of a module with that one change.

    Args:
        module: What is changed.
        most: How many at most, drawn.
        seed: Of the draw.
        lines: Only changes in these lines, such as those that ran.

    Raises:
        OSError: The module has no source.
    """
    tree = ast.parse(inspect.getsource(module))
    changes = [each for each in _changes(tree) if lines is None or each.line in lines]
    random.Random(seed).shuffle(changes)  # noqa: S311 - nothing secret depends on it
    file = inspect.getsourcefile(module) or f"<{module.__name__}>"
    for change in changes[:most]:
        changed = copy.deepcopy(tree)
        change.apply(list(ast.walk(changed))[change.node])
        yield change.what, compile(ast.fix_missing_locations(changed), file, "exec")


class _Change:
    def __init__(self, node: int, line: int, what: str, part: int = 0) -> None:
        self.node, self.line, self.what, self.part = node, line, what, part

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
        line = getattr(node, "lineno", 0)
        where = f"{type(node).__name__} in line {line}"
        if (
            (isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS)
            or isinstance(node, ast.BoolOp | ast.IfExp)
            or (isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC)
            or (isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str))
            or (isinstance(node, ast.If) and not isinstance(node.body[0], ast.Raise))
        ):
            yield _Change(number, line, where)
        elif isinstance(node, ast.Dict):
            for part, key in enumerate(node.keys):
                if key is not None:
                    yield _Change(number, line, f"field {part} of {where}", part)


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
