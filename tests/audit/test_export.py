"""The exported file: complete, the same bytes wherever it is made, and audited with no node."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from oracle.audit import export as export_module
from oracle.audit.columns import AmountTooLarge, write_csv, write_parquet
from oracle.audit.export import ExportMalformed, FileSource, export, manifest_of, write
from oracle.audit.replay import audit
from oracle.audit.report import Report
from oracle.audit.sources import ChainSource
from oracle.audit.storage_file import Answers, NotRecorded, RecordedReader
from oracle.demo.network import Network
from tests.audit.conftest import Given, Recorded

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def made(network: Network, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    path = tmp_path_factory.mktemp("export") / "evidence.zip"
    return path, export(ChainSource(network.web3, network.deployment), path)


def rewrite(path: Path, name: str, content: bytes | None) -> None:
    """Replace a member of an export, or leave it out, and no other byte of any."""
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    if content is None:
        del members[name]
    else:
        members[name] = content
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in members.items():
            archive.writestr(each, data)


def test_what_is_exported_is_audited_alike_with_no_node(made: tuple[Path, Report]) -> None:
    path, report = made
    assert report.right
    assert audit(FileSource(path)) == report


def test_the_same_evidence_is_the_same_bytes_whatever_it_was_read_in(
    network: Network, made: tuple[Path, Report], tmp_path: Path
) -> None:
    from oracle.audit.fetch import Fetcher

    for widest in (3, 50):
        again = tmp_path / f"{widest}.zip"
        fetcher = Fetcher(network.web3, network.deployment, widest=widest)
        export(ChainSource(network.web3, network.deployment, fetcher=fetcher), again)
        assert again.read_bytes() == made[0].read_bytes()


def test_the_manifest_tells_the_blocks_the_logs_and_every_sum(
    network: Network, made: tuple[Path, Report]
) -> None:
    manifest = manifest_of(made[0])
    assert manifest["lastBlock"] == network.devnet.height
    assert manifest["logs"] == sum(made[1].logs.values())
    with zipfile.ZipFile(made[0]) as archive:
        assert set(archive.namelist()) == {*manifest["sha256"], "manifest.json"}


@pytest.mark.parametrize("name", ["deployment.json", "storage.json", "logs/000000"])
def test_a_member_that_was_changed_or_left_out_is_noticed(
    made: tuple[Path, Report], tmp_path: Path, name: str
) -> None:
    path = tmp_path / "evidence.zip"
    for content in (b"{}", None):
        path.write_bytes(made[0].read_bytes())
        rewrite(path, name, content)
        with pytest.raises(ExportMalformed):
            audit(FileSource(path))


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all" * 100])
def test_what_is_no_export_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "evidence.zip"
    path.write_bytes(content)
    with pytest.raises(ExportMalformed):
        FileSource(path)


def test_a_file_that_exists_stays_if_exporting_fails(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "evidence.zip"
    path.write_bytes(b"precious")
    monkeypatch.setattr(export_module, "audit", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(ChainSource(network.web3, network.deployment), path)
    assert path.read_bytes() == b"precious"
    assert [each.name for each in tmp_path.iterdir()] == ["evidence.zip"]


def test_forged_logs_with_a_manifest_that_fits_are_a_mismatch_all_the_same(
    recorded: Recorded, made: tuple[Path, Report], tmp_path: Path
) -> None:
    path = tmp_path / "forged.zip"
    true = FileSource(made[0])
    logs = list(recorded.logs)
    paid = next(i for i, log in enumerate(logs) if len(log.topics) == 4 and len(log.data) == 64)
    data = bytearray(logs[paid].data)
    data[-1] ^= 1
    logs[paid] = replace(logs[paid], data=bytes(data))
    answers = true.reader.answers
    write(path, true.deployment, Given(recorded, logs).tables(), lambda draft: answers)
    assert not audit(FileSource(path)).right


def test_answers_that_were_not_recorded_are_said_to_be_missing() -> None:
    reader = RecordedReader(Answers(1, bytes(32)))
    with pytest.raises(NotRecorded, match="what block 7 is"):
        reader.header(7)
    with pytest.raises(NotRecorded, match="the digest of round 1"):
        reader.digests([1])


def test_the_bytes_do_not_depend_on_the_hash_seed(made: tuple[Path, Report]) -> None:
    def printed(seed: str) -> bytes:
        command = [
            sys.executable,
            "-m",
            "oracle.cli",
            "audit",
            "--from-file",
            str(made[0]),
            "--json",
        ]
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout

    first = printed("1")
    assert first == printed("2")
    assert json.loads(first)["right"] is True


# Columns


def test_csv_has_every_row_with_exact_amounts_and_its_sums(
    made: tuple[Path, Report], tmp_path: Path
) -> None:
    report = made[1]
    write_csv(report, tmp_path)
    with (tmp_path / "payouts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["amount"]) for row in rows] == [each.amount for each in report.payouts]
    names = {"rounds", "payouts", "nodes", "mismatches", "trusts"}
    assert {path.stem for path in tmp_path.glob("*.csv")} == names
    checked = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=False
    )
    assert checked.returncode == 0


def test_parquet_has_amounts_as_decimals_without_a_digit_lost(
    made: tuple[Path, Report], tmp_path: Path
) -> None:
    report = replace(
        made[1], payouts=(*made[1].payouts, replace(made[1].payouts[0], amount=10**38 - 1))
    )
    write_parquet(report, tmp_path)
    frame = pl.read_parquet(tmp_path / "payouts.parquet")
    assert frame.schema["amount"] == pl.Decimal(38, 0)
    assert frame["amount"].to_list() == [Decimal(each.amount) for each in report.payouts]
    sums = (tmp_path / "SHA256SUMS").read_text()
    write_parquet(report, tmp_path)
    assert (tmp_path / "SHA256SUMS").read_text() == sums


def test_an_amount_that_no_decimal_holds_is_refused_rather_than_rounded(
    made: tuple[Path, Report], tmp_path: Path
) -> None:
    report = replace(made[1], payouts=(replace(made[1].payouts[0], amount=10**38),))
    with pytest.raises(AmountTooLarge):
        write_parquet(report, tmp_path)
    assert list(tmp_path.iterdir()) == []


# What is shown


def test_a_round_and_a_node_can_be_shown_alone_with_the_verdict_about_everything(
    made: tuple[Path, Report],
) -> None:
    report = made[1]
    one = report.of_round(2)
    assert {each.round for each in one.rounds} == {each.round for each in one.payouts} == {2}
    node = next(each.node for each in report.payouts if each.node is not None)
    mine = report.of_node(node)
    assert {each.node for each in mine.nodes} == {each.node for each in mine.payouts} == {node}
    assert sum(each.amount for each in mine.payouts) == mine.nodes[0].earned
    assert one.comparisons == mine.comparisons == report.comparisons
