"""
What a requester does with inference nodes: asks prompts, and has receipts signed.

This module decides what a requester believes of a node. A latency that the node claims is refused
if it is longer than the requester itself waited, since the node is paid by it; a shorter one is the
node's own affair and reported. A receipt counts only if it is for exactly the batch that the
workload has. Nothing is kept and nothing sent to a chain: whoever repeats any of it harms nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from time import perf_counter
from typing import Any

from oracle.core import json_text
from oracle.evaluators.workload import Item, Workload, WorkloadError, build, dump
from oracle.service.documents import DocumentMalformed, ReceiptFile, claims, contradiction
from oracle.service.documents import parse as parse_document
from oracle.service.exchange import Unanswered, post

ANSWER_SECONDS = 300.0
_FIELDS = {"id", "prompt", "reference"}
Told = Callable[[str, Item], None]


class NodeFailed(Exception):
    """Raised when an inference node does not do what it is there for; names it and says why."""

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(f"Node {label!r}: {reason}")
        self.label = label


class PromptsMalformed(ValueError):
    """Raised when a file of prompts cannot be used; says on which line and why."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt and, for evaluators that need one, a reference answer."""

    id: str
    text: str
    reference: str | None = None


def read_prompts(content: bytes) -> list[Prompt]:
    """Return the prompts of a JSON-lines file: `id`, `prompt`, and perhaps `reference`."""
    prompts: list[Prompt] = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json_text.parse(line)
        except ValueError:
            raise PromptsMalformed(f"prompts line {number}: not valid JSON") from None
        if not isinstance(row, dict) or not {"id", "prompt"} <= row.keys() <= _FIELDS:
            raise PromptsMalformed(f"prompts line {number}: needs id, prompt, perhaps reference")
        values = [row["id"], row["prompt"], row.get("reference")]
        if not all(isinstance(value, str) and value for value in values if value is not None):
            raise PromptsMalformed(f"prompts line {number}: a field is no text, or empty")
        prompts.append(Prompt(*values))
    if not prompts:
        raise PromptsMalformed("there is no prompt in the file")
    if len({prompt.id for prompt in prompts}) < len(prompts):
        raise PromptsMalformed("an id occurs twice")
    return prompts


def ask(
    domain: str,
    cost_ceiling_ms: int,
    prompts: Iterable[Prompt],
    nodes: Mapping[str, str],
    *,
    most_tokens: int,
    told: Told | None = None,
) -> Workload:
    """
    Return the workload of every node's answer to every prompt; raise `NodeFailed`.

    `nodes` are URLs by label. Each is asked one prompt after the other, and all of them at once.
    """
    asked = tuple(prompts)

    def batch(label: str) -> list[Item]:
        items = []
        for prompt in asked:
            items.append(_answer(nodes[label], label, prompt, most_tokens))
            if told is not None:
                told(label, items[-1])
        return items

    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        batches = list(pool.map(batch, nodes))
    return build(domain, cost_ceiling_ms, [item for items in batches for item in items])


def receipts(
    workload: Workload,
    nodes: Mapping[str, str],
    requester: str,
    *,
    chain_id: int,
    registry: str,
    content: bytes | None = None,
) -> list[ReceiptFile]:
    """
    Return each node's receipt for its batch, in the order of the workload; raise `NodeFailed`.

    `content` are the bytes of the workload's file, if they are not in its canonical form.
    """
    text = (dump(workload) if content is None else content).decode()
    signed = []
    for part in workload.batches:
        if (url := nodes.get(part.node)) is None:
            raise NodeFailed(part.node, "its URL is not known, and the workload has its outputs.")
        body = {"workload": text, "label": part.node, "requester": requester}
        answer = _post(part.node, url, "/v1/receipts", body)
        try:
            receipt = parse_document(ReceiptFile, answer)
        except DocumentMalformed as error:
            raise NodeFailed(part.node, f"its answer is no receipt: {error}.") from None
        claimed = claims(part, workload, requester, chain_id=chain_id, registry=registry)
        if wrong := contradiction(receipt, claimed):
            raise NodeFailed(part.node, f"its receipt says {wrong}.")
        signed.append(receipt)
    return signed


def _answer(url: str, label: str, prompt: Prompt, most_tokens: int) -> Item:
    body = {
        "model": label,
        "messages": [{"role": "user", "content": prompt.text}],
        "max_tokens": most_tokens,
        "temperature": 0,
    }
    began = perf_counter()
    content = _post(label, url, "/v1/chat/completions", body)
    waited_ms = ceil(1000 * (perf_counter() - began))
    try:
        answer = json_text.parse(content)
        item = Item(
            id=prompt.id,
            prompt=prompt.text,
            output=_is(str, answer["choices"][0]["message"]["content"]),
            node=label,
            reference=prompt.reference,
            latency_ms=_is(int, answer["proof_of_quality"]["latency_ms"]),
            tokens=_is(int, answer["usage"]["completion_tokens"]),
        )
        build("qa", 1, [item])  # what is no item of a workload is no answer
    except (ValueError, KeyError, TypeError, IndexError, WorkloadError):
        raise NodeFailed(label, "its answer is not in the form of an inference node's.") from None
    if item.latency_ms > waited_ms:
        raise NodeFailed(
            label, f"it claims {item.latency_ms} ms for an answer that came in {waited_ms} ms."
        )
    return item


def _post(label: str, url: str, path: str, body: Mapping[str, Any]) -> bytes:
    try:
        answer = post(url.rstrip("/") + path, json.dumps(body).encode(), seconds=ANSWER_SECONDS)
    except Unanswered as error:
        raise NodeFailed(label, f"it cannot be asked: {error}.") from None
    if answer.status != 200:
        raise NodeFailed(label, answer.error()[1])
    return answer.content


def _is(kind: type, value: Any) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(value)
    return value
