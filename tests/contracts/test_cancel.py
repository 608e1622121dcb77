"""Ways out: whoever is silent, no round is stuck, and all money and stakes come free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_utils import keccak

from oracle.core.cancellation import cancel, cancel_undrawn
from oracle.core.facts import Conduct, DrawnRound, Opening, Phase, RoundState
from oracle.core.phases import (
    HASH_HORIZON,
    cancellable_at,
    commits_close_at,
    reveals_close_at,
)
from tests.contracts.bare_network import BareNetwork
from tests.contracts.harness import CALLER
from tests.contracts.parameters import REGISTRY, ROUNDS, SINK
from tests.contracts.rounds import (
    DOMAIN,
    REQUESTER,
    SETTLER,
    STRANGER,
    close_commits,
    committed,
    drawn,
    opened,
    reverts,
    settled,
    settlement,
)


def cancel_now(network: BareNetwork, facts: DrawnRound, sender: str = STRANGER) -> None:
    network.rounds("cancel", *cancel(facts).arguments, sender=sender)


def lost(network: BareNetwork, facts: DrawnRound) -> list[int]:
    """Return what each seat's node lost of its stake."""
    ids = [seat.node_id for seat in facts.draw.panel]
    return [REGISTRY.stake - int(network.registry("nodeOf", node_id)[5]) for node_id in ids]


# Rounds that nobody drew


def test_r05_a_round_that_can_be_drawn_is_not_cancelled_as_undrawn(network: BareNetwork) -> None:
    round_id, opening = opened(network)
    last = opening.draw_block + HASH_HORIZON
    for blocks in (0, ROUNDS.draw_delay + 1, HASH_HORIZON - 1):
        network.pass_blocks(blocks)
        with reverts("DrawPending", lastBlock=last):
            network.rounds("cancelUndrawn", round_id, opening.as_tuple())
    assert network.number == last
    network.pass_blocks(1)
    network.rounds("cancelUndrawn", round_id, opening.as_tuple(), sender=STRANGER)
    undrawn = cancel_undrawn(network.key(round_id), opening)
    assert network.digest(round_id) == undrawn.digest(network.now)
    assert network.rounds("creditOf", REQUESTER) == opening.terms.deposit


@pytest.mark.parametrize("field", ["requester", "terms"])
def test_r05_the_refund_of_an_undrawn_round_cannot_be_diverted_or_raised(
    network: BareNetwork, field: str
) -> None:
    round_id, opening = opened(network)
    network.pass_blocks(ROUNDS.draw_delay + HASH_HORIZON + 1)
    richer = replace(opening.terms, inference_budget=opening.terms.inference_budget + 1)
    lies: dict[str, Any] = {"requester": STRANGER, "terms": richer}
    with reverts("HistoryMismatch"):
        lie: Opening = replace(opening, **{field: lies[field]})
        network.rounds("cancelUndrawn", round_id, lie.as_tuple())


def test_r05_neither_kind_of_cancellation_ends_the_others_rounds(network: BareNetwork) -> None:
    round_id, opening = opened(network)
    facts = drawn(network)
    network.pass_time_to(cancellable_at(ROUNDS, facts.draw.drawn_at))
    network.pass_blocks(HASH_HORIZON)
    with reverts("WrongPhase", phase=Phase.DRAWN):
        network.rounds("cancelUndrawn", facts.key.round_id, facts.opening.as_tuple())
    undrawn = replace(facts, key=network.key(round_id), opening=opening)
    with reverts("WrongPhase", phase=Phase.OPEN):
        cancel_now(network, undrawn)


# Rounds in which too few committed


@pytest.mark.parametrize("voters", [0, 1, 2])
def test_r05_too_few_commits_end_a_round_when_commits_close(
    network: BareNetwork, voters: int
) -> None:
    facts, _ = committed(network, drawn(network), range(voters))
    closes_at = commits_close_at(ROUNDS, facts.draw.drawn_at)
    network.pass_time_to(closes_at - 1)
    with reverts("CommitsOpen", closesAt=closes_at):
        cancel_now(network, facts)
    network.pass_blocks(1, 1)
    cancel_now(network, facts)

    assert network.digest(facts.key.round_id) == cancel(facts).digest(network.now)
    assert network.rounds("creditOf", REQUESTER) == facts.opening.terms.deposit
    assert lost(network, facts) == voters * [0] + (5 - voters) * [REGISTRY.no_commit_slash]


def test_r05_whoever_committed_and_could_not_be_settled_is_not_slashed_later_either(
    network: BareNetwork,
) -> None:
    """Too few committed: even after every deadline, and revealed or not, they are excused."""
    facts, reveals = committed(network, drawn(network), [0, 1])
    close_commits(network, facts)
    facts = network.reveal_on_chain(facts, reveals[1])
    network.pass_time_to(cancellable_at(ROUNDS, facts.draw.drawn_at))
    cancel_now(network, facts)
    assert network.digest(facts.key.round_id) == cancel(facts).digest(network.now)
    assert lost(network, facts) == [0, 0] + 3 * [REGISTRY.no_commit_slash]


# Rounds whose quorum committed


def test_r05_a_round_with_enough_commits_waits_for_its_settlement(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network), [0, 1, 2])
    at = cancellable_at(ROUNDS, facts.draw.drawn_at)
    for second in (
        commits_close_at(ROUNDS, facts.draw.drawn_at),
        reveals_close_at(ROUNDS, facts.draw.drawn_at),
        at - 1,
    ):
        network.pass_blocks(1, second - network.now)
        with reverts("NotCancellable", revealed=0, cancellableAt=at):
            cancel_now(network, facts)
    snapshot = network.evm.snapshot()
    settled(network, facts, reveals.values(), STRANGER)
    network.evm.revert(snapshot)
    network.pass_blocks(1, 1)
    cancel_now(network, facts)
    expected = 3 * [REGISTRY.no_reveal_slash] + 2 * [REGISTRY.no_commit_slash]
    assert lost(network, facts) == expected


def test_r05_evaluators_that_withhold_their_reveals_are_slashed_and_the_others_are_not(
    network: BareNetwork,
) -> None:
    facts, reveals = committed(network, drawn(network), range(4))
    close_commits(network, facts)
    for seat in (1, 3):
        facts = network.reveal_on_chain(facts, reveals[seat])
    network.pass_time_to(cancellable_at(ROUNDS, facts.draw.drawn_at))
    cancel_now(network, facts)
    assert network.digest(facts.key.round_id) == cancel(facts).digest(network.now)
    withheld, silent = REGISTRY.no_reveal_slash, REGISTRY.no_commit_slash
    assert lost(network, facts) == [withheld, 0, withheld, 0, silent]
    assert {outcome.conduct for outcome in cancel(facts).outcomes} == {
        Conduct.NOT_REVEALED,
        Conduct.NOT_COMMITTED,
    }


def test_r05_a_quorum_of_reveals_on_chain_makes_a_round_settleable_for_ever(
    network: BareNetwork,
) -> None:
    """A requester who dislikes the scores, or an oracle that keeps silent, changes nothing."""
    facts, reveals = committed(network, drawn(network, oracle=SETTLER))
    at = cancellable_at(ROUNDS, facts.draw.drawn_at)
    for seat in (0, 2, 4):
        facts = network.reveal_on_chain(facts, reveals[seat])
    for second in (at, at + 10**8):
        network.pass_time_to(second)
        with reverts("NotCancellable", revealed=3, cancellableAt=at):
            cancel_now(network, facts, REQUESTER)
    settled(network, facts, [reveals[seat] for seat in (0, 2, 4)], STRANGER)
    assert network.rounds("creditOf", STRANGER) == facts.opening.terms.settlement_fee


@pytest.mark.parametrize("lie", ["requester", "deposit", "quorum", "panel", "commitment", "fewer"])
def test_r16_a_cancellation_with_an_altered_past_is_refused(network: BareNetwork, lie: str) -> None:
    facts, _ = committed(network, drawn(network), [0, 1])
    close_commits(network, facts)
    opening, terms, panel = facts.opening, facts.opening.terms, facts.draw.panel
    told = facts
    if lie == "requester":
        told = replace(facts, opening=replace(opening, requester=STRANGER))
    elif lie == "deposit":
        more = replace(terms, settlement_fee=2**128 - 1)
        told = replace(facts, opening=replace(opening, terms=more))
    elif lie == "quorum":
        told = replace(facts, opening=replace(opening, terms=replace(terms, quorum=4)))
    elif lie == "panel":
        told = replace(facts, draw=replace(facts.draw, panel=panel[::-1]))
    elif lie == "commitment":
        forged = replace(facts.commits[0], commitment=keccak(b"forged"))
        told = replace(facts, commits=(forged, facts.commits[1]))
    else:
        told = replace(facts, commits=facts.commits[:1])
    name = "WrongLength" if lie == "fewer" else "HistoryMismatch"
    with reverts(name):
        cancel_now(network, told)
    cancel_now(network, facts)


def test_r15_a_cancelled_round_is_neither_settled_nor_cancelled_again(
    network: BareNetwork,
) -> None:
    facts, reveals = committed(network, drawn(network))
    network.pass_time_to(cancellable_at(ROUNDS, facts.draw.drawn_at))
    arguments = settlement(network, facts, reveals.values()).arguments()
    cancel_now(network, facts)
    for _ in range(2):
        with reverts("WrongPhase", phase=Phase.CLOSED):
            network.rounds("settle", *arguments)
        with reverts("WrongPhase", phase=Phase.CLOSED):
            cancel_now(network, facts)
        network.pass_blocks(HASH_HORIZON + 1)
    with reverts("WrongPhase", phase=Phase.CLOSED):
        network.rounds("cancelUndrawn", facts.key.round_id, facts.opening.as_tuple())
    assert network.rounds("creditOf", REQUESTER) == facts.opening.terms.deposit


def test_r08_a_cancelled_round_leaves_only_its_digest(network: BareNetwork) -> None:
    facts = drawn(network, panel_size=9)
    close_commits(network, facts)
    cancel_now(network, facts)
    round_id = facts.key.round_id
    assert network.state(round_id) == RoundState(Phase.CLOSED, 0, 0, 0, 0, 0, 0)
    assert [network.rounds("seatOf", round_id, seat) for seat in range(9)] == [0] * 9
    assert network.digest(round_id) == cancel(facts).digest(network.now)


def test_r17_a_cancelled_round_moves_no_trust(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network))
    facts = network.reveal_on_chain(facts, reveals[0])
    before = network.trusts(facts.draw.panel, DOMAIN)
    network.pass_time_to(cancellable_at(ROUNDS, facts.draw.drawn_at))
    cancel_now(network, facts)
    assert network.trusts(facts.draw.panel, DOMAIN) == before


# Everything comes free


def lapses(network: BareNetwork) -> None:
    round_id, opening = opened(network)
    network.pass_blocks(ROUNDS.draw_delay + HASH_HORIZON + 1)
    network.rounds("cancelUndrawn", round_id, opening.as_tuple())


def finds_no_commits(network: BareNetwork) -> None:
    facts = drawn(network)
    close_commits(network, facts)
    cancel_now(network, facts)


def finds_no_reveals(network: BareNetwork) -> None:
    facts, _ = committed(network, drawn(network))
    network.pass_time_to(cancellable_at(ROUNDS, facts.draw.drawn_at))
    cancel_now(network, facts)


def settles(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network))
    settled(network, facts, reveals.values())


def settles_without_some(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network), range(4))
    network.pass_time_to(reveals_close_at(ROUNDS, facts.draw.drawn_at))
    settled(network, facts, [reveals[seat] for seat in range(3)])


ENDS = [lapses, finds_no_commits, finds_no_reveals, settles, settles_without_some]


@pytest.mark.parametrize("end", ENDS)
def test_r05_whatever_ends_a_round_all_money_and_all_stakes_come_free(
    network: BareNetwork, end: Callable[[BareNetwork], None]
) -> None:
    everybody = {REQUESTER, SETTLER, STRANGER, *network.nodes.values()}
    put_in = network.token("totalSupply")
    end(network)

    for node_id, owner in network.nodes.items():
        network.registry("exit", node_id, sender=owner)
    network.pass_blocks(1, REGISTRY.exit_delay)
    for node_id, owner in network.nodes.items():
        network.registry("withdrawStake", node_id, sender=owner)
    for account in everybody:
        if network.rounds("creditOf", account):
            network.rounds("withdraw", account)
    if network.registry("slashedBalance"):
        network.registry("sweepSlashes")

    for contract in (network.rounds, network.registry):
        assert network.token("balanceOf", contract.address) == 0
    holders = [network.token("balanceOf", one) for one in (*everybody, SINK, CALLER)]
    assert sum(holders) == put_in
