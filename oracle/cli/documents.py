"""
The files of a round on disk: scores, receipts, reveals.

What such a file may say, `oracle.service.documents` decides; this module reads and writes them. A
file that cannot be used ends the command.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from oracle.cli.exits import Exit, Stop
from oracle.service.documents import (
    Document,
    DocumentMalformed,
    ReceiptFile,
    RevealFile,
    ScoresFile,
    parse,
)

__all__ = ["ReceiptFile", "RevealFile", "ScoresFile", "read", "read_all", "write"]


def read(kind: type[Document], path: Path) -> Document:
    """Return the document in a file; raise `Stop` with the first thing that is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Stop(Exit.USAGE, f"{path} cannot be read: {error.strerror}.") from None
    try:
        return parse(kind, content)
    except DocumentMalformed as error:
        name = kind.__name__.removesuffix("File").lower()
        raise Stop(Exit.USAGE, f"{path} is no {name} file: {error}.") from None


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
