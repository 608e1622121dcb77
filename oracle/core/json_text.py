"""
JSON that somebody else may have written, read without trusting how deep it nests.

Ethereum's libraries raise Python's recursion limit so far that its JSON parser would overflow the C
stack, which ends the process instead of raising an error. So the depth is counted before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

MAX_NESTING = 64
# Linear in the text, whatever it is: a string that does not end takes all the rest.
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def parse(
    text: str | bytes,
    *,
    parse_constant: Callable[[str], Any] | None = None,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """Return what `json.loads` would; raise `ValueError` if it is no JSON or nests too deep."""
    if isinstance(text, bytes):
        text = text.decode()
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        token = found[0]
        if token in "[{":
            depth += 1
            if depth > MAX_NESTING:
                raise ValueError(f"nested deeper than {MAX_NESTING}")
        elif token in "]}":
            depth -= 1
    return json.loads(text, parse_constant=parse_constant, object_pairs_hook=object_pairs_hook)
