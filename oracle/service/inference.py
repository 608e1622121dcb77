"""
An inference node over HTTP: it answers prompts, and signs receipts for what it answered.

This module decides what the node puts its name to: a batch all of whose outputs are answers that it
gave, each with the latency and the length that it measured, in a workload whose ceiling does not
make its cost look larger than it agreed to. A receipt is for one requester and one workload, so
signing it twice gives nothing away. Prompts wait their turn; the wait is no part of the latency.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Annotated, Any, Literal, TypeVar

from eth_utils import to_checksum_address
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oracle.chain.deployment import Deployment
from oracle.chain.keys import Signer
from oracle.chain.receipts import sign_receipt
from oracle.chain.rpc import RpcUnreachable
from oracle.chain.state import Node
from oracle.core.facts import Batch
from oracle.evaluators.workload import MAX_COUNT, Workload, WorkloadError, parse
from oracle.service.answers import Answer, AnswerStore
from oracle.service.documents import Address, ReceiptFile, claims
from oracle.service.health import Health
from oracle.service.models import Message, Model, ModelFailed, prompt_of
from oracle.service.serving import ErrorBody, Refusal, application, bounded_body

MOST_PROMPT_BYTES = 2**20
MOST_WORKLOAD_BYTES = 64 * 2**20
MOST_TOKENS = 1024
USUAL_TOKENS = 64
MOST_WAITING = 32
"""Prompts that wait for the model or are answered; what comes beyond is told to come again."""
Asked = TypeVar("Asked", bound=BaseModel)
EXTENSION = "proof_of_quality"
"""The field of an answer that tells what the node measured, beside OpenAI's own."""


class _Part(BaseModel):
    role: Literal["system", "user", "assistant", "developer"]
    content: Annotated[str, Field(min_length=1)]


class Conversation(BaseModel):
    """OpenAI's form of a prompt; fields that change nothing here are passed over."""

    model_config = ConfigDict(extra="ignore")

    model: str = ""
    messages: Annotated[list[_Part], Field(min_length=1, max_length=64)]
    max_tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)] = USUAL_TOKENS
    stream: bool = False
    n: Literal[1] = 1


class ReceiptRequest(BaseModel):
    """Which batch, of which workload file, the node is asked to sign for, and to whom."""

    model_config = ConfigDict(extra="forbid", strict=True)

    workload: str
    label: str
    requester: Address


class InferenceNode:
    """
    The node with the operator key `signer`; `node` asks the registry about it.

    `least_ceiling_ms` is the lowest cost ceiling of a workload that it signs for.
    """

    def __init__(
        self,
        model: Model,
        store: AnswerStore,
        signer: Signer,
        deployment: Deployment,
        node: Callable[[], Node],
        *,
        label: str,
        least_ceiling_ms: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.label = label
        self.model = model
        self._store = store
        self._signer = signer
        self._deployment = deployment
        self._node = node
        self._least_ceiling_ms = least_ceiling_ms
        self._clock = clock
        self._turns = threading.Semaphore(model.parallel)
        self._places = threading.BoundedSemaphore(MOST_WAITING)

    def answer(self, messages: Sequence[Message], most_tokens: int) -> tuple[int, Answer, int]:
        """Return an answer's number, the answer and its prompt's tokens; raise `Refusal`."""
        with self._place(), self._turns:
            began = self._clock()
            try:
                said = self.model.complete(messages, most_tokens)
            except ModelFailed as failure:
                raise Refusal(502, "model_failed", str(failure)) from None
            elapsed = ceil(1000 * (self._clock() - began))
        answer = Answer(prompt_of(messages), said.text, min(elapsed, MAX_COUNT), said.tokens)
        return self._store.keep(answer, self.model.name), answer, said.prompt_tokens

    def receipt(self, workload: Workload, requester: str) -> ReceiptFile:
        """Return the signed receipt for the node's batch; raise `Refusal`."""
        parts = {part.node: part for part in workload.batches}
        if (part := parts.get(self.label)) is None:
            raise Refusal(404, "no_batch", f"The workload has no batch of {self.label!r}.")
        if workload.cost_ceiling_ms < self._least_ceiling_ms:
            raise Refusal(
                409,
                "ceiling_too_low",
                f"The workload's cost ceiling is {workload.cost_ceiling_ms} ms; this node signs "
                f"from {self._least_ceiling_ms} ms.",
            )
        self._require_given(workload, part.start, part.stop)
        try:
            node = self._node()
        except RpcUnreachable as error:
            raise Refusal(503, "chain_unreachable", str(error), retry_after=5) from None
        if node.operator != self._signer.address:
            raise Refusal(
                503,
                "not_operator",
                f"The operator of node {node.node_id} is {node.operator}, not this service.",
            )
        account = to_checksum_address(requester)
        batch = Batch(
            node.node_id, node.owner, part.stop - part.start, part.cost, part.outputs_hash
        )
        signature = sign_receipt(self._signer, self._deployment, batch, account, workload.hash)
        claimed = claims(
            part,
            workload,
            account,
            chain_id=self._deployment.chain_id,
            registry=self._deployment.registry.address,
        )
        return ReceiptFile(**claimed, nodeId=node.node_id, signature="0x" + signature.hex())

    def _require_given(self, workload: Workload, start: int, stop: int) -> None:
        items = workload.items[start:stop]
        answers = [Answer(item.prompt, item.output, item.latency_ms, item.tokens) for item in items]
        for answer, times in Counter(answers).items():
            if self._store.count(answer) < times:
                item = items[answers.index(answer)]
                raise Refusal(
                    409,
                    "not_given",
                    f"Item {item.id[:80]!r} is not an answer that this node gave to that prompt in "
                    f"{item.latency_ms} ms with {item.tokens} tokens.",
                )

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Refusal(503, "busy", "Too many prompts are waiting.", retry_after=2)
        try:
            yield
        finally:
            self._places.release()


class Watch:
    """Looks, once a tick, whether the registry still takes the service's word for the node's."""

    CHECK = "operator"

    def __init__(self, node: Callable[[], Node], address: str, health: Health) -> None:
        self._node = node
        self._address = address
        self._health = health

    def tick(self) -> None:
        """Report on `CHECK`; raise what asking the chain raises."""
        node = self._node()
        self._health.report(
            self.CHECK,
            ""
            if node.operator == self._address
            else f"The operator of node {node.node_id} is {node.operator}, not {self._address}.",
        )


def inference_application(node: InferenceNode) -> FastAPI:
    """Return the application that serves a node."""
    app = application(
        f"Proof of Quality: inference node {node.label}",
        "Answers prompts, and signs receipts for the answers that it gave.",
    )
    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody} for status in (404, 408, 409, 413, 422, 502, 503)
    }

    @app.post("/v1/chat/completions", responses=errors, openapi_extra=_body_of(Conversation))
    async def complete(request: Request) -> dict[str, Any]:
        """Answer a conversation, in OpenAI's form, with what the node measured beside it."""
        asked = _parsed(Conversation, await bounded_body(request, MOST_PROMPT_BYTES))
        if asked.stream:
            raise Refusal(422, "no_streaming", "Answers are not streamed: leave out `stream`.")
        messages = [Message(part.role, part.content) for part in asked.messages]
        number, answer, prompt_tokens = await run_in_threadpool(
            node.answer, messages, asked.max_tokens
        )
        return {
            "id": f"answer-{number}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": node.model.name,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": answer.output},
                    "finish_reason": "length" if answer.tokens >= asked.max_tokens else "stop",
                }
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": answer.tokens,
                "total_tokens": prompt_tokens + answer.tokens,
            },
            EXTENSION: {"label": node.label, "latency_ms": answer.latency_ms},
        }

    @app.post("/v1/receipts", responses=errors, openapi_extra=_body_of(ReceiptRequest))
    async def sign(request: Request) -> ReceiptFile:
        """Sign for the node's batch of a workload, if all of it is the node's own."""
        body = await bounded_body(request, MOST_WORKLOAD_BYTES)
        return await run_in_threadpool(_sign, node, body)

    return app


def _sign(node: InferenceNode, body: bytes) -> ReceiptFile:
    asked = _parsed(ReceiptRequest, body)
    if asked.label != node.label:
        raise Refusal(404, "no_batch", f"This node is called {node.label!r}.")
    try:
        workload = parse(asked.workload.encode())
    except (WorkloadError, UnicodeEncodeError) as error:
        raise Refusal(422, "workload_invalid", f"{error}.") from None
    return node.receipt(workload, asked.requester)


def _parsed(kind: type[Asked], body: bytes) -> Asked:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Refusal(422, "malformed", f"{place or 'The body'}: {first['msg']}.") from None


def _body_of(kind: type[BaseModel]) -> dict[str, Any]:
    content = {"application/json": {"schema": kind.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
