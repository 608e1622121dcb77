"""
The documents that pass between the parts of a round: scores, receipts, reveals.

Each is one JSON object with a version and its kind, the same in a file as in the body of a request.
This module decides what such a document may say; whether it fits a round, its reader asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from oracle.core.facts import Reveal, RoundKey
from oracle.core.units import MAX_ITEMS, MAX_SEATS, ONE, unpack
from oracle.evaluators.workload import Batch, Workload

Score = Annotated[int, Field(ge=0, le=ONE)]
Scores = Annotated[list[Score], Field(min_length=1, max_length=MAX_ITEMS)]
Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$")]
Hash = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{64}$")]
Data = Annotated[str, StringConstraints(pattern=r"^0x([0-9a-f]{2})*$")]
Uint16 = Annotated[int, Field(ge=0, lt=2**16)]
Uint63 = Annotated[int, Field(ge=0, lt=2**63)]
Uint32 = Annotated[int, Field(ge=0, lt=2**32)]

_LONGEST_PLACE = 80
"""Characters: whoever wrote the document chose the names of its fields."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: Literal[1] = 1


class ScoresFile(_Document):
    """What an evaluator makes of a workload, item by item, in ONE."""

    kind: Literal["scores"] = "scores"
    workloadHash: Hash
    evaluator: str
    calibrated: bool
    scores: Scores


class ReceiptFile(_Document):
    """An inference node's signed word for a batch, which the workload calls by `label`."""

    kind: Literal["receipt"] = "receipt"
    chainId: int
    registry: Address
    label: str
    nodeId: Uint32
    requester: Address
    workloadHash: Hash
    items: Uint16
    cost: Annotated[int, Field(ge=0, le=ONE)]
    outputsHash: Hash
    signature: Data


class RevealFile(_Document):
    """What opens a seat's commitment."""

    kind: Literal["reveal"] = "reveal"
    chainId: Uint63
    rounds: Address
    round: Uint63
    seat: Annotated[int, Field(ge=0, lt=MAX_SEATS)]
    nodeId: Uint32
    salt: Hash
    scores: Scores


Document = TypeVar("Document", ScoresFile, ReceiptFile, RevealFile)


class DocumentMalformed(ValueError):
    """Raised when bytes are no such document; the message says what is wrong first."""


def parse(kind: type[Document], content: bytes) -> Document:
    """Return the document that JSON says; raise `DocumentMalformed`."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:_LONGEST_PLACE]
        raise DocumentMalformed(f"{place}: {first['msg']}" if place else first["msg"]) from None


def claims(
    part: Batch, workload: Workload, requester: str, *, chain_id: int, registry: str
) -> dict[str, Any]:
    """Return what every receipt for this batch says, but for its node's id and signature."""
    return {
        "chainId": chain_id,
        "registry": registry,
        "label": part.node,
        "requester": requester,
        "workloadHash": "0x" + workload.hash.hex(),
        "items": part.stop - part.start,
        "cost": part.cost,
        "outputsHash": "0x" + part.outputs_hash.hex(),
    }


def contradiction(receipt: ReceiptFile, claimed: Mapping[str, Any]) -> str:
    """Return what a receipt says otherwise than it is `claimed`; nothing if it does not."""
    for field, value in claimed.items():
        if (said := getattr(receipt, field)) != value:
            return f"{field} {said}, and it is {value}"
    return ""


def reveal_file(key: RoundKey, node_id: int, reveal: Reveal) -> RevealFile:
    """Return a reveal, whose scores are packed, as a document."""
    return RevealFile(
        chainId=key.chain_id,
        rounds=key.contract,
        round=key.round_id,
        seat=reveal.seat,
        nodeId=node_id,
        salt="0x" + reveal.salt.hex(),
        scores=unpack(reveal.scores, len(reveal.scores) // 2).tolist(),
    )
