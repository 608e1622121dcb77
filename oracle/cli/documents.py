"""
The files that pass between the commands of a round: scores, receipts, reveals.

Each is one JSON object with a version and its kind. This module decides what such a file may say;
whether it fits a round, the commands ask. A file that cannot be used ends the command.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from oracle.cli.exits import Exit, Stop
from oracle.core.units import MAX_ITEMS, MAX_SEATS, ONE

Score = Annotated[int, Field(ge=0, le=ONE)]
Scores = Annotated[list[Score], Field(min_length=1, max_length=MAX_ITEMS)]
Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$")]
Hash = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{64}$")]
Data = Annotated[str, StringConstraints(pattern=r"^0x([0-9a-f]{2})*$")]
Uint16 = Annotated[int, Field(ge=0, lt=2**16)]
Uint32 = Annotated[int, Field(ge=0, lt=2**32)]


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
    chainId: int
    rounds: Address
    round: int
    seat: Annotated[int, Field(ge=0, lt=MAX_SEATS)]
    nodeId: Uint32
    salt: Hash
    scores: Scores


Document = TypeVar("Document", ScoresFile, ReceiptFile, RevealFile)


def read(kind: type[Document], path: Path) -> Document:
    """Return the document in a file; raise `Stop` with the first thing that is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Stop(Exit.USAGE, f"{path} cannot be read: {error.strerror}.") from None
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        what = f"{place}: {first['msg']}" if place else first["msg"]
        name = kind.__name__.removesuffix("File").lower()
        raise Stop(Exit.USAGE, f"{path} is no {name} file: {what}.") from None


def read_all(kind: type[Document], paths: Iterable[Path]) -> list[Document]:
    """Return the documents in files, and in every .json file of directories, by name."""
    files = [
        file
        for path in paths
        for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])
    ]
    return [read(kind, file) for file in files]


def write(document: ScoresFile | ReceiptFile | RevealFile, path: Path) -> None:
    """Write a document, completely or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(document.model_dump_json() + "\n", encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        raise Stop(Exit.USAGE, f"{path} cannot be written: {error.strerror}.") from None
