"""A node that leaves logs out is noticed, asked again, and in the end believed about the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oracle.chain.completeness import LogsWithheld, may_hold_logs, require_complete
from oracle.chain.follower import LAST_DOUBT, Follower
from oracle.chain.rounds import LogMissing
from oracle.chain.view import View
from oracle.core.keccak import keccak
from tests.chain.fake_rounds import DEPLOYMENT, RoundsNode, raw_log

SEEDS = range(12)
END = {"roundId": 1, "requester": DEPLOYMENT.token, "cancelledAt": 1, "refund": 1}
ENDED = raw_log("RoundCancelled", END)["topics"][0]


class Withholding(RoundsNode):
    """Answers without the logs that `hides` names."""

    hides: Callable[[dict[str, Any]], bool] = staticmethod(lambda log: False)

    def _eth_getLogs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        return [log for log in super()._eth_getLogs(wanted) if not self.hides(log)]


class Occasion:
    """Hides one log in its first `answers`; `hidden` counts."""

    def __init__(self, log: dict[str, Any], *, answers: int) -> None:
        self.log = log
        self.answers = answers
        self.hidden = 0

    def __call__(self, log: dict[str, Any]) -> bool:
        hides = log == self.log and self.hidden < self.answers
        self.hidden += hides
        return hides


def _relevant(node: RoundsNode, above: int, running: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return the logs above a block of rounds that run, and those that say that others do not."""
    return [
        log
        for block in node.blocks[above + 1 :]
        for log in node.logs.get(block.header.hash, ())
        if log["topics"][0] == ENDED or int(log["topics"][1], 16) in running
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_each_log_that_is_left_out_once_is_missed_and_found(seed: int) -> None:
    node = Withholding(seed)
    node.extend(30)
    known = Follower(node.web3, DEPLOYMENT).advance()
    node.extend(3)
    whole = Follower(node.web3, DEPLOYMENT).advance()
    for hidden in _relevant(node, known.head.number, whole.running):
        for withholding in (Occasion(hidden, answers=1), Occasion(hidden, answers=2)):
            node.hides = withholding
            found = Follower(node.web3, DEPLOYMENT).advance()
            assert withholding.hidden == withholding.answers
            assert (found.running, found.rounds) == (whole.running, whole.rounds)
            for round_id in whole.running:
                assert found.history(round_id) == whole.history(round_id)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_log_that_is_left_out_for_good_is_missed_and_the_rest_goes_on(seed: int) -> None:
    node = Withholding(seed)
    node.extend(33)
    whole = Follower(node.web3, DEPLOYMENT).advance()
    for hidden in _relevant(node, 30, whole.running):
        node.hides = lambda log, hidden=hidden: log == hidden  # type: ignore[misc]
        found = Follower(node.web3, DEPLOYMENT).advance()
        with pytest.raises(LogsWithheld):
            _require_all(node, found)
        own = int(hidden["topics"][1], 16)
        others = [round_id for round_id in whole.running if round_id != own]
        assert [found.history(each) for each in others] == [whole.history(each) for each in others]


def test_a_damaged_memory_is_noticed_and_read_anew(tmp_path: Path) -> None:
    node = Withholding(5)
    node.extend(20)
    node.hides = lambda log: log["topics"][0] == ENDED
    follower = Follower(node.web3, DEPLOYMENT, tmp_path / "chain.sqlite")
    wrong = follower.advance().running
    node.hides = lambda log: False
    node.extend(6)
    right = Follower(node.web3, DEPLOYMENT).advance().running
    for _ in range(LAST_DOUBT - 1):
        assert follower.advance().running == wrong
    assert follower.advance().running == right
    assert set(wrong) - set(right)
    follower.close()
    again = Follower(node.web3, DEPLOYMENT, tmp_path / "chain.sqlite")
    assert again.advance().running == right
    again.close()


def _require_all(node: RoundsNode, view: View) -> None:
    """Raise `LogsWithheld` also for a round that nothing is known of."""
    require_complete(node.web3, DEPLOYMENT, view)
    for round_id in range(1, view.rounds + 1):
        try:
            view.history(round_id)
        except LogMissing as missing:
            raise LogsWithheld(view.head.number, str(missing)) from None


def test_a_bloom_filter_shows_that_a_block_holds_nothing_of_a_contract() -> None:
    address = DEPLOYMENT.rounds.address
    hashed = keccak(bytes.fromhex(address[2:]))
    bits = sum(1 << int.from_bytes(hashed[i : i + 2]) % 2048 for i in (0, 2, 4))
    assert may_hold_logs({"logsBloom": f"0x{bits:0512x}"}, address)
    assert not may_hold_logs({"logsBloom": f"0x{bits & (bits - 1):0512x}"}, address)
    assert not may_hold_logs({"logsBloom": "0x" + 512 * "0"}, address)


@pytest.mark.parametrize("header", [{}, {"logsBloom": None}, {"logsBloom": "0x00"}])
def test_a_header_without_a_filter_may_hold_anything(header: dict[str, Any]) -> None:
    assert may_hold_logs(header, DEPLOYMENT.rounds.address)
