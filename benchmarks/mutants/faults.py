"""The faults: one operator, constant, condition or statement of a module is changed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.USub: ast.UAdd},
}

HARMLESS = ("frozen", "strict", "eq", "stacklevel")
"""Arguments that only guard against mistakes of programmers, or say where one was made."""


@dataclass(frozen=True)
class Fault:
    """One change to one module.

    Attributes:
        file: the module, relative to the backend's package.
        index: which node of `ast.walk` is changed.
        what: its kind.
        line: where it is in the module as `ast.unparse` writes it, which is what the tests run.
        text: that line.
        is_in_function: whether it runs when a function is called, and not when the module is imported.
        function: the outermost function that it lies in, "Class.method" for a method; empty where it is in none.
    """

    file: str
    index: int
    what: str
    line: int
    text: str
    is_in_function: bool
    function: str = ""

    @property
    def name(self) -> str:
        """What tells it from all others, and goes on to while the module is as it is."""
        return f"{self.file}:{self.index} {self.what}: {self.text}"


def faults(file: str, source: str) -> Iterator[Fault]:
    """Those that can be put into a module."""
    tree, lines = ast.parse(source), source.splitlines()
    harmless = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.keyword) and one.arg in HARMLESS}
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda))]
    inside = {id(node) for function in functions for part in _body(function) for node in ast.walk(part)}
    names = dict(_names(tree))
    for index, node in enumerate(ast.walk(tree)):
        what = None if id(node) in harmless else kind(node)
        if what:
            line: int = node.lineno  # type: ignore[attr-defined]  # of expressions and statements, which these are
            yield Fault(file, index, what, line, lines[line - 1].strip(), id(node) in inside, names.get(id(node), ""))


def _names(parent: ast.AST, prefix: str = "") -> Iterator[tuple[int, str]]:
    """(id of a node, the outermost function that it lies in)."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef):
            yield from _names(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield from ((id(inner), prefix + node.name) for inner in ast.walk(node))


def _body(function: ast.FunctionDef | ast.Lambda) -> list[ast.AST]:
    return [*function.body] if isinstance(function, ast.FunctionDef) else [function.body]


def kind(node: ast.AST) -> str | None:
    """What a change to this node is called; None where it is left alone."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
        return "comparison"
    if isinstance(node, (ast.BoolOp, ast.BinOp)) and type(node.op) in SWAPS:
        return "operator"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        return "negation"
    if isinstance(node, ast.Constant) and type(node.value) in (bool, int):
        return "constant"
    if isinstance(node, (ast.If, ast.IfExp)):
        return "condition"
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return "statement"
    return None


def mutate(source: str, index: int) -> str:
    """The module with one change."""
    tree = ast.parse(source)
    node = list(ast.walk(tree))[index]
    if isinstance(node, ast.Compare):
        node.ops = [SWAPS[type(node.ops[0])]()]  # type: ignore[list-item]  # an operator of comparison, as before
    elif isinstance(node, (ast.BoolOp, ast.BinOp)):
        node.op = SWAPS[type(node.op)]()  # type: ignore[assignment]  # an operator of the same kind
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd() if isinstance(node.op, ast.USub) else node.op
        if isinstance(node.op, ast.Not):
            node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Constant):
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]
    elif isinstance(node, (ast.If, ast.IfExp)):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Expr):
        node.value = ast.Constant(None)
    return ast.unparse(ast.fix_missing_locations(tree))
