"""
Mutants of Solidity and of its assembly, from the compiler's own syntax tree.

The operators are those of slither-mutate (arithmetic, bitwise, relational and logical operators,
unary operators, conditions, numbers, deleted statements), and the same for Yul, which that tool
leaves alone: most of this project's arithmetic is assembly.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from functools import partial
from typing import Any

from tests.mutation.trial import Mutant

BINARY = {
    "+": ("-", "*"),
    "-": ("+", "*"),
    "*": ("+", "/"),
    "/": ("*", "%"),
    "%": ("/", "*"),
    "**": ("*",),
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "&&": ("||",),
    "||": ("&&",),
    "&": ("|",),
    "|": ("&",),
    "^": ("&",),
    "<<": (">>",),
    ">>": ("<<",),
}
"""Operators and what each becomes; compound assignments follow from them."""
YUL = {
    "add": ("sub",),
    "sub": ("add",),
    "mul": ("add", "div"),
    "div": ("mul",),
    "and": ("or",),
    "or": ("and",),
    "xor": ("or",),
    "shl": ("shr",),
    "shr": ("shl",),
    "lt": ("gt", "eq"),
    "gt": ("lt", "eq"),
    "eq": ("lt",),
}
DELETED = {
    "ExpressionStatement": "delete statement",
    "RevertStatement": "delete statement",
    "EmitStatement": "delete statement",
    "Continue": "delete statement",
    "YulAssignment": "delete assembly",
    "YulExpressionStatement": "delete assembly",
}

Node = dict[str, Any]


def mutants(
    path: str, source: str, tree: Node, functions: Set[str] | None = None
) -> Iterator[Mutant]:
    """Yield the mutants of constants and function bodies; of `functions` alone, if given."""
    raw = source.encode()
    for node in _nodes(tree):
        kind = node["nodeType"]
        constant = kind == "VariableDeclaration" and node.get("constant") and not functions
        wanted = kind == "FunctionDefinition" and (not functions or node["name"] in functions)
        if constant or wanted:
            part = node["value"] if constant else node["body"]
            for inner in _nodes(part):
                for operator, (start, end), replacement in _mutations(inner, raw):
                    line = raw[:start].count(b"\n") + 1
                    yield Mutant(path, line, operator, partial(_spliced, start, end, replacement))


def _mutations(node: Node, raw: bytes) -> Iterator[tuple[str, tuple[int, int], str]]:
    """Yield operator, place and replacement of each mutation of one node."""
    kind = node["nodeType"]
    start, end = _span(node)
    if kind in ("BinaryOperation", "Assignment"):
        compound = kind == "Assignment"
        left = node["leftHandSide" if compound else "leftExpression"]
        right = node["rightHandSide" if compound else "rightExpression"]
        plain = node["operator"].removesuffix("=") if compound else node["operator"]
        for other in BINARY.get(plain, ()):
            place = _span(left)[1], _span(right)[0]
            yield "operator", place, f" {other}{'=' if compound else ''} "
    elif kind == "UnaryOperation" and node["operator"] in ("!", "~", "-"):
        yield "drop unary", (start, start + 1), ""
    elif kind == "UnaryOperation" and node["operator"] in ("++", "--"):
        at = start if node["prefix"] else end - 2
        yield "operator", (at, at + 2), "--" if node["operator"] == "++" else "++"
    elif kind in ("IfStatement", "Conditional"):
        for value in ("true", "false"):
            yield "condition", _span(node["condition"]), value
    elif kind == "Literal" and node["kind"] == "number" and not node.get("subdenomination"):
        yield "number", (start, end), f"({raw[start:end].decode()} + 1)"
    elif kind == "YulFunctionCall":
        name = node["functionName"]
        for other in YUL.get(name["name"], ()):
            yield "assembly operator", _span(name), other
    elif kind == "YulLiteral" and node["kind"] == "number":
        yield "assembly number", (start, end), str(int(node["value"], 0) + 1)
    elif kind == "YulIf":
        text = raw[slice(*_span(node["condition"]))].decode()
        yield "condition", _span(node["condition"]), f"iszero({text})"
    if kind in DELETED:
        follows = raw[end : end + 1] == b";"
        yield DELETED[kind], (start, end + follows), "{}" if follows else ""


def _spliced(start: int, end: int, replacement: str, source: str) -> str:
    """Return `source` with bytes `start` to `end` replaced: the compiler counts bytes."""
    raw = source.encode()
    return (raw[:start] + replacement.encode() + raw[end:]).decode()


def _span(node: Node) -> tuple[int, int]:
    start, length, _ = map(int, node["src"].split(":"))
    return start, start + length


def _nodes(tree: Any) -> Iterator[Node]:
    """Yield every node of a syntax tree, assembly included, in the order of the source."""
    if isinstance(tree, list):
        for part in tree:
            yield from _nodes(part)
    elif isinstance(tree, dict):
        if "nodeType" in tree and "src" in tree:
            yield tree
        for part in tree.values():
            yield from _nodes(part)
