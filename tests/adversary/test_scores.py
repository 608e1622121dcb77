"""Attacks on commitments and settlements: to know the others' scores, to choose among them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from eth_utils import keccak

from oracle.core.cancellation import cancel
from oracle.core.commitment import commitment, derive_salt
from oracle.core.consensus import Rule
from oracle.core.facts import DrawnRound, Reveal
from oracle.core.phases import reveals_close_at
from oracle.core.settlement import Settlement
from oracle.core.units import ONE, pack, unpack
from tests.contracts.bare_network import BareNetwork
from tests.contracts.parameters import ROUNDS
from tests.contracts.rounds import (
    REQUESTER,
    SETTLER,
    STRANGER,
    committed,
    drawn,
    reverts,
    settled,
    settlement,
)


def past_reveals(network: BareNetwork, facts: DrawnRound) -> None:
    deadline = reveals_close_at(ROUNDS, facts.draw.drawn_at)
    network.pass_time_to(deadline)


def biased(network: BareNetwork) -> tuple[DrawnRound, dict[int, Reveal]]:
    """Return a round whose seats 3 and 4 lie upwards and whose others are honest, committed."""
    facts = drawn(network, rule=Rule.MEDIAN)
    rows = np.full((5, facts.opening.items), 4_000, dtype=np.uint16)
    rows[3:] = ONE
    return committed(network, facts, rows=rows)


def consensus_of(result: Settlement) -> set[int]:
    return set(unpack(result.consensus, result.facts.opening.items).tolist())


def test_r01_a_single_score_cannot_be_guessed_from_its_commitment(network: BareNetwork) -> None:
    """
    The attacker hashes all 10,001 scores of a one-item round with every salt that it knows: those
    of the node's earlier rounds, which reveals made public, and simple ones. A fresh salt of 32
    bytes, derived from the node's key and the round, stops it.
    """
    first, reveals = committed(network, drawn(network, [1]))
    settled(network, first, reveals.values())
    facts, reveals = committed(network, drawn(network, [1]))
    victim = facts.draw.panel[0].node_id
    target = facts.commits[0].commitment
    known = {reveal.salt for reveal in reveals.values() if reveal.seat != 0}
    known |= {derive_salt(keccak(text=f"secret {victim}"), first.key, victim)}
    known |= {bytes(32), keccak(b""), target, facts.key.round_id.to_bytes(32)}
    guesses = {
        commitment(facts.key, victim, salt, pack(np.array([score], dtype=np.uint16)))
        for salt in known
        for score in range(ONE + 1)
    }
    assert target not in guesses
    # The guess is right as soon as the salt is.
    assert commitment(facts.key, victim, reveals[0].salt, reveals[0].scores) == target


def test_r02_a_copied_reveal_opens_no_seat_but_its_own(network: BareNetwork) -> None:
    """
    The attacker waits for somebody else's salt and scores and hands them in for its own seat. The
    commitment names the node, so they open nothing there.
    """
    facts, reveals = committed(network, drawn(network))
    for seat in range(1, 5):
        copy = replace(reveals[0], seat=seat)
        with reverts("HistoryMismatch"):
            network.reveal_on_chain(facts, copy)
    network.reveal_on_chain(facts, reveals[0])


def test_r15_a_settler_that_chooses_its_seats_has_to_take_those_revealed_on_chain(
    network: BareNetwork,
) -> None:
    """
    The settler is a friend of the liars: it waits for the reveal deadline and then settles with
    the quorum in which they have the majority. Honest seats that revealed on chain are due in
    every settlement, so each choice without one of them reverts.
    """
    facts, reveals = biased(network)
    for seat in (0, 1, 2):
        facts = network.reveal_on_chain(facts, reveals[seat])
    past_reveals(network, facts)
    for size in (3, 4, 5):
        for seats in combinations(range(5), size):
            if {0, 1, 2} <= set(seats):
                continue
            chosen = replace(facts, revealed=0)  # what the settler would like to be true
            arguments = settlement(network, chosen, [reveals[i] for i in seats]).arguments()
            with reverts("SeatMissing", seat=min({0, 1, 2} - set(seats))):
                network.rounds("settle", *arguments, sender=SETTLER)
    result = settled(network, facts, reveals.values())
    assert consensus_of(result) == {4_000}


def test_limit_who_settles_late_chooses_among_seats_that_did_not_reveal_on_chain(
    network: BareNetwork,
) -> None:
    """
    The same settler, and nobody revealed on chain: its choice stands, the honest seat that it
    leaves out counts as absent. That is why an evaluator reveals on chain when it is left out.
    """
    facts, reveals = biased(network)
    past_reveals(network, facts)
    result = settled(network, facts, [reveals[i] for i in (2, 3, 4)])
    assert consensus_of(result) == {ONE}


@pytest.mark.parametrize("early", [False, True])
def test_r15_nobody_settles_early_without_a_seat_that_committed(
    network: BareNetwork, early: bool
) -> None:
    """The round's own oracle leaves out who disagrees with it: before the deadline it cannot."""
    facts = drawn(network, rule=Rule.MEDIAN, oracle=SETTLER if early else STRANGER)
    facts, reveals = committed(network, facts)
    by = SETTLER if early else STRANGER
    for omitted in range(5):
        seats = [reveals[i] for i in range(5) if i != omitted]
        arguments = settlement(network, facts, seats).arguments()
        with reverts("SeatMissing", seat=omitted):
            network.rounds("settle", *arguments, sender=by)


def test_limit_a_settlement_in_the_mempool_can_be_copied_for_its_fee(network: BareNetwork) -> None:
    """
    Somebody sends the settler's own calldata first and earns the fee; the settler's transaction
    reverts. Consensus and payouts are the same: only the fee changes hands.
    """
    facts, reveals = committed(network, drawn(network))
    result = settlement(network, facts, reveals.values())
    network.rounds("settle", *result.arguments(), sender=STRANGER)
    with reverts("WrongPhase"):
        network.rounds("settle", *result.arguments(), sender=SETTLER)
    assert network.rounds("creditOf", STRANGER) == facts.opening.terms.settlement_fee
    assert network.rounds("creditOf", SETTLER) == 0
    assert network.digest(facts.key.round_id) == result.digest(STRANGER, network.now)


def test_r15_a_copied_settlement_of_a_round_with_an_oracle_earns_nothing(
    network: BareNetwork,
) -> None:
    """What stops the copy above until the reveal deadline: a round that names its oracle."""
    facts, reveals = committed(network, drawn(network, oracle=SETTLER))
    result = settlement(network, facts, reveals.values())
    with reverts("OracleOnly", oracle=SETTLER):
        network.rounds("settle", *result.arguments(), sender=STRANGER)
    network.rounds("settle", *result.arguments(), sender=SETTLER)
    assert network.rounds("creditOf", SETTLER) == facts.opening.terms.settlement_fee


def test_limit_a_majority_of_a_panel_sets_its_consensus(network: BareNetwork) -> None:
    """
    Three of five seats agree on a lie: it is the consensus, it pays them and their friend, and the
    honest lose trust. Nothing on chain knows better; sampling and panel size make it rare.
    """
    facts = drawn(network, rule=Rule.TRUST_WEIGHTED_MEDIAN)
    rows = np.full((5, facts.opening.items), ONE, dtype=np.uint16)
    rows[:2] = 1_000
    facts, reveals = committed(network, facts, rows=rows)
    result = settled(network, facts, reveals.values())
    assert consensus_of(result) == {ONE}
    trusts = [
        network.registry("trustOf", seat.node_id, facts.opening.terms.domain)
        for seat in facts.draw.panel
    ]
    assert max(trusts[:2]) < min(trusts[2:])


def test_limit_a_hidden_workload_costs_the_panel_and_pays_nobody(network: BareNetwork) -> None:
    """
    A requester opens a round whose workload nobody can fetch. Evaluators that do not commit lose
    the smaller slash; the requester loses gas and time, and gains nothing: slashes go to the sink.
    """
    before = network.token("balanceOf", REQUESTER)
    facts = drawn(network)
    network.pass_time_to(reveals_close_at(ROUNDS, facts.draw.drawn_at))
    network.rounds("cancel", *cancel(facts).arguments, sender=REQUESTER)
    network.rounds("withdraw", REQUESTER)
    assert network.token("balanceOf", REQUESTER) == before
    slash = network.registry_parameters.no_commit_slash
    assert network.registry("slashedBalance") == 5 * slash
