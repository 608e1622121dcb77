"""What `poq check` makes of a node's clock, and of a journal, without a chain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from oracle.chain import journal
from oracle.service import checks_of_chain, checks_of_host
from oracle.service.subject import NodeUnhealthy, Operator, TransactionsStuck

NOW = 1_800_000_000.0
SENDER = "0x" + 40 * "1"


@dataclass
class FakeEth:
    """A node at a block of this time."""

    timestamp: float = NOW
    syncing: Any = False
    chain_id: int = 10

    def get_block(self, block: str) -> dict[str, int]:
        return {"timestamp": int(self.timestamp)}


@dataclass
class FakeWeb3:
    eth: FakeEth


def operator(eth: FakeEth, data_dir: Path | None = None) -> Operator:
    return Operator(
        service="oracle",
        connect=lambda: cast(Any, FakeWeb3(eth)),
        deployments=Path("none"),
        max_fee=1,
        rounds=1,
        data_dir=data_dir,
        clock=lambda: NOW,
    )


@pytest.mark.parametrize(
    ("eth", "words"),
    [
        (FakeEth(syncing={"currentBlock": 1}), "still syncing"),
        (FakeEth(timestamp=NOW - 600), "600 s old"),
        (FakeEth(timestamp=NOW + 60), "60 s ahead of this machine's clock"),
    ],
)
def test_a_node_that_is_not_at_the_present_is_found(eth: FakeEth, words: str) -> None:
    with pytest.raises(NodeUnhealthy, match=words):
        checks_of_chain.sync(operator(eth))


@pytest.mark.parametrize(
    "eth", [FakeEth(), FakeEth(timestamp=NOW - 100), FakeEth(timestamp=0, chain_id=31337)]
)
def test_a_node_at_the_present_and_a_local_chain_are_fine(eth: FakeEth) -> None:
    assert "s old" in checks_of_chain.sync(operator(eth))


@dataclass
class Waiting:
    purpose: str
    nonce: int
    created_at: float
    status: journal.Status = journal.Status.PENDING


@pytest.mark.parametrize(
    ("entry", "stuck"),
    [
        (Waiting("settle 12", 7, NOW - 3600), True),
        (Waiting("settle 12", 7, NOW - 60), False),
        (Waiting("settle 12", 7, NOW - 3600, journal.Status.MINED), False),
    ],
)
def test_only_what_waits_for_long_is_stuck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: Waiting, stuck: bool
) -> None:
    journal.Journal(tmp_path / journal.FILE).close()
    monkeypatch.setattr(journal.Journal, "entries", lambda *_: [entry])
    subject = operator(FakeEth(), tmp_path)
    if stuck:
        with pytest.raises(TransactionsStuck, match=r"first nonce 7: 'settle 12'\.$"):
            checks_of_host.transactions(subject)
    else:
        assert checks_of_host.transactions(subject) is not None


def test_a_directory_without_a_journal_has_nothing_waiting(tmp_path: Path) -> None:
    assert checks_of_host.transactions(operator(FakeEth(), tmp_path)) is None
    assert list(tmp_path.iterdir()) == []
