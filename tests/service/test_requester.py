"""A requester believes an inference node exactly as far as it can check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Response

from oracle.evaluators.workload import Item, build
from oracle.service import requester
from oracle.service.inference import inference_application
from oracle.service.requester import NodeFailed, Prompt, PromptsMalformed, read_prompts
from oracle.service.serving import serving
from tests.service.rounds import DEPLOYMENT
from tests.service.test_inference import REQUESTER, Asked

CHAIN: Any = {"chain_id": DEPLOYMENT.chain_id, "registry": DEPLOYMENT.registry.address}
PROMPTS = [Prompt("a", "one", "eno"), Prompt("b", "two")]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Asked]:
    asked = Asked(tmp_path)
    asked.node._clock = iter(n / 10_000 for n in range(10_000)).__next__  # 0.1 ms an answer
    with serving(inference_application(asked.node), "127.0.0.1", 0) as asked.url:
        yield asked


def a_node_that_says(answer: Any, status: int = 200) -> FastAPI:
    app = FastAPI()
    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    @app.post("/{path:path}")
    def say(path: str) -> Response:
        return Response(content, status, media_type="application/json")

    return app


def an_answer(**changes: Any) -> dict[str, Any]:
    return {
        "choices": [{"message": {"content": "x"}}],
        "usage": {"completion_tokens": 1},
        "proof_of_quality": {"latency_ms": 0},
        **changes,
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{",
        b"[]",
        b'{"id": "a"}',
        b'{"id": "a", "prompt": ""}',
        b'{"id": "a", "prompt": 1}',
        b'{"id": "a", "prompt": "x", "label": 1}',
        b'{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}',
        b"\xff",
    ],
)
def test_prompts_that_cannot_be_used_are_refused_in_a_sentence(content: bytes) -> None:
    with pytest.raises(PromptsMalformed):
        read_prompts(content)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"no json", 200),
        (b"[" * 100_000, 200),
        (b"[" * 100_000, 500),
        (b" " * (2**20 + 1), 200),
        ([], 200),
        (an_answer(choices=[]), 200),
        (an_answer(usage={"completion_tokens": True}), 200),
        (an_answer(usage={"completion_tokens": -1}), 200),
        (an_answer(proof_of_quality={}), 200),
        (an_answer(choices=[{"message": {"content": None}}]), 200),
        ({"error": {"message": "Too many prompts are waiting."}}, 503),
        (b"", 500),
    ],
)
def test_an_answer_that_is_none_names_the_node(answer: Any, status: int) -> None:
    with (
        serving(a_node_that_says(answer, status), "127.0.0.1", 0) as url,
        pytest.raises(NodeFailed, match="Node 'mine': "),
    ):
        requester.ask("qa", 1000, PROMPTS, {"mine": url}, most_tokens=8)


def test_a_latency_that_is_longer_than_the_wait_is_not_believed() -> None:
    app = a_node_that_says(an_answer(proof_of_quality={"latency_ms": 10**7}))
    with (
        serving(app, "127.0.0.1", 0) as url,
        pytest.raises(NodeFailed, match="claims 10000000 ms"),
    ):
        requester.ask("qa", 1000, PROMPTS, {"mine": url}, most_tokens=8)


def test_nobody_at_the_url_names_the_node() -> None:
    with serving(FastAPI(), "127.0.0.1", 0) as url:
        pass
    with pytest.raises(NodeFailed, match="'mine': it cannot be asked"):
        requester.ask("qa", 1000, PROMPTS, {"mine": url}, most_tokens=8)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chainId", 5),
        ("registry", "0x" + 40 * "1"),
        ("label", "other"),
        ("requester", "0x" + 40 * "1"),
        ("workloadHash", "0x" + 64 * "1"),
        ("items", 7),
        ("cost", 9_999),
        ("outputsHash", "0x" + 64 * "1"),
    ],
)
def test_a_receipt_for_anything_else_is_refused_and_the_difference_told(
    node: Asked, field: str, value: Any
) -> None:
    workload = requester.ask("qa", 1000, PROMPTS, {"echo": node.url}, most_tokens=8)
    [receipt] = requester.receipts(workload, {"echo": node.url}, REQUESTER, **CHAIN)
    forged = receipt.model_dump() | {field: value}
    with (
        serving(a_node_that_says(forged), "127.0.0.1", 0) as url,
        pytest.raises(NodeFailed, match=f"says {field} {value}"),
    ):
        requester.receipts(workload, {"echo": url}, REQUESTER, **CHAIN)


def test_outputs_of_a_node_whose_url_is_not_known_are_named() -> None:
    item = Item(id="a", prompt="p", output="o", node="other", latency_ms=1, tokens=1)
    with pytest.raises(NodeFailed, match="'other': its URL is not known"):
        requester.receipts(build("qa", 1000, [item]), {}, REQUESTER, **CHAIN)


def test_every_node_answers_every_prompt_and_signs_for_it(node: Asked) -> None:
    workload = requester.ask("qa", 1000, PROMPTS, {"echo": node.url}, most_tokens=8)
    assert [(item.id, item.output, item.reference, item.node) for item in workload.items] == [
        ("a", "eno", "eno", "echo"),
        ("b", "owt", None, "echo"),
    ]
    [receipt] = requester.receipts(workload, {"echo": node.url}, REQUESTER, **CHAIN)
    assert (receipt.nodeId, receipt.items) == (4, 2)
    assert requester.receipts(workload, {"echo": node.url}, REQUESTER, **CHAIN) == [receipt]
