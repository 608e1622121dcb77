"""
An audit's whole evidence in one file: deployment, logs, and what the chain has stored.

The file is a ZIP of stored members, so that any tool opens it, and the same evidence is the same
bytes wherever, whenever and in whatever portions it was read. Its `manifest.json` has the SHA-256
of every other member; reading checks them. Section "The exported file" of docs/audit.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from oracle.audit.replay import Progress, audit
from oracle.audit.report import Report
from oracle.audit.sources import ChainSource
from oracle.audit.storage_file import Answers, RecordedReader, RecordingReader
from oracle.chain.deployment import Deployment, DeploymentMalformed, from_bytes, to_bytes
from oracle.chain.log_table import LogTable, NotATable, rechunked
from oracle.core import json_text

VERSION = 1
LOGS_A_MEMBER = 1 << 15
MANIFEST, DEPLOYMENT, STORAGE = "manifest.json", "deployment.json", "storage.json"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_UNIX = 3


class ExportMalformed(Exception):
    """A file is no export, or not as it was written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be audited: {reason}.")


class ExportNotWritten(Exception):
    """The file cannot be written where it was meant to be."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be written: {reason}.")


def export(source: ChainSource, path: Path, progress: Progress | None = None) -> Report:
    """
    Write the evidence of a chain to `path`, completely or not at all, and return its audit.

    Raises `ExportNotWritten`, and what auditing the source raises.
    """
    reports: list[Report] = []

    def answers(draft: Path) -> Answers:
        reader = RecordingReader(source.reader, source.block_hash)
        reports.append(audit(_Written(draft, source.deployment, reader), progress))
        source.check()
        return reader.answers

    write(path, source.deployment, source.tables(), answers)
    return reports[0]


def write(
    path: Path,
    deployment: Deployment,
    tables: Iterable[LogTable],
    answers: Callable[[Path], Answers],
) -> None:
    """
    Write a deployment, its logs and what its chain answers to `path`, completely or not at all.

    `answers` is called with a file that has all but them, so that what is asked can depend on it.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    if path.is_dir():
        raise ExportNotWritten(path, "it is a directory")
    try:
        draft.touch()
    except OSError as error:
        raise ExportNotWritten(path, error.strerror or str(error)) from None
    try:
        sums: dict[str, str] = {}
        count = 0
        with zipfile.ZipFile(draft, "w") as archive:
            _put(archive, sums, DEPLOYMENT, to_bytes(deployment))
            for number, table in enumerate(rechunked(tables, LOGS_A_MEMBER)):
                _put(archive, sums, f"logs/{number:06}", table.to_bytes())
                count += len(table)
        answered = answers(draft)
        with zipfile.ZipFile(draft, "a") as archive:
            _put(archive, sums, STORAGE, answered.to_bytes())
            manifest = {
                "version": VERSION,
                "kind": "proof-of-quality-logs",
                "chainId": deployment.chain_id,
                "firstBlock": deployment.start_block,
                "lastBlock": answered.block,
                "lastBlockHash": "0x" + answered.block_hash.hex(),
                "logs": count,
                "sha256": sums,
            }
            content = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
            _put(archive, {}, MANIFEST, content.encode())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


class FileSource:
    """What `export` wrote; raises `ExportMalformed`, also while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._archive = zipfile.ZipFile(path)
            manifest = json_text.parse(self._archive.read(MANIFEST))
            if manifest["version"] != VERSION:
                raise ValueError(f"its version is {manifest['version']}, not {VERSION}")
            self._sums: dict[str, str] = dict(manifest["sha256"])
            if {*self._archive.namelist()} != {*self._sums, MANIFEST}:
                raise ValueError("its members are not those of its manifest")
            self.deployment: Deployment = from_bytes(self._member(DEPLOYMENT), path)
            self.reader = RecordedReader(Answers.from_bytes(self._member(STORAGE)))
        except OSError as error:
            raise ExportMalformed(path, error.strerror or str(error)) from None
        except (zipfile.BadZipFile, DeploymentMalformed) as error:
            raise ExportMalformed(path, str(error).rstrip(".")) from None
        except KeyError as error:
            raise ExportMalformed(path, f"it has no {error}") from None
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise ExportMalformed(path, str(error)) from None

    def tables(self) -> Iterator[LogTable]:
        """Yield the logs."""
        for name in sorted(name for name in self._sums if name.startswith("logs/")):
            try:
                yield LogTable.from_bytes(self._member(name))
            except NotATable as error:
                raise ExportMalformed(self._path, f"{name}: {error}") from None

    def _member(self, name: str) -> bytes:
        try:
            content = self._archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise ExportMalformed(self._path, f"{name}: {error}") from None
        if hashlib.sha256(content).hexdigest() != self._sums[name]:
            raise ExportMalformed(self._path, f"{name} is not what its manifest says")
        return content


class _Written:
    """A source of the logs that were just written, so that the node is asked for each once."""

    def __init__(self, path: Path, deployment: Deployment, reader: RecordingReader) -> None:
        self._path = path
        self.deployment = deployment
        self.reader = reader

    def tables(self) -> Iterator[LogTable]:
        with zipfile.ZipFile(self._path) as archive:
            for name in archive.namelist():
                if name.startswith("logs/"):
                    yield LogTable.from_bytes(archive.read(name))


def _put(archive: zipfile.ZipFile, sums: dict[str, str], name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, _LONG_AGO)
    member.create_system = _UNIX
    member.external_attr = 0o644 << 16
    sums[name] = hashlib.sha256(content).hexdigest()
    archive.writestr(member, content)


def manifest_of(path: Path) -> dict[str, Any]:
    """Return the manifest of an export, unchecked."""
    with zipfile.ZipFile(path) as archive:
        manifest: dict[str, Any] = json_text.parse(archive.read(MANIFEST))
        return manifest
