"""
The workload file: what a round asks its panel to judge, and the only reader and writer of it.

JSON lines, UTF-8. The first line is the manifest, every further line one item: one output of one
system for one prompt. Items of one node stand together and are that node's batch. The SHA-256 of
the file's bytes is the round's `workloadHash`, so a reader hashes what it read and never rewrites.
This module decides what is a valid workload and what a batch costs; it scores nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any, NoReturn

from oracle.core import json_text
from oracle.core.units import MAX_BATCHES, MAX_ITEMS, ONE, round_half_up

FORMAT = "poq-workload/1"
MAX_COUNT = 2**32 - 1
"""Bound of `latency_ms`, `tokens` and `cost_ceiling_ms`: a batch's cost stays below 63 bits."""

_DOMAIN = re.compile(r"[!-~]{1,31}")
_MANIFEST_FIELDS = frozenset({"format", "domain", "cost_ceiling_ms"})
_REQUIRED = frozenset({"id", "prompt", "output", "node", "latency_ms", "tokens"})


class WorkloadError(ValueError):
    """Raised when a workload cannot be used; says on which line (0 for the whole file) and why."""

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        super().__init__(f"workload line {line}: {reason}" if line else f"workload: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """
    One output of one system for one prompt.

    `id` names the prompt, so the outputs of several nodes for one prompt share it. `reference` is
    withheld from reference-free evaluators; `label`, a judged quality in [0, 1], from all of them.
    `latency_ms` is the wall time that the node needed, `tokens` the length of its output.
    """

    id: str
    prompt: str
    output: str
    node: str
    latency_ms: int
    tokens: int
    reference: str | None = None
    label: float | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """
    The consecutive items `start:stop` of one node.

    `cost` is in [0, ONE]: mean latency over the workload's ceiling, half up, capped at ONE.
    `outputs_hash` is keccak256 over the concatenated keccak256 of each output's UTF-8 bytes.
    """

    node: str
    start: int
    stop: int
    cost: int
    outputs_hash: bytes


@dataclass(frozen=True, slots=True)
class Workload:
    """A valid workload; `hash` is the SHA-256 of the file's bytes (32 bytes)."""

    domain: str
    cost_ceiling_ms: int
    items: tuple[Item, ...]
    hash: bytes

    @property
    def batches(self) -> tuple[Batch, ...]:
        """The batches in file order; together they cover every item once."""
        batches = []
        start = 0
        for node, group in groupby(self.items, key=lambda item: item.node):
            items = tuple(group)
            stop = start + len(items)
            cost = _cost(items, self.cost_ceiling_ms)
            batches.append(Batch(node, start, stop, cost, outputs_hash(items)))
            start = stop
        return tuple(batches)


def outputs_hash(items: Iterable[Item]) -> bytes:
    """Return keccak256 of the concatenated keccak256 of every output, the receipt's last field."""
    from eth_hash.auto import keccak

    return keccak(b"".join(keccak(item.output.encode()) for item in items))


def _cost(items: Collection[Item], ceiling_ms: int) -> int:
    latency = sum(item.latency_ms for item in items)
    return min(ONE, round_half_up(ONE * latency, len(items) * ceiling_ms))


def load(path: Path, expected_hash: bytes | None = None) -> Workload:
    """Read the workload at `path`; raises `WorkloadError`, also if the file cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WorkloadError(0, f"cannot read {path}: {error.strerror}") from error
    return parse(data, expected_hash)


def parse(data: bytes, expected_hash: bytes | None = None) -> Workload:
    """
    Return the workload whose file is `data`; raises `WorkloadError`.

    With `expected_hash`, the `workloadHash` of a round, bytes that do not have this SHA-256 are
    refused before anything in them is looked at.
    """
    digest = hashlib.sha256(data).digest()
    if expected_hash is not None and digest != expected_hash:
        raise WorkloadError(0, f"SHA-256 is {digest.hex()}, expected {expected_hash.hex()}")
    if not data:
        raise WorkloadError(0, "the file is empty")
    lines = data.removesuffix(b"\n").split(b"\n")
    if len(lines) - 1 > MAX_ITEMS:
        raise WorkloadError(0, f"{len(lines) - 1} items, at most {MAX_ITEMS}")
    domain, cost_ceiling_ms = _manifest(lines[0])
    items = tuple(_item(number, line) for number, line in enumerate(lines[1:], start=2))
    _check_together(items)
    return Workload(domain, cost_ceiling_ms, items, digest)


def build(domain: str, cost_ceiling_ms: int, items: Iterable[Item]) -> Workload:
    """Return the workload of `items` as `dump` writes it; raises `WorkloadError`."""
    return parse(_encode(domain, cost_ceiling_ms, items))


def dump(workload: Workload) -> bytes:
    """
    Return the file of `workload` in its canonical form.

    `parse(dump(w))` has the items of `w`, and its hash too unless `w` came from a file in another
    form (spacing, order of fields): to pass such a file on, copy its bytes.
    """
    return _encode(workload.domain, workload.cost_ceiling_ms, workload.items)


def write(workload: Workload, path: Path) -> Workload:
    """Write the canonical file to `path` and return the workload as written, with its hash."""
    data = dump(workload)
    path.write_bytes(data)
    return parse(data)


def select(
    workload: Workload,
    *,
    ids: Collection[str] | None = None,
    nodes: Collection[str] | None = None,
) -> Workload:
    """
    Cut a workload down to the given prompts (by item id) and nodes, in file order; None keeps all.

    Raises `WorkloadError` if an id or node does not occur, or if nothing is left.
    """
    for kind, wanted, present in (
        ("id", ids, {item.id for item in workload.items}),
        ("node", nodes, {item.node for item in workload.items}),
    ):
        if wanted is not None and (unknown := sorted(set(wanted) - present)):
            raise WorkloadError(0, f"no item has {kind} {unknown[0]!r}")
    kept = (
        item
        for item in workload.items
        if (ids is None or item.id in ids) and (nodes is None or item.node in nodes)
    )
    return build(workload.domain, workload.cost_ceiling_ms, kept)


def _encode(domain: str, cost_ceiling_ms: int, items: Iterable[Item]) -> bytes:
    manifest = {"format": FORMAT, "domain": domain, "cost_ceiling_ms": cost_ceiling_ms}
    rows = [manifest, *map(_row, items)]
    text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    return text.encode()


def _row(item: Item) -> dict[str, Any]:
    row = {field.name: getattr(item, field.name) for field in fields(item)}
    return {name: value for name, value in row.items() if value is not None}


def _manifest(line: bytes) -> tuple[str, int]:
    row = _Row(1, line)
    row.check_fields(_MANIFEST_FIELDS, _MANIFEST_FIELDS)
    if (found := row.text("format")) != FORMAT:
        row.fail(f"format is {found!r}, expected {FORMAT!r}")
    domain = row.text("domain")
    if not _DOMAIN.fullmatch(domain):
        row.fail(f"domain {domain!r} is not 1 to 31 printable ASCII characters without spaces")
    ceiling = row.count("cost_ceiling_ms")
    if ceiling == 0:
        row.fail("cost_ceiling_ms is 0, expected at least 1")
    return domain, ceiling


def _item(number: int, line: bytes) -> Item:
    row = _Row(number, line)
    row.check_fields(_REQUIRED, frozenset(field.name for field in fields(Item)))
    return Item(
        id=row.text("id"),
        prompt=row.text("prompt"),
        output=row.text("output", empty=True),
        node=row.text("node"),
        latency_ms=row.count("latency_ms"),
        tokens=row.count("tokens"),
        reference=row.text("reference") if "reference" in row.values else None,
        label=row.share("label") if "label" in row.values else None,
    )


def _check_together(items: tuple[Item, ...]) -> None:
    """Check what concerns several items: their number, batches, ids, and shared prompts."""
    if not items:
        raise WorkloadError(0, "no items after the manifest")
    first_of_id: dict[str, Item] = {}
    seen: set[tuple[str, str]] = set()
    batches: list[str] = []
    for line, item in enumerate(items, start=2):
        if (item.id, item.node) in seen:
            raise WorkloadError(line, f"id {item.id!r} occurs twice for node {item.node!r}")
        seen.add((item.id, item.node))
        if not batches or batches[-1] != item.node:
            if item.node in batches:
                raise WorkloadError(line, f"items of node {item.node!r} do not stand together")
            batches.append(item.node)
        if len(batches) > MAX_BATCHES:
            raise WorkloadError(line, f"more than {MAX_BATCHES} batches")
        first = first_of_id.setdefault(item.id, item)
        if (first.prompt, first.reference) != (item.prompt, item.reference):
            raise WorkloadError(line, f"id {item.id!r} has another prompt or reference than before")


class _Row:
    """The values of one line, each taken out with a check of its type."""

    __slots__ = ("line", "values")

    def __init__(self, line: int, data: bytes) -> None:
        self.line = line
        try:
            values = json_text.parse(
                data.decode("utf-8"),
                parse_constant=self._refuse_constant,
                object_pairs_hook=self._unique,
            )
        except UnicodeDecodeError:
            self.fail("not UTF-8")
        except WorkloadError:
            raise
        except ValueError:
            self.fail("not valid JSON")
        if not isinstance(values, dict):
            self.fail(f"a JSON {type(values).__name__}, expected an object")
        self.values: Mapping[str, Any] = values

    def fail(self, reason: str) -> NoReturn:
        raise WorkloadError(self.line, reason)

    def check_fields(self, required: frozenset[str], known: frozenset[str]) -> None:
        if missing := sorted(required - self.values.keys()):
            self.fail(f"field {missing[0]!r} is missing")
        if unknown := sorted(self.values.keys() - known):
            self.fail(f"unknown field {unknown[0]!r}")

    def text(self, name: str, *, empty: bool = False) -> str:
        value = self.values[name]
        if not isinstance(value, str):
            self.fail(f"{name} is {value!r:.40}, expected a string")
        if not value and not empty:
            self.fail(f"{name} is empty")
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail(f"{name} holds an unpaired surrogate")
        return value

    def count(self, name: str) -> int:
        value = self.values[name]
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COUNT:
            self.fail(f"{name} is {value!r:.40}, expected an integer from 0 to {MAX_COUNT}")
        return value

    def share(self, name: str) -> float:
        value = self.values[name]
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            self.fail(f"{name} is {value!r:.40}, expected a number from 0 to 1")
        return float(value)

    def _refuse_constant(self, name: str) -> NoReturn:
        self.fail(f"{name} is not a JSON number")

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            self.fail("a field occurs twice")
        return values
