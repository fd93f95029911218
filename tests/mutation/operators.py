"""Small changes of Python source, each of which changes what it does: a `Mutant` is one of them.

Changed are comparisons (their boundary, and to the contrary), `and` and `or`, `not`, arithmetic, numbers and truths,
conditions, `min`, `max`, `any` and `all`; returned becomes None, and statements are left out. Not changed are texts
(what they say is proven where they are read), annotations, decorators, imports, and what is logged.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, NamedTuple

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_LOGGERS = ("log", "logging", "warnings")
_UNCHANGED = {"annotation", "returns", "decorator_list", "keywords_of_class", "type_params"}


@dataclass(frozen=True)
class Mutant:
    """One change. `place` is the function or class it is in, `first` to `last` are its lines."""

    module: str
    place: str
    change: str
    number: int
    first: int
    last: int

    @property
    def identity(self) -> str:
        """The same for as long as what is changed stays as it is, whatever happens around it."""
        return f"{self.module} {self.place}: {self.change}"


class _Site(NamedTuple):
    """A node, and where it hangs; `statement` is the one it belongs to."""

    owner: ast.AST
    field: str
    position: int | None
    node: ast.AST
    place: str
    statement: ast.AST


def mutants(module: str, source: str) -> list[Mutant]:
    """All mutants of a module. What changes the same text in one function in the same way is counted through."""
    found: list[Mutant] = []
    seen: dict[tuple[str, str], int] = {}
    for number, (site, change, _) in enumerate(_changes(ast.parse(source))):
        times = seen[site.place, change] = seen.get((site.place, change), 0) + 1
        named = change if times == 1 else f"{change} (#{times})"
        where = site.node if hasattr(site.node, "lineno") else site.statement
        lines = (where.lineno, where.end_lineno or where.lineno)  # type: ignore[attr-defined]
        found.append(Mutant(module, site.place, named, number, *lines))
    return found


def compiled(source: str, number: int, path: str) -> CodeType:
    """The module with the mutant of that number."""
    tree = ast.parse(source)
    for place, (site, _, replacement) in enumerate(_changes(tree)):
        if place == number:
            _put(site, replacement)
            return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
    raise IndexError(number)


def _put(site: _Site, replacement: ast.AST) -> None:
    ast.copy_location(replacement, site.node)
    if site.position is None:
        setattr(site.owner, site.field, replacement)
    else:
        getattr(site.owner, site.field)[site.position] = replacement


def _changes(tree: ast.Module) -> Iterator[tuple[_Site, str, ast.AST]]:
    for site in _sites(tree, "", tree):
        for replacement in _variants(site):
            yield site, f"{_text(site.node)} → {_text(replacement)}", replacement


def _text(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).splitlines()[0][:100]


def _sites(owner: ast.AST, place: str, statement: ast.AST) -> Iterator[_Site]:
    for field, value in ast.iter_fields(owner):
        if field in _UNCHANGED or (isinstance(owner, ast.ClassDef) and field in ("bases", "keywords")):
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or _is_passed_over(node):
                continue
            inside = node if isinstance(node, ast.stmt) else statement
            yield _Site(owner, field, index, node, place or "module", inside)
            within = place
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                within = f"{place}.{node.name}".lstrip(".")
            yield from _sites(node, within, inside)


def _is_passed_over(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
        return True
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) or _is_logged(node.value)
    return False


def _is_logged(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id in _LOGGERS


def _variants(site: _Site) -> Iterator[ast.AST]:
    node: Any = site.node
    if isinstance(node, ast.Compare):
        yield from _comparisons(node)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC and not _joins_texts(node):
        yield ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
    elif isinstance(node, ast.AugAssign) and type(node.op) in _ARITHMETIC:
        yield ast.AugAssign(node.target, _ARITHMETIC[type(node.op)](), node.value)
        yield ast.Pass()
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        yield ast.Call(ast.Name(_CALLS[node.func.id], ast.Load()), node.args, node.keywords)
    elif isinstance(node, ast.If | ast.IfExp) and not isinstance(node.test, ast.Compare):
        yield _with_test(node)
    elif isinstance(node, ast.Return):
        if node.value is not None and not isinstance(node.value, ast.Constant):  # which is changed itself
            yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Continue):
        yield ast.Break()
    elif isinstance(node, ast.Break):
        yield ast.Continue()
    elif (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)) or isinstance(node, ast.Raise):
        yield ast.Pass()


def _comparisons(node: ast.Compare) -> Iterator[ast.Compare]:
    for index, op in enumerate(node.ops):
        for other in _COMPARISONS[type(op)]:
            yield ast.Compare(node.left, [*node.ops[:index], other(), *node.ops[index + 1 :]], node.comparators)


def _constants(node: ast.Constant) -> Iterator[ast.Constant]:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)
        if node.value:
            yield ast.Constant(node.value - 1)


def _with_test(node: ast.If | ast.IfExp) -> ast.AST:
    """To the contrary."""
    changed = copy.copy(node)
    changed.test = node.test.operand if isinstance(node.test, ast.UnaryOp) else ast.UnaryOp(ast.Not(), node.test)
    return changed


def _joins_texts(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(isinstance(one, ast.JoinedStr) or isinstance(getattr(one, "value", None), str) for one in sides)
