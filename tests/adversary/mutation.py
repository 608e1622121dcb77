"""
Break a valid file, at random but again the same way from the same seed.

Decides what a malformed input is here: damage to the bytes, and damage to the meaning, where the
file stays JSON, JSON lines or text but one place of it says something that nobody expects. It
never decides whether the result is still valid: the program that reads it does.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

Mutation = Callable[[random.Random, bytes], bytes]

STRANGE_NUMBERS = (
    0,
    1,
    -1,
    255,
    10_001,
    2**16,
    2**31,
    2**32,
    2**63,
    2**64,
    2**128,
    2**256,
    10**400,
)
STRANGE_TEXTS = (
    "",
    " ",
    "0",
    "0x",
    "0X00",
    "0xzz",
    "0x" + "f" * 63,
    "0x" + "F" * 64,
    "0x" + "0" * 66,
    "0x" + "0" * 40,
    "-1",
    "1e999",
    "١٢",  # decimal digits that are not ASCII
    "é",
    "\0",
    "\ud800",  # half of a pair: no UTF-8 says it
    "\n",
    "../../etc/passwd",
    "{}",
    "%s%n{0}",
    "x" * 70_000,
)
RAW = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-0",
    "01",
    "1.0",
    "[" * 3_000,
    '{"a":' * 100,
    "'a'",
)
"""What is put where a value was, as it stands, JSON or not."""
WORDS = (
    "",
    "0",
    "-1",
    "1.5",
    "nan",
    "inf",
    "1e400",
    "true",
    '"',
    "'",
    "[",
    "[[a]]",
    "=",
    "\t",
    "\0",
)
SLOT = "@@raw@@"


def broken_bytes(rng: random.Random, content: bytes) -> bytes:
    """Damage bytes, whatever they mean: cut, flip, insert, repeat, delete, or replace them all."""
    if not content:
        return rng.randbytes(rng.randrange(1, 9))
    start = rng.randrange(len(content))
    stop = min(len(content), start + rng.choice((1, 2, 8, 64)))
    kind = rng.randrange(8)
    if kind == 0:
        return content[:start]
    if kind == 1:
        return (
            content[:start] + bytes([content[start] ^ 1 << rng.randrange(8)]) + content[start + 1 :]
        )
    if kind == 2:
        return content[:start] + rng.randbytes(rng.choice((1, 3, 32))) + content[start:]
    if kind == 3:
        return content[:stop] + content[start:]
    if kind == 4:
        return content[:start] + content[stop:]
    if kind == 5:
        return rng.choice(
            (b"", b"\n", b"\xef\xbb\xbf" + content, content + b"\xff", b"null", b"[]")
        )
    if kind == 6:
        return content[start:] + content[:start]
    return content.decode("latin-1").encode("utf-16" if rng.random() < 0.5 else "utf-8")


def broken_json(rng: random.Random, content: bytes) -> bytes:
    """Put something else at one place of a JSON document."""
    slots: list[str] = []
    document = _elsewhere(rng, json.loads(content), slots)
    text = json.dumps(document)
    for raw in slots:
        text = text.replace(f'"{SLOT}"', raw, 1)
    return text.encode("utf-8", "surrogatepass")


def broken_lines(rng: random.Random, content: bytes) -> bytes:
    """Break one line of JSON lines, or drop, repeat or exchange lines."""
    lines = content.splitlines()
    place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(6)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(other, lines[place])
    elif kind == 2:
        lines[place], lines[other] = lines[other], lines[place]
    else:
        lines[place] = broken_json(rng, lines[place])
    return b"\n".join(lines) + b"\n"


def broken_words(rng: random.Random, content: bytes) -> bytes:
    """Put another word in the place of one of a text, or drop or repeat a line."""
    lines = content.decode().splitlines()
    place = rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(place, lines[place])
    else:
        parts = lines[place].replace(",", " , ").replace("=", " = ").split(" ")
        strange = rng.choice((WORDS, STRANGE_TEXTS, tuple(map(str, STRANGE_NUMBERS))))
        parts[rng.randrange(len(parts))] = rng.choice(strange)
        lines[place] = " ".join(parts).replace(" , ", ",")
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def either(meaning: Mutation, share: float = 0.75) -> Mutation:
    """Return a mutation that damages the meaning in this share of cases, else the bytes."""

    def mutate(rng: random.Random, content: bytes) -> bytes:
        chosen = meaning if rng.random() < share else broken_bytes
        broken = chosen(rng, content)
        # Now and then twice: an error may hide behind another.
        return chosen(rng, broken) if chosen is broken_bytes and rng.random() < 0.2 else broken

    return mutate


def _elsewhere(rng: random.Random, value: Any, slots: list[str]) -> Any:
    """Return a copy of `value` with one change somewhere in it."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        copy = dict(value)
        key = rng.choice(list(copy))
        kind = rng.randrange(10)
        if kind == 0:
            del copy[key]
        elif kind == 1:
            copy[rng.choice(("x", "", key.upper(), "__class__"))] = copy[key]
        else:
            copy[key] = _elsewhere(rng, copy[key], slots)
        return copy
    if isinstance(value, list) and value and rng.random() < 0.8:
        items = list(value)
        place = rng.randrange(len(items))
        kind = rng.randrange(8)
        if kind == 0:
            del items[place]
        elif kind == 1:
            items.insert(place, items[place])
        elif kind == 2:
            items = items * 3
        else:
            items[place] = _elsewhere(rng, items[place], slots)
        return items
    return _strange(rng, value, slots)


def _strange(rng: random.Random, value: Any, slots: list[str]) -> Any:
    kind = rng.randrange(8)
    if kind == 0:
        slots.append(rng.choice(RAW))
        return SLOT
    if kind == 1:
        return rng.choice((None, True, False, 0.5, [], {}, [[]], [None], {"": None}))
    if kind == 2:
        return rng.choice(STRANGE_NUMBERS)
    if kind == 3:
        return rng.choice(STRANGE_TEXTS)
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return rng.choice((value + 1, value - 1, -value, float(value) + 0.5, str(value), [value]))
    if isinstance(value, str):
        place = rng.randrange(len(value) + 1)
        texts = (value[:place], value + value, value.upper(), value[place:], value + "\0")
        return rng.choice((*texts, [value], {"value": value}))
    return rng.choice((str(value)[:40], [value], {"value": value}))
