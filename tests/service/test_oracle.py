"""The oracle on a local chain: every path of a round, alone and beside another oracle."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.artifacts import load
from oracle.chain.follower import LAST_DOUBT
from oracle.chain.logs import EventDecoder
from oracle.chain.rounds import Cancelled, LogMissing, Settled
from oracle.chain.rpc import RpcUnreachable, WrongChain
from oracle.chain.view import View
from oracle.service import logging
from oracle.service.duties import duty
from oracle.service.serving import Refusal
from tests.contracts.parameters import COMMIT, REVEAL, SETTLE
from tests.service.network import FINALITY, SEATS, Rounds, Service, scores_of

EVERY_SEAT = tuple(range(SEATS))


@pytest.fixture(scope="module")
def one_network() -> Rounds:
    return Rounds()


@pytest.fixture
def network(one_network: Rounds) -> Iterator[Rounds]:
    """Before its first round; what a test does is undone."""
    snapshot = one_network.devnet.snapshot()
    yield one_network
    one_network.devnet.revert(snapshot)


@pytest.fixture
def service(network: Rounds, tmp_path: Path) -> Iterator[Service]:
    service = Service(network, tmp_path)
    yield service
    service.close()


def drawn(service: Service, **terms: Any) -> int:
    """Open a round and let the oracle draw it; return its id."""
    network = service.network
    round_id = network.open_one(**terms)
    network.mine(2)
    service.tick()
    assert network.phase(round_id) == "drawn"
    service.tick()
    return round_id


def handed_over(service: Service, *seats: int, **terms: Any) -> int:
    """Draw a round, commit every seat, and hand over the reveals of some; return its id."""
    round_id = drawn(service, **terms)
    reveals = service.network.commit_seats(round_id, *EVERY_SEAT)
    service.tick()
    service.hand_over(round_id, [reveals[seat] for seat in seats])
    return round_id


def settlement(network: Rounds, round_id: int) -> Settled:
    end = network.history(round_id).end
    assert isinstance(end, Settled)
    return end


def test_a_round_is_drawn_as_soon_as_its_draw_block_has_a_hash(service: Service) -> None:
    network = service.network
    round_id = network.open_one()
    draw_block = network.history(round_id).opening.draw_block
    while network.devnet.height < draw_block:
        service.tick()
        assert network.phase(round_id) == "open"
        network.mine(1)
    service.tick()
    assert network.phase(round_id) == "drawn"


def test_a_round_settles_once_every_committed_seat_is_at_hand(service: Service) -> None:
    round_id = handed_over(service, 0, 2)
    service.tick()
    assert service.network.phase(round_id) == "drawn"
    service.hand_over(round_id, [service.network.reveal_of(round_id, 1, scores_of(1))])
    service.tick()
    end = settlement(service.network, round_id)
    assert end.settler == service.signer.address
    assert [reveal.seat for reveal in end.reveals] == [0, 1, 2]


def test_looking_again_does_nothing_twice(service: Service) -> None:
    round_id = handed_over(service, *EVERY_SEAT)
    for _ in range(FINALITY + 3):
        service.tick()
        service.network.mine(1)
    assert service.purposes() == [(f"draw {round_id}", "final"), (f"settle {round_id}", "final")]
    assert service.figure("poq_settlements_total") == 1
    assert service.figure("poq_pending_transactions") == 0


def test_reveals_are_kept_until_their_round_is_final(service: Service) -> None:
    round_id = handed_over(service, *EVERY_SEAT)
    service.tick()
    settled_in = service.network.devnet.height
    while service.network.devnet.height < settled_in + FINALITY:
        service.tick()
        assert len(service.store.of(round_id)) == SEATS
        service.network.mine(1)
    service.tick()
    assert service.store.of(round_id) == ()
    assert service.figure("poq_reveals_held") == 0


def test_after_the_reveal_deadline_a_quorum_is_enough(service: Service) -> None:
    round_id = handed_over(service, 0, 2)
    service.network.pass_time(COMMIT + REVEAL)
    service.tick()
    assert [each.seat for each in settlement(service.network, round_id).reveals] == [0, 2]


def test_an_absent_seat_is_not_waited_for_once_commits_are_closed(service: Service) -> None:
    round_id = drawn(service)
    reveals = service.network.commit_seats(round_id, 0, 1)
    service.tick()
    with pytest.raises(Refusal, match="takes no reveals"):
        service.hand_over(round_id, reveals)
    service.network.pass_time(COMMIT)
    service.tick()
    service.hand_over(round_id, reveals)
    service.tick()
    assert [each.seat for each in settlement(service.network, round_id).reveals] == [0, 1]


def test_a_seat_that_revealed_on_chain_is_settled_with(service: Service) -> None:
    round_id = handed_over(service, 0, 1)
    last = service.network.reveal_of(round_id, 2, scores_of(2))
    service.network.reveal_on_chain(round_id, last)
    service.tick()
    assert [each.seat for each in settlement(service.network, round_id).reveals] == [0, 1, 2]


def test_a_round_that_everybody_revealed_on_chain_needs_no_reveal(service: Service) -> None:
    round_id = drawn(service)
    for reveal in service.network.commit_seats(round_id, *EVERY_SEAT):
        service.network.reveal_on_chain(round_id, reveal)
    service.tick()
    assert service.network.phase(round_id) == "closed"


def test_a_round_without_a_quorum_of_commits_is_cancelled(service: Service) -> None:
    round_id = drawn(service)
    service.network.commit_seats(round_id, 0)
    service.network.pass_time(COMMIT)
    service.tick()
    assert isinstance(service.network.history(round_id).end, Cancelled)


def test_a_round_without_a_quorum_of_reveals_is_cancelled_when_it_may_be(service: Service) -> None:
    round_id = handed_over(service, 0)
    service.network.pass_time(COMMIT + REVEAL)
    service.tick()
    assert service.network.phase(round_id) == "drawn"
    service.network.pass_time(SETTLE)
    service.tick()
    assert isinstance(service.network.history(round_id).end, Cancelled)


def test_a_round_that_nobody_drew_in_time_is_cancelled(service: Service) -> None:
    round_id = service.network.open_one()
    service.network.mine(300)
    service.tick()
    assert isinstance(service.network.history(round_id).end, Cancelled)
    assert service.purposes() == [(f"cancel {round_id}", "pending")]


def test_another_oracles_round_is_its_own_until_the_reveal_deadline(service: Service) -> None:
    network = service.network
    round_id = network.open_one(oracle=network.deployer.address)
    network.mine(2)
    service.tick()
    assert network.phase(round_id) == "open"
    network.draw(round_id)
    reveals = network.commit_seats(round_id, *EVERY_SEAT)
    service.tick()
    service.hand_over(round_id, reveals)
    service.tick()
    assert network.phase(round_id) == "drawn"
    network.pass_time(COMMIT + REVEAL)
    service.tick()
    assert settlement(network, round_id).settler == service.signer.address


def test_a_round_that_pays_too_little_is_left_to_others(network: Rounds, tmp_path: Path) -> None:
    service = Service(network, tmp_path, least_fee=10**18 + 1)
    poor = network.open_one(settlement_fee=10**18)
    rich = network.open_one(settlement_fee=10**18 + 1)
    network.mine(2)
    service.tick()
    assert (network.phase(poor), network.phase(rich)) == ("open", "drawn")
    service.close()


def test_fees_are_withdrawn_from_the_least_amount_on(network: Rounds, tmp_path: Path) -> None:
    service = Service(network, tmp_path, withdraw_least=2 * 10**18)
    address = network.settler.address
    handed_over(service, *EVERY_SEAT)
    service.tick()
    service.tick()
    assert network.state().credit(address) == 10**18
    for number in (1, 2):
        while network.state().credit(address) < 2 * 10**18:
            handed_over(service, *EVERY_SEAT)
            service.tick()
        service.tick()
        assert network.state().credit(address) == 0
        service.tick()
        assert (f"withdraw {number}", "mined") in service.purposes()
    service.close()


def test_nothing_is_withdrawn_unless_told_to(service: Service) -> None:
    handed_over(service, *EVERY_SEAT)
    for _ in range(3):
        service.tick()
    assert service.network.state().credit(service.signer.address) == 10**18


# Beside others, and after a stop


@pytest.mark.parametrize("same_key", [True, False])
def test_two_oracles_at_once_do_each_thing_once(
    network: Rounds, tmp_path: Path, same_key: bool
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    other = network.settler if same_key else network.account()
    both = [Service(network, tmp_path / "a"), Service(network, tmp_path / "b", other)]
    rounds = []
    for _ in range(2):
        round_id = network.open_one()
        network.mine(2)
        for each in both:
            each.tick()
        reveals = network.commit_seats(round_id, *EVERY_SEAT)
        for each in both:
            each.tick()
            each.hand_over(round_id, reveals)
        for each in reversed(both):
            each.tick()
        rounds.append(round_id)
    for _ in range(FINALITY + 2):
        network.mine(1)
        for each in both:
            each.tick()
    assert {network.phase(round_id) for round_id in rounds} == {"closed"}
    served = [purpose for each in both for purpose, status in each.purposes() if status == "final"]
    assert sorted(served) == sorted(f"{call} {i}" for i in rounds for call in ("draw", "settle"))
    for each in both:
        assert each.figure("poq_errors_total") == 0
        each.close()


def test_an_oracle_that_starts_in_the_middle_goes_on(network: Rounds, tmp_path: Path) -> None:
    first = Service(network, tmp_path)
    round_id = handed_over(first, 0, 1)
    first.close()
    second = Service(network, tmp_path)
    second.tick()
    second.hand_over(round_id, [network.reveal_of(round_id, 2, scores_of(2))])
    second.tick()
    assert [each.seat for each in settlement(network, round_id).reveals] == [0, 1, 2]
    second.close()


def test_an_oracle_without_any_memory_acts_on_the_chain_alone(
    network: Rounds, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first = Service(network, tmp_path / "a")
    round_id = handed_over(first, *EVERY_SEAT)
    first.tick()
    first.close()
    second = Service(network, tmp_path / "b")
    second.tick()
    assert second.purposes() == []
    assert network.phase(round_id) == "closed"
    second.close()


# What goes wrong


@pytest.fixture
def lines() -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """What was logged under a name, a dict a line."""
    stream = io.StringIO()
    logging.configure(stream=stream)
    yield lambda event: [
        line for line in map(json.loads, stream.getvalue().splitlines()) if line["event"] == event
    ]
    logging.configure()


Lines = Callable[[str], list[dict[str, Any]]]


@contextmanager
def withheld(network: Rounds, event: str) -> Iterator[None]:
    """Let the node answer as if it had no logs of this event."""
    topic = next(
        hash_
        for hash_, name in EventDecoder(load("QualityRounds").abi).names.items()
        if name == event
    )
    provider: Any = network.web3.provider
    rpc = provider.rpc
    whole = rpc.request

    def request(method: str, params: Any) -> Any:
        answer = whole(method, params)
        if method != "eth_getLogs":
            return answer
        return [log for log in answer if log["topics"][0] != "0x" + topic.hex()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rpc, "request", request)
        yield


def test_commits_that_the_node_withholds_are_noticed_and_nothing_is_sent(
    service: Service, lines: Lines
) -> None:
    """R16: too few seem to have committed, and cancelling would be false."""
    network = service.network
    round_id = drawn(service)
    with withheld(network, "ScoresCommitted"):
        reveals = network.commit_seats(round_id, *EVERY_SEAT)
        network.pass_time(COMMIT)
        for _ in range(LAST_DOUBT + 2):
            service.tick()
    assert network.phase(round_id) == "drawn"
    assert [purpose for purpose, _ in service.purposes()] == [f"draw {round_id}"]
    told = lines("round_failed")[-1]
    assert (told["error"], told["round"]) == ("HistoryIncomplete", round_id)
    assert service.figure("poq_incomplete_histories_total") >= 1
    # The node has come to its senses, and no new block is needed to notice.
    service.tick()
    service.hand_over(round_id, reveals)
    service.tick()
    assert len(settlement(network, round_id).reveals) == SEATS


def test_a_round_whose_opening_the_node_withholds_is_noticed(
    service: Service, lines: Lines
) -> None:
    """R16."""
    network = service.network
    with withheld(network, "RoundOpened"):
        round_id = network.open_one()
        network.mine(2)
        service.tick()
    [told] = lines("rounds_missing")
    assert "opened 1 rounds" in told["message"]
    service.tick()
    assert network.phase(round_id) == "drawn"


def test_a_settlement_that_the_node_withholds_is_not_repeated(
    service: Service, lines: Lines
) -> None:
    """R16."""
    network = service.network
    round_id = handed_over(service, *EVERY_SEAT)
    with withheld(network, "RoundSettled"):
        network.settle(
            round_id, [network.reveal_of(round_id, seat, scores_of(seat)) for seat in EVERY_SEAT]
        )
        for _ in range(LAST_DOUBT + 2):
            service.tick()
    assert lines("round_failed")[-1]["error"] == "HistoryIncomplete"
    assert [purpose for purpose, _ in service.purposes()] == [f"draw {round_id}"]


def test_a_mistake_in_one_round_does_not_stop_the_others(
    service: Service, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    first, second = service.network.open_one(), service.network.open_one()
    service.network.mine(2)

    def fail_for_the_first(state: Any, history: Any, *rest: Any, **others: Any) -> Any:
        if history.key.round_id == first:
            raise ZeroDivisionError("oops")
        return duty(state, history, *rest, **others)

    with monkeypatch.context() as patch:
        patch.setattr("oracle.service.oracle.duty", fail_for_the_first)
        for _ in range(3):
            service.tick()
    assert service.network.phase(first) == "open"
    assert service.network.phase(second) == "drawn"
    [told] = lines("round_failed")
    assert (told["level"], told["round"]) == ("error", first)
    assert service.figure("poq_errors_total", error="ZeroDivisionError") == 3
    service.tick()
    assert service.network.phase(first) == "drawn"
    assert [line["what"] for line in lines("recovered")] == [first]


def test_a_round_that_cannot_be_read_is_left_off_and_told(
    service: Service, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    first, second = service.network.open_one(), service.network.open_one()
    service.network.mine(2)
    whole = View.history

    def fail_for_the_first(view: View, round_id: int) -> Any:
        if round_id == first:
            raise LogMissing(first, "RoundOpened")
        return whole(view, round_id)

    monkeypatch.setattr(View, "history", fail_for_the_first)
    service.tick()
    assert service.network.phase(second) == "drawn"
    assert [line["round"] for line in lines("round_unreadable")] == [first]


def test_a_call_that_reverts_is_told_once_and_rests(
    network: Rounds, tmp_path: Path, lines: Lines
) -> None:
    service = Service(network, tmp_path, poll=3_600)
    round_id = network.open_one(panel_size=4)  # of three evaluators
    network.mine(2)
    for _ in range(3):
        service.tick()
        network.mine(1)
    [told] = lines("round_failed")
    assert (told["round"], told["level"]) == (round_id, "warning")
    assert "3 evaluators can be drawn" in told["message"]
    assert service.figure("poq_errors_total", error="Reverted") == 1
    service.close()


def test_a_race_that_is_lost_is_no_error(
    service: Service, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    round_id = handed_over(service, *EVERY_SEAT)
    before = service.follower.advance()
    reveals = [service.network.reveal_of(round_id, seat, scores_of(seat)) for seat in EVERY_SEAT]
    service.network.settle(round_id, reveals)
    with monkeypatch.context() as patch:
        patch.setattr(service.follower, "advance", lambda: before)
        service.tick()
    assert [line["round"] for line in lines("done_by_another")] == [round_id]
    service.tick()
    assert lines("round_failed") == []
    assert (f"settle {round_id}", "pending") not in service.purposes()


def test_a_node_that_does_not_answer_breaks_off_one_look(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_id = service.network.open_one()
    service.network.mine(2)
    with monkeypatch.context() as patch:

        def fail(*_: Any) -> Any:
            raise RpcUnreachable("http://node.example", "no reply")

        patch.setattr(service.sender, "send", fail)
        with pytest.raises(RpcUnreachable):
            service.tick()
    service.tick()
    assert service.network.phase(round_id) == "drawn"


def test_a_node_that_changes_its_chain_ends_the_oracle(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.tick()
    service.network.mine(1)
    monkeypatch.setattr(service.network.devnet, "chain_id", 1)
    with pytest.raises(WrongChain):
        service.tick()


def test_what_a_reorganisation_takes_back_is_done_again(service: Service) -> None:
    network = service.network
    round_id = handed_over(service, *EVERY_SEAT)
    before = network.devnet.snapshot()
    service.tick()
    service.tick()
    assert (f"settle {round_id}", "mined") in service.purposes()
    network.devnet.revert(before)
    assert network.phase(round_id) == "drawn"
    network.mine(2)
    service.tick()
    assert network.phase(round_id) == "closed"
    service.tick()
    assert service.purposes().count((f"settle {round_id}", "mined")) == 1


def test_readiness_says_what_is_missing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.tick()
    assert service.health.problems == {
        "tick": "Not checked yet.",  # the loop reports that
        "chain": "",
        "synced": "",
        "balance": "",
    }
    service.network.mine(1)
    monkeypatch.setattr(service.vitals, "gas", 10**18)
    service.tick()
    assert "may cost" in service.health.problems["balance"]
