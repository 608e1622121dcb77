"""An inference node signs for what it answered, as long as it took, and for nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from oracle.chain.keys import Signer
from oracle.chain.receipts import _TYPES
from oracle.chain.rpc import RpcUnreachable
from oracle.chain.state import Node
from oracle.core.facts import Role
from oracle.evaluators.workload import Item, Workload, build, dump
from oracle.service.answers import FILE, AnswerStore
from oracle.service.inference import InferenceNode, inference_application
from oracle.service.models import Completion, Message, ModelFailed
from oracle.service.serving import serving
from tests.core.rounds import account
from tests.service.rounds import DEPLOYMENT

OPERATOR = Signer.from_private_key("0x" + "11" * 32)
REQUESTER = account("requester")
NODE = Node(4, account("owner"), Role.INFERENCE, 0, 0, OPERATOR.address, 10**21)
TICK = 0.1205  # seconds between two looks at the clock


class Echo:
    """Answers with the last message, backwards."""

    name = "echo"
    parallel = 1
    failure: ModelFailed | None = None

    def complete(self, messages: Sequence[Message], most_tokens: int) -> Completion:
        if self.failure is not None:
            raise self.failure
        return Completion(messages[-1].content[::-1], 3, 2)


class Asked:
    """A node behind a port, and what a requester does with it."""

    def __init__(self, directory: Path) -> None:
        self.model = Echo()
        self.registered: Node | Exception = NODE
        self.directory = directory
        self.now = 0.0
        self.node = self.started()
        self.url = ""

    def started(self, **changes: Any) -> InferenceNode:
        store = AnswerStore(self.directory / FILE)
        return InferenceNode(
            self.model,
            store,
            OPERATOR,
            DEPLOYMENT,
            self.look_up,
            label="echo",
            clock=self.tick,
            **changes,
        )

    def tick(self) -> float:
        self.now += TICK
        return self.now

    def look_up(self) -> Node:
        if isinstance(self.registered, Exception):
            raise self.registered
        return self.registered

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.post(self.url + path, content=content, timeout=60, **options)

    def ask(self, prompt: str) -> Item:
        answer = self.post(
            "/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}]}
        ).json()
        return Item(
            id=prompt,
            prompt=prompt,
            output=answer["choices"][0]["message"]["content"],
            node="echo",
            latency_ms=answer["proof_of_quality"]["latency_ms"],
            tokens=answer["usage"]["completion_tokens"],
        )

    def receipt(self, workload: Workload, /, **changes: Any) -> httpx.Response:
        body = {"workload": dump(workload).decode(), "label": "echo", "requester": REQUESTER}
        return self.post("/v1/receipts", body | changes)


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    asked = Asked(tmp_path)
    with serving(inference_application(asked.node), "127.0.0.1", 0) as asked.url:
        yield asked


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# What is not signed


@pytest.mark.parametrize(
    "change",
    [
        {"output": "another"},
        {"prompt": "another"},
        {"latency_ms": 120},
        {"latency_ms": 122},
        {"tokens": 3},
    ],
)
def test_a_batch_with_anything_that_the_node_did_not_say_is_not_signed(
    asked: Asked, change: dict[str, Any]
) -> None:
    given = [asked.ask("one"), asked.ask("two")]
    assert [item.latency_ms for item in given] == [121, 121]
    changed = build("qa", 1000, [given[0], replace(given[1], **change)])
    answer = asked.receipt(changed)
    assert code_of(answer) == (409, "not_given")
    assert "'two'" in answer.json()["error"]["message"]


def test_an_answer_that_was_given_once_is_not_signed_twice_in_one_workload(asked: Asked) -> None:
    once = asked.ask("one")
    assert code_of(asked.receipt(build("qa", 1000, [once, replace(once, id="again")]))) == (
        409,
        "not_given",
    )


def test_a_ceiling_below_what_the_node_agreed_to_is_not_signed(asked: Asked) -> None:
    from oracle.service.serving import Refusal

    node = asked.started(least_ceiling_ms=2000)
    with pytest.raises(Refusal, match="ceiling is 1999 ms"):
        node.receipt(build("qa", 1999, [asked.ask("one")]), REQUESTER)
    node.receipt(build("qa", 2000, [asked.ask("two")]), REQUESTER)


def test_nothing_is_signed_by_a_key_that_is_not_the_operators_any_more(asked: Asked) -> None:
    workload = build("qa", 1000, [asked.ask("one")])
    asked.registered = replace(NODE, operator=account("another"))
    assert code_of(asked.receipt(workload)) == (503, "not_operator")


def test_nothing_is_signed_while_the_chain_cannot_be_asked(asked: Asked) -> None:
    workload = build("qa", 1000, [asked.ask("one")])
    asked.registered = RpcUnreachable("http://node", "nobody there")
    answer = asked.receipt(workload)
    assert code_of(answer) == (503, "chain_unreachable")
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"label": "other"}, (404, "no_batch")),
        ({"workload": "no workload"}, (422, "workload_invalid")),
        ({"workload": 1}, (422, "malformed")),
        ({"requester": "0x12"}, (422, "malformed")),
        ({"extra": 1}, (422, "malformed")),
    ],
)
def test_a_request_that_makes_no_sense_is_told_so(
    asked: Asked, changes: dict[str, Any], code: tuple[int, str]
) -> None:
    assert code_of(asked.receipt(build("qa", 1000, [asked.ask("one")]), **changes)) == code


def test_a_workload_without_a_batch_of_the_node_is_not_signed(asked: Asked) -> None:
    other = replace(asked.ask("one"), node="other")
    assert code_of(asked.receipt(build("qa", 1000, [other]))) == (404, "no_batch")


@pytest.mark.parametrize("path", ["/v1/receipts", "/v1/chat/completions"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"messages": []}', b'{"messages": [{"role": "x"}]}'],
)
def test_a_malformed_body_is_one_sentence(asked: Asked, path: str, body: bytes) -> None:
    assert code_of(asked.post(path, body)) == (422, "malformed")


@pytest.mark.parametrize("extra", [{"stream": True}, {"n": 2}, {"max_tokens": 10**9}])
def test_what_cannot_be_had_is_refused_and_not_ignored(asked: Asked, extra: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": "x"}], **extra}
    assert asked.post("/v1/chat/completions", body).status_code == 422


def test_a_model_that_fails_keeps_nothing_and_says_why(asked: Asked) -> None:
    asked.model.failure = ModelFailed("The endpoint answered with HTTP 500.")
    body = {"messages": [{"role": "user", "content": "x"}]}
    assert code_of(asked.post("/v1/chat/completions", body)) == (502, "model_failed")


def test_more_prompts_than_can_wait_are_told_to_come_again(asked: Asked) -> None:
    release, inside = threading.Event(), threading.Semaphore(0)

    def complete(messages: Sequence[Message], most_tokens: int) -> Completion:
        inside.release()
        assert release.wait(60)
        return Completion("x", 1, 1)

    asked.model.complete = complete  # type: ignore[method-assign]
    asked.node._places = threading.BoundedSemaphore(1)
    first = threading.Thread(target=asked.ask, args=("one",))
    first.start()
    try:
        assert inside.acquire(timeout=60)
        body = {"messages": [{"role": "user", "content": "two"}]}
        answer = asked.post("/v1/chat/completions", body)
    finally:
        release.set()
        first.join()
    assert code_of(answer) == (503, "busy")


# What is signed


def test_a_batch_of_the_nodes_own_answers_is_signed_by_its_operator(asked: Asked) -> None:
    given = [asked.ask("one"), asked.ask("two")]
    other = Item(id="one", prompt="one", output="?", node="other", latency_ms=1, tokens=1)
    workload = build("qa", 1000, [other, *given])
    receipt = asked.receipt(workload).json()
    [_, part] = workload.batches
    assert (receipt["nodeId"], receipt["items"], receipt["cost"]) == (4, 2, 1210)
    assert receipt["workloadHash"] == "0x" + workload.hash.hex()
    message = encode_typed_data(
        {
            "name": "Proof of Quality",
            "version": "1",
            "chainId": DEPLOYMENT.chain_id,
            "verifyingContract": DEPLOYMENT.registry.address,
        },
        _TYPES,
        {
            "nodeId": 4,
            "requester": REQUESTER,
            "workloadHash": workload.hash,
            "items": 2,
            "cost": 1210,
            "outputsHash": part.outputs_hash,
        },
    )
    signature = bytes.fromhex(receipt["signature"][2:])
    assert Account.recover_message(message, signature=signature) == OPERATOR.address


def test_a_receipt_can_be_had_again_and_also_after_a_restart(asked: Asked) -> None:
    workload = build("qa", 1000, [asked.ask("one")])
    receipt = asked.receipt(workload).json()
    assert asked.receipt(workload).json() == receipt
    again = asked.started().receipt(workload, REQUESTER)
    assert again.model_dump(mode="json") == receipt


def test_an_answer_has_openais_form_and_what_the_node_measured(asked: Asked) -> None:
    conversation = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one"},
    ]
    body = {"model": "any", "messages": conversation, "temperature": 1, "max_tokens": 2}
    answer = asked.post("/v1/chat/completions", body).json()
    assert answer.pop("created") > 0
    assert answer == {
        "id": "answer-1",
        "object": "chat.completion",
        "model": "echo",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "eno"},
                "finish_reason": "length",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        "proof_of_quality": {"label": "echo", "latency_ms": 121},
    }


def test_only_the_owner_can_look_into_the_answers(asked: Asked) -> None:
    assert (asked.directory / FILE).stat().st_mode & 0o077 == 0
