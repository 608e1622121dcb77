"""`poq audit`: from a node, through a cache, from a file, in tables, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from oracle.cli.exits import Exit
from tests.cli.world import World, poq


@pytest.fixture(scope="module")
def settled(with_commits: World) -> World:
    """Round 1 is settled."""
    ran = with_commits.settle(1, *(with_commits.reveal(i) for i in (1, 2, 3)))
    assert ran.code == 0, ran.err
    return with_commits


def test_an_export_is_audited_to_the_same_words_with_no_node(
    settled: World, tmp_path: Path
) -> None:
    file = tmp_path / "evidence.zip"
    made = settled.done("audit", "export", file)
    assert made["right"] is True and made["bytes"] == file.stat().st_size
    from_node = settled.poq("audit", "--json")
    from_file = poq("audit", "--from-file", file, "--json")
    assert (from_node.code, from_file.code) == (0, 0)
    assert from_node.out == from_file.out
    shown = poq("audit", "--from-file", file)
    assert "nothing is wrong" in shown.out and "Payouts" in shown.out


def test_what_was_read_before_is_kept_unless_it_is_not_wanted(settled: World) -> None:
    cache = settled.path("cache")
    assert settled.poq("audit", "--no-cache").code == 0
    before = len(list(cache.rglob("*.logs")))
    assert settled.poq("audit").out == settled.poq("audit").out
    assert len(list(cache.rglob("*.logs"))) >= max(before, 1)


def test_a_round_and_a_node_are_shown_alone(settled: World) -> None:
    one = settled.done("audit", "--round", 1)
    assert [each["round"] for each in one["roundSummaries"]] == [1]
    node = settled.done("audit", "--node", 2)
    assert [each["node"] for each in node["nodeSummaries"]] == [2]
    assert {each["node"] for each in node["payouts"]} <= {2}
    for arguments, said in (
        (("--round", 9), "There is no round 9."),
        (("--node", 9), "There is no node 9."),
        (("--node", 1, "--all"), "Choose one of --round, --node and --all."),
        (("--block", "yesterday"), "'yesterday' is no block"),
    ):
        ran = settled.poq("audit", *arguments)
        assert ran.code == Exit.USAGE
        assert said in ran.err


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_are_written_with_their_sums(settled: World, tmp_path: Path, kind: str) -> None:
    ran = settled.poq("audit", f"--{kind}", tmp_path / "tables")
    assert ran.code == 0
    listed = (tmp_path / "tables" / "SHA256SUMS").read_text().splitlines()
    assert {line.split("  ")[1] for line in listed} == {
        f"{name}.{kind}" for name in ("rounds", "payouts", "nodes", "trusts", "mismatches")
    }


def test_blocks_are_named_as_elsewhere(settled: World) -> None:
    height = settled.height()
    assert settled.done("audit", "--block", height)["lastBlock"] == height
    assert settled.done("audit", "--block", "latest")["lastBlock"] == height
    ran = settled.poq("audit", "--block", height + 5)
    assert ran.code == Exit.RPC
    assert f"The node is at block {height}" in ran.err


def test_a_file_that_cannot_be_audited_is_a_usage_error(tmp_path: Path) -> None:
    ran = poq("audit", "--from-file", tmp_path / "nothing.zip")
    assert ran.code == Exit.USAGE
    assert "cannot be audited" in ran.err and "Traceback" not in ran.err


def test_what_cannot_be_written_is_a_usage_error(settled: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for arguments in (
        ("audit", "--csv", tmp_path / "file"),
        ("audit", "export", tmp_path / "nowhere" / "evidence.zip"),
        ("audit", "export", tmp_path),
    ):
        ran = settled.poq(*arguments)
        assert ran.code == Exit.USAGE, ran.err
        assert "cannot be written" in ran.err


def test_a_mismatch_exits_with_3_from_a_file_too(settled: World, tmp_path: Path) -> None:
    file = tmp_path / "evidence.zip"
    settled.done("audit", "export", file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    storage = json.loads(members["storage.json"])
    storage["slashedBalance"] = "1"
    members["storage.json"] = json.dumps(storage).encode()
    manifest = json.loads(members["manifest.json"])
    manifest["sha256"]["storage.json"] = hashlib.sha256(members["storage.json"]).hexdigest()
    members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    ran = poq("audit", "--from-file", file)
    assert ran.code == Exit.AUDIT_MISMATCH
    assert "slashedBalance is 1 instead of 0" in ran.out
