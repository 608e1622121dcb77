"""
Mutants of a Python module by cosmic-ray's operators, and how a process comes to import one.

A mutant counts only if it changes what runs: annotations and docstrings do not.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names

from tests.mutation.trial import Mutant


def mutants(path: str, source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module; some only change an annotation, see `Mutant.apply`."""
    nodes = list(ast_nodes(get_ast(source)))
    for name in operator_names():
        kind = get_operator(name)
        if kind.arguments():
            continue
        operator = kind()
        places = [place for node in nodes for place in operator.mutation_positions(node)]
        for occurrence, ((line, _), _) in enumerate(places):
            yield Mutant(
                path,
                line,
                name.removeprefix("core/"),
                partial(_mutated, operator, occurrence),
            )


def _mutated(operator: Operator, occurrence: int, source: str) -> str | None:
    mutated: str | None = mutate_code(source, operator, occurrence)
    if mutated is None or running(mutated) in (running(source), None):
        return None
    return mutated


def running(source: str) -> str | None:
    """Return a module's syntax tree without annotations and docstrings; `None` if it has none."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.dump(_WithoutDocstrings().visit(tree))


class Overlay(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Gives one module another source, for the imports that follow."""

    def __init__(self, module: str, path: str, source: str) -> None:
        self._module, self._path, self._source = module, path, source

    def install(self) -> None:
        """Put this before all that finds modules otherwise."""
        if self._module in sys.modules:
            raise RuntimeError(f"{self._module} is imported already")
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=self._path)

    def get_source(self, fullname: str) -> str:
        return self._source


def module_of(path: str) -> str:
    """Return the name that a source is imported by."""
    return ".".join(Path(path).with_suffix("").parts)


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> Any:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node
