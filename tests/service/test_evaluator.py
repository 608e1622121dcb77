"""An evaluator commits once, to what is on its disk, reveals exactly that, or says why not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oracle.chain.transactions import Unfunded
from oracle.core.facts import Phase, Reveal, Role, RoundState
from oracle.core.phases import commits_close_at, reveals_close_at
from oracle.core.reveals import check_reveal
from oracle.core.units import pack, unpack
from oracle.demo.network import Network
from oracle.evaluators.evaluation import EvaluatorError
from oracle.evaluators.workload import WorkloadError
from oracle.service.fetching import NotFetched
from oracle.service.funds import COMMIT_GAS, Funds, reveal_gas
from oracle.service.handover import NotDelivered
from oracle.service.scores import FILE
from oracle.service.seat import Step, next_step
from tests.core.rounds import PARAMETERS
from tests.service.seats import ITEMS, MARGIN, Desk, Scoring, a_drawn_round


@pytest.fixture(scope="module")
def once_drawn() -> tuple[Network, int]:
    return a_drawn_round()


@pytest.fixture
def drawn(once_drawn: tuple[Network, int]) -> Iterator[tuple[Network, int]]:
    """Round 1 is drawn; what a test does to the chain is undone."""
    network, _ = once_drawn
    network.devnet.mine()  # undoing executes the latest block again
    snapshot = network.devnet.snapshot()
    yield once_drawn
    network.devnet.revert(snapshot)


@pytest.fixture
def desk(drawn: tuple[Network, int], tmp_path: Path) -> Desk:
    """The desk of whoever has seat 0."""
    network, round_id = drawn
    return Desk(network, network.panel(round_id)[0], tmp_path)


def row_of(seat: int) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    """What the others say: nearly what seat 0 does, so that it is paid."""
    return unpack(Scoring().row, ITEMS) - np.minimum(unpack(Scoring().row, ITEMS), seat)


def others_commit(desk: Desk, *seats: int) -> None:
    for seat in seats:
        desk.network.commit(1, seat, row_of(seat))


def pass_time_until(network: Network, second: int) -> None:
    network.pass_time(second - network.now)


def close_to_the_deadline(desk: Desk) -> None:
    network = desk.network
    deadline = reveals_close_at(
        network.deployment.rounds_parameters, network.state().round(1).drawn_at
    )
    pass_time_until(network, deadline - MARGIN)


# What is not done


@pytest.mark.parametrize(
    "failure",
    [
        NotFetched("The file is not the round's workload: its SHA-256 is a, expected b."),
        WorkloadError(3, "not valid JSON"),
        EvaluatorError("mine scored item 'a' of node 'x' nan, outside [0, 1]"),
        RuntimeError("out of memory"),
    ],
)
def test_what_cannot_be_scored_is_not_committed_and_the_log_says_why(
    desk: Desk, failure: Exception
) -> None:
    desk.scoring.failure = failure
    desk.tick()
    desk.tick()
    [said] = desk.log.named("not_scored")
    assert (said["round"], said["node"]) == (1, desk.party.node_id)
    assert said["message"] == str(failure)
    assert desk.purposes == []

    closes_at = commits_close_at(
        desk.network.deployment.rounds_parameters, desk.network.state().round(1).drawn_at
    )
    pass_time_until(desk.network, closes_at)
    desk.tick()
    desk.tick()
    [absent] = desk.log.named("seat_absent")
    assert absent["why"] == str(failure)
    assert desk.purposes == [] and desk.deliveries.taken == []


def test_another_round_goes_on_while_one_cannot_be_scored(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = desk.network
    [author] = [each for each in network.parties.values() if each.role is Role.INFERENCE]
    second = network.open(network.terms(), [network.batch(author, 5)])
    network.draw(second)
    scored = desk.scoring.row

    def score(opening: Any, uri: str) -> bytes:
        if opening.draw_block < network.history(second).opening.draw_block:
            raise EvaluatorError("no")
        return scored

    monkeypatch.setattr(desk.evaluator._rows, "_score", score)
    desk.tick()
    assert desk.purposes == [f"commit {second} {desk.party.node_id}"]


def test_a_seat_that_could_not_pay_for_its_reveal_does_not_commit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def require(funds: Funds, gas: int) -> None:
        asked.append(gas)
        raise Unfunded(desk.party.operator.address, 0, gas)

    monkeypatch.setattr(Funds, "require", require)
    desk.tick()
    assert asked == [COMMIT_GAS + reveal_gas(5, 3)]
    assert desk.purposes == []
    [said] = desk.log.named("round_failed")
    assert said["error"] == "Unfunded"
    monkeypatch.undo()
    desk.tick()
    assert len(desk.purposes) == 1


def test_nothing_is_done_for_nodes_of_others(drawn: tuple[Network, int], tmp_path: Path) -> None:
    network, _ = drawn
    author = network.parties[1]
    desk = Desk(network, author, tmp_path)
    desk.tick()
    assert desk.purposes == [] and desk.scoring.asked == 0


def test_nothing_is_done_for_a_node_that_is_not_the_one_to_act_for(
    drawn: tuple[Network, int], tmp_path: Path
) -> None:
    network, round_id = drawn
    mine = network.panel(round_id)[0]
    desk = Desk(network, mine, tmp_path, node_id=mine.node_id + 1)
    desk.tick()
    assert desk.purposes == []


def test_no_reveal_leaves_while_somebody_may_still_commit(desk: Desk) -> None:
    desk.tick()
    others_commit(desk, 1)
    desk.tick()
    assert desk.deliveries.taken == []
    others_commit(desk, 2)
    desk.tick()
    [(url, reveal)] = desk.deliveries.taken
    assert url == "http://oracle" and (reveal.seat, reveal.nodeId) == (0, desk.party.node_id)


def test_a_commitment_that_is_not_of_these_scores_is_never_opened(desk: Desk) -> None:
    desk.tick()
    others_commit(desk, 1, 2)
    desk.restarted(disk=False)
    desk.scoring.row = pack(np.zeros(5, dtype=np.uint16))
    desk.tick()
    [said] = desk.log.named("round_failed")
    assert said["error"] == "ScoresLost"
    assert desk.deliveries.taken == [] and desk.purposes == []


def test_a_node_that_withholds_logs_gets_no_commitment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oracle.chain.state import State

    monkeypatch.setattr(State, "digest", lambda *_: b"other".ljust(32))
    desk.tick()
    [said] = desk.log.named("round_failed")
    assert said["error"] == "HistoryIncomplete"
    assert desk.purposes == []


# What is done


def test_scores_are_on_the_disk_before_the_commitment_is_sent(desk: Desk) -> None:
    desk.post.is_down = True
    desk.tick()
    with sqlite3.connect(desk.directory / FILE) as database:
        [[row]] = database.execute("SELECT row FROM scores")
    assert row == desk.scoring.row
    assert desk.network.state().round(1).committed == 0


def test_who_can_look_into_the_scores_is_their_owner(desk: Desk) -> None:
    assert (desk.directory / FILE).stat().st_mode & 0o077 == 0


def test_a_seat_commits_once_reveals_and_is_paid(desk: Desk) -> None:
    desk.tick()
    desk.tick()
    others_commit(desk, 1, 2)
    desk.tick()
    [(_, document)] = desk.deliveries.taken
    network = desk.network
    reveals = [network.reveal_of(1, seat, row_of(seat)) for seat in (1, 2)]
    row = pack(np.array(document.scores, dtype=np.uint16))
    mine = Reveal(document.seat, bytes.fromhex(document.salt[2:]), row)
    network.settle(1, [mine, *reveals])
    desk.tick()
    desk.tick()
    [ended] = desk.log.named("round_ended")
    assert (ended["end"], ended["included"]) == ("settled", True)
    assert int(ended["reward"]) == network.state().credit(desk.party.owner.address) > 0
    assert desk.purposes == [f"commit 1 {desk.party.node_id}"]
    assert desk.scoring.asked == 1


def _scored(desk: Desk) -> None:
    _without_sending(desk)


def _all_committed(desk: Desk) -> None:
    desk.tick()
    others_commit(desk, 1, 2)


def _handed_over(desk: Desk) -> None:
    _all_committed(desk)
    desk.tick()


STAGES: dict[str, Callable[[Desk], None]] = {
    "before anything": lambda desk: None,
    "scored, not sent": _scored,
    "committed": lambda desk: desk.tick(),
    "all committed": _all_committed,
    "handed over": _handed_over,
}


def _without_sending(desk: Desk) -> None:
    desk.post.is_down = True
    desk.tick()
    desk.post.is_down = False


@pytest.mark.parametrize("disk", [True, False], ids=["with its disk", "with an empty disk"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_restart_at_any_stage_commits_once_and_reveals(
    desk: Desk, stage: str, disk: bool
) -> None:
    STAGES[stage](desk)
    desk.restarted(disk=disk)
    desk.tick()
    committed = desk.network.history(1).commits
    for seat in (1, 2):
        if not desk.network.state().round(1).committed >> seat & 1:
            others_commit(desk, seat)
    desk.tick()
    history = desk.network.history(1)
    assert [each for each in history.commits if each.seat == 0] == [
        each for each in committed if each.seat == 0
    ]
    _, document = desk.deliveries.taken[-1]
    row = pack(np.array(document.scores, dtype=np.uint16))
    check_reveal(history.drawn(), Reveal(0, bytes.fromhex(document.salt[2:]), row))


def test_what_is_in_no_settlement_near_the_deadline_is_revealed_on_chain(desk: Desk) -> None:
    desk.deliveries.failure = NotDelivered("oracle", "unreachable", "nobody there.")
    desk.tick()
    others_commit(desk, 1, 2)
    desk.tick()
    assert desk.network.state().round(1).revealed == 0
    close_to_the_deadline(desk)
    desk.tick()
    desk.tick()
    assert desk.network.state().round(1).revealed == 1
    assert desk.purposes[1:] == [f"reveal 1 {desk.party.node_id}"]
    [said] = desk.log.named("delivery")
    assert said["code"] == "unreachable"


def test_it_is_revealed_on_chain_also_if_an_oracle_took_it_and_did_nothing(desk: Desk) -> None:
    desk.tick()
    others_commit(desk, 1, 2)
    desk.tick()
    assert desk.deliveries.taken
    close_to_the_deadline(desk)
    desk.tick()
    assert desk.network.state().round(1).revealed == 1


def test_who_trusts_no_oracle_reveals_on_chain_as_soon_as_it_may(
    drawn: tuple[Network, int], tmp_path: Path
) -> None:
    network, round_id = drawn
    desk = Desk(network, network.panel(round_id)[0], tmp_path, urls=())
    desk.tick()
    others_commit(desk, 1, 2)
    desk.tick()
    assert network.state().round(round_id).revealed == 1


def test_a_replaced_operator_still_reveals_what_it_committed(desk: Desk) -> None:
    desk.tick()
    network = desk.network
    network.registry(
        desk.party.owner, "rotateOperator", desk.party.node_id, network.account().address
    )
    others_commit(desk, 1, 2)
    close_to_the_deadline(desk)
    desk.restarted()
    desk.tick()
    assert network.state().round(1).revealed == 1


def test_what_ended_is_forgotten_once_it_is_final(desk: Desk) -> None:
    desk.tick()
    others_commit(desk, 1, 2)
    network = desk.network
    parameters = network.deployment.rounds_parameters
    network.pass_time(parameters.commit_window + parameters.reveal_window)
    network.pass_time(parameters.settle_window)
    network.cancel(1)
    desk.tick()
    [ended] = desk.log.named("round_ended")
    assert (ended["end"], ended["included"], ended["reward"]) == ("cancelled", False, "0")
    assert network.state().round(1).phase is Phase.CLOSED


# What is due, and what it costs


@pytest.mark.parametrize(
    ("committed", "now", "step"),
    [
        (0b110, 699, Step.COMMIT),
        (0b110, 700, Step.MISSED),
        (0b001, 699, Step.WAIT),
        (0b001, 700, Step.DELIVER),
        (0b111, 101, Step.DELIVER),
        (0b111, 1199, Step.DELIVER),
        (0b111, 1200, Step.REVEAL),
        (0b111, 1299, Step.REVEAL),
        (0b111, 1300, Step.DELIVER),
    ],
)
def test_what_is_due_for_a_seat_follows_from_time_and_commits(
    committed: int, now: int, step: Step
) -> None:
    parameters = replace(PARAMETERS, commit_window=600, reveal_window=600, settle_window=600)
    state = RoundState(Phase.DRAWN, 1, 100, 5, 3, committed, 0)
    assert next_step(state, parameters, 0, now=now, margin=100) is step


def test_the_gas_that_is_kept_for_a_reveal_is_enough_and_not_twice_too_much() -> None:
    network = Network(accounts=24)
    author = network.join(Role.INFERENCE)
    for _ in range(7):
        network.join(Role.EVALUATOR)
    for seats, items in ((3, 1), (7, 1), (3, 300)):
        terms = network.terms(panel_size=seats)
        round_id = network.open(terms, [network.batch(author, items)])
        network.draw(round_id)
        rows = {seat: np.full(items, 9_999, dtype=np.uint16) for seat in range(seats)}
        first, *_ = network.commit_all(round_id, rows)
        used = network.reveal_on_chain(round_id, first)["gasUsed"]
        assert used <= reveal_gas(items, seats) <= 2 * used
