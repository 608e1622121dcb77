"""`poq tx`: what is told of a daemon's transactions, and what is done about those that wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from oracle.chain import calls
from oracle.chain.deployment import read_deployment
from oracle.chain.fees import FeePolicy
from oracle.chain.journal import FILE, Journal
from oracle.chain.keys import read_keystore
from oracle.chain.rpc import connect
from oracle.chain.sender import Sender
from oracle.cli.exits import Exit
from oracle.cli.session import reverts
from tests.cli.world import World, poq

CAP = 10**10


@pytest.fixture
def data_dir(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of a daemon whose only transaction no node has seen."""
    web3 = connect(world.url)
    deployment = read_deployment(world.path("deployments"), web3.eth.chain_id)
    password = world.path("keys/password").read_text().strip()
    signer = read_keystore(world.path("keys/settler"), password)
    journal = Journal(tmp_path / FILE)
    sender = Sender(web3, signer, journal, reverts(), FeePolicy(CAP))
    monkeypatch.setattr(sender, "_broadcast", lambda entry: entry)
    sender.send("approve", calls.token(deployment, "approve", signer.address, 5))
    journal.close()
    return tmp_path


def test_a_directory_without_a_journal_is_refused(tmp_path: Path) -> None:
    ran = poq("tx", "list", "--data-dir", tmp_path)
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "name a daemon's data directory" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"something else" * 100)
    ran = poq("tx", "list", "--data-dir", tmp_path)
    assert ran.code == Exit.USAGE
    assert "is no journal of transactions" in ran.err


def test_an_unknown_purpose_is_refused(data_dir: Path) -> None:
    ran = poq("tx", "status", "settle 9", "--data-dir", data_dir)
    assert (ran.code, ran.err) == (Exit.USAGE, "Nothing was signed for 'settle 9'.\n")


def test_another_key_cannot_bump(data_dir: Path, world: World) -> None:
    ran = world.poq("tx", "bump", "approve", "--data-dir", data_dir, by="stranger")
    assert ran.code == Exit.KEY
    assert "name its key" in ran.err


def test_no_bump_goes_above_the_cap(data_dir: Path, world: World) -> None:
    ran = world.poq("tx", "bump", "approve", "--data-dir", data_dir, by="settler")
    while ran.code == Exit.OK:
        ran = world.poq("tx", "bump", "approve", "--data-dir", data_dir, by="settler")
        # The local chain mines at once, and refuses what comes second.
        assert ran.code != Exit.INTERNAL
    assert ran.code == Exit.NOTHING_YET
    assert f"at most {CAP} is allowed" in ran.err


def test_what_waits_is_listed_shown_and_cancelled(data_dir: Path, world: World) -> None:
    listed = poq("tx", "list", "--data-dir", data_dir, "--pending", "--json")
    [row] = listed.json["transactions"]
    assert (row["purpose"], row["status"], row["block"]) == ("approve", "pending", None)
    assert "approve" in poq("tx", "list", "--data-dir", data_dir).out
    height = world.height()
    done = world.done("tx", "cancel", row["nonce"], "--data-dir", data_dir, by="settler")
    assert done["status"] == "cancelling"
    assert world.height() == height + 1
    shown = poq("tx", "status", "approve", "--data-dir", data_dir, "--json").json
    assert [each["cancels"] for each in shown["versions"]] == [False, True]
    told = poq("tx", "status", "approve", "--data-dir", data_dir)
    assert done["hash"] in told.out
