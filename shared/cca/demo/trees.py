"""Two audits of our own that need nothing but the syntax tree: docstring coverage and cyclomatic complexity."""

import ast
from collections.abc import Iterator

from cca.demo.findings import UNPARSABLE, Audit, Finding, Severity, audit, parse, unreadable

Function = ast.FunctionDef | ast.AsyncFunctionDef

_BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.comprehension,
    ast.match_case,
)


def docs(path: str) -> Audit:
    """Public modules, classes, functions and methods without a docstring; `coverage` is the share that has one."""
    try:
        tree = parse(path)
        public = list(_public(tree, "module"))
    except UNPARSABLE as error:
        return unreadable(path, "docstrings", error)
    missing = [
        Finding(f"no-docstring-{kind}", "medium" if kind != "method" else "low", line, f"{name} has no docstring")
        for node, kind, name, line in public
        if ast.get_docstring(node, clean=False) is None
    ]
    covered = 1 - len(missing) / len(public)
    return audit(path, "docstrings", missing, {"public": len(public), "coverage": round(covered, 3)})


def _public(
    node: ast.Module | ast.ClassDef | Function, kind: str, prefix: str = ""
) -> Iterator[tuple[ast.Module | ast.ClassDef | Function, str, str, int]]:
    """What people see of a module: itself and what is below it and has no leading underscore."""
    yield node, kind, prefix or "the module", getattr(node, "lineno", 1)
    if isinstance(node, Function):
        return
    for child in node.body:
        if isinstance(child, ast.ClassDef | Function) and not child.name.startswith("_"):
            inner = "class" if isinstance(child, ast.ClassDef) else "method" if prefix else "function"
            yield from _public(child, inner, f"{prefix}.{child.name}" if prefix else child.name)


def complexity(node: Function) -> int:
    """McCabe's cyclomatic complexity ("A Complexity Measure", 1976): decisions + 1, without inner functions."""
    count, todo = 1, list(ast.iter_child_nodes(node))
    while todo:
        one = todo.pop()
        if isinstance(one, Function | ast.ClassDef | ast.Lambda):
            continue  # counted for itself
        if isinstance(one, _BRANCHES):
            count += 1
        elif isinstance(one, ast.BoolOp):
            count += len(one.values) - 1
        todo.extend(ast.iter_child_nodes(one))
    return count


def performance(path: str) -> Audit:
    """Functions that are too complex to reason about, or to optimise, with safety (above 15)."""
    try:
        tree = parse(path)
        functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
    except UNPARSABLE as error:
        return unreadable(path, "complexity", error)
    measured = [(complexity(node), node) for node in functions]
    found = [
        Finding("complex-function", _severity(value), node.lineno, f"{node.name} has complexity {value}")
        for value, node in measured
        if value > 15
    ]
    mean = sum(value for value, _ in measured) / len(measured) if measured else 0.0
    return audit(path, "complexity", found, {"functions": len(measured), "mean": round(mean, 2)})


def _severity(value: int) -> Severity:
    return "high" if value > 40 else "medium" if value > 25 else "low"
