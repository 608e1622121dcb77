"""Settlements, as an oracle, a settler or a silent evaluator would bend them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from eth_utils import keccak

from oracle.core.commitment import commitment
from oracle.core.consensus import Rule
from oracle.core.facts import DrawnRound, Phase, Reveal, RoundState
from oracle.core.history import history
from oracle.core.phases import reveals_close_at
from oracle.core.units import (
    ONE,
    pack,
)
from tests.contracts.bare_network import BareNetwork
from tests.contracts.harness import Reverted
from tests.contracts.parameters import REGISTRY, ROUNDS, SETTLE
from tests.contracts.rounds import (
    DOMAIN,
    SETTLER,
    STRANGER,
    close_commits,
    committed,
    drawn,
    opened,
    opinions,
    reverts,
    settled,
    settlement,
    staffed,
)

MOST_GAS = 15_000_000
LARGEST = {31: 1_861, 13: 4_096}
"""Items by seats: most seats, and most items with as many seats as they leave room for."""


def settle(network: BareNetwork, arguments: tuple[Any, ...], sender: str = SETTLER) -> None:
    network.rounds("settle", *arguments, sender=sender)


def reveal_deadline(network: BareNetwork, facts: DrawnRound) -> int:
    """Let the reveal deadline come, and return it."""
    deadline = reveals_close_at(ROUNDS, facts.draw.drawn_at)
    network.pass_time_to(deadline)
    return deadline


def finished(network: BareNetwork, **changes: Any) -> tuple[DrawnRound, dict[int, Reveal]]:
    """Return a round that can be settled: all seats committed."""
    return committed(network, drawn(network, **changes))


# Who is in, who is out


def test_r05_one_silent_evaluator_delays_a_round_and_does_not_stop_it(
    network: BareNetwork,
) -> None:
    facts, reveals = finished(network)
    silent = facts.draw.panel[2].node_id
    del reveals[2]
    arguments = settlement(network, facts, reveals.values()).arguments()
    with reverts("SeatMissing", seat=2):
        settle(network, arguments)
    network.pass_time_to(reveals_close_at(ROUNDS, facts.draw.drawn_at) - 1)
    with reverts("SeatMissing", seat=2):
        settle(network, arguments)
    network.pass_blocks(1, 1)
    settle(network, arguments, STRANGER)
    assert stake(network, silent) == REGISTRY.stake - REGISTRY.no_reveal_slash
    for seat in (0, 1, 3, 4):
        assert stake(network, facts.draw.panel[seat].node_id) == REGISTRY.stake


def stake(network: BareNetwork, node_id: int) -> int:
    return int(network.registry("nodeOf", node_id)[5])


def test_r05_seats_that_did_not_commit_do_not_delay_the_settlement(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network), [4, 0, 2])
    close_commits(network, facts)
    settled(network, facts, reveals.values())
    for seat in range(5):
        lost = 0 if seat in reveals else REGISTRY.no_commit_slash
        assert stake(network, facts.draw.panel[seat].node_id) == REGISTRY.stake - lost


def test_r05_scores_that_nobody_can_include_do_not_stop_a_round(network: BareNetwork) -> None:
    """Seat 3 commits to a row of another length, seat 4 to a score above ONE."""
    facts = drawn(network)
    rows = opinions(facts)
    rows[4, 0] = ONE + 1
    facts, reveals = committed(network, facts, [0, 1, 2, 4], rows)
    network.pass_blocks(1)
    facts = network.commit(facts, replace(network.reveal_of(facts, 3, rows[3]), scores=b"\0"))
    with reverts("SeatMissing", seat=3):
        settle(network, settlement(network, facts, [reveals[i] for i in range(3)]).arguments())
    reveal_deadline(network, facts)
    settled(network, facts, [reveals[i] for i in range(3)])
    for seat in (3, 4):
        lost = REGISTRY.no_reveal_slash
        assert stake(network, facts.draw.panel[seat].node_id) == REGISTRY.stake - lost


def test_r05_a_round_can_be_settled_long_after_all_windows(network: BareNetwork) -> None:
    facts, reveals = finished(network)
    network.pass_time_to(reveals_close_at(ROUNDS, facts.draw.drawn_at) + SETTLE + 10**8)
    settled(network, facts, reveals.values(), STRANGER)


def test_r05_the_oracle_is_alone_until_the_reveal_deadline_and_no_longer(
    network: BareNetwork,
) -> None:
    facts, reveals = finished(network, oracle=SETTLER)
    arguments = settlement(network, facts, reveals.values()).arguments()
    deadline = reveals_close_at(ROUNDS, facts.draw.drawn_at)
    network.pass_time_to(deadline - 1)
    with reverts("OracleOnly", oracle=SETTLER, until=deadline):
        settle(network, arguments, STRANGER)
    snapshot = network.evm.snapshot()
    settle(network, arguments, SETTLER)
    network.evm.revert(snapshot)
    network.pass_blocks(1, 1)
    settle(network, arguments, STRANGER)


def test_r05_a_quorum_is_needed_even_after_every_deadline(network: BareNetwork) -> None:
    facts, reveals = finished(network, quorum=4)
    three = settlement(network, replace_quorum(facts, 3), [reveals[i] for i in range(3)])
    reveal_deadline(network, facts)
    with reverts("QuorumMissing", revealed=3, quorum=4):
        round_id, past, shown, consensus = three.arguments()
        honest = settlement(network, facts, reveals.values()).arguments()[1]
        settle(network, (round_id, (honest[0], *past[1:]), shown, consensus))
    with reverts("HistoryMismatch"):  # a smaller quorum is not what the round was opened with
        settle(network, three.arguments())


def replace_quorum(facts: DrawnRound, quorum: int) -> DrawnRound:
    eased = replace(facts.opening.terms, quorum=quorum)
    return replace(facts, opening=replace(facts.opening, terms=eased))


def test_r15_a_seat_that_revealed_on_chain_cannot_be_left_out(network: BareNetwork) -> None:
    facts, reveals = finished(network)
    without = [reveals[i] for i in (0, 1, 2, 3)]
    arguments = settlement(network, facts, without).arguments()
    facts = network.reveal_on_chain(facts, reveals[4])
    reveal_deadline(network, facts)
    with reverts("SeatMissing", seat=4):
        settle(network, arguments)
    settled(network, facts, [reveals[i] for i in (0, 1, 4)])


def test_r15_reveals_on_chain_alone_settle_a_round_from_its_log(network: BareNetwork) -> None:
    facts, reveals = finished(network)
    for seat in (3, 0, 4):
        facts = network.reveal_on_chain(facts, reveals[seat])
    reveal_deadline(network, facts)
    result = settled(network, facts, [reveals[i] for i in (0, 3, 4)], STRANGER)
    digest = network.digest(facts.key.round_id)
    assert digest == result.digest(STRANGER, network.now)


def test_r15_a_round_is_settled_once(network: BareNetwork) -> None:
    facts, reveals = finished(network)
    arguments = settled(network, facts, reveals.values()).arguments()
    credit = network.rounds("creditOf", SETTLER)
    with reverts("WrongPhase", roundId=facts.key.round_id, phase=Phase.CLOSED):
        settle(network, arguments)
    with reverts("WrongPhase", phase=Phase.CLOSED):
        network.rounds("cancel", *arguments[:2])
    assert network.rounds("creditOf", SETTLER) == credit


def test_r15_a_round_that_is_not_drawn_is_not_settled(network: BareNetwork) -> None:
    facts, reveals = finished(network)
    _, *rest = settlement(network, facts, reveals.values()).arguments()
    round_id, _ = opened(network)
    for unknown, phase in ((round_id, Phase.OPEN), (0, Phase.NONE), (round_id + 1, Phase.NONE)):
        with reverts("WrongPhase", roundId=unknown, phase=phase):
            settle(network, (unknown, *rest))


def test_r15_the_settlement_of_one_round_does_not_settle_another(network: BareNetwork) -> None:
    first, reveals = finished(network)
    second, _ = finished(network)
    _, *rest = settlement(network, first, reveals.values()).arguments()
    with reverts("HistoryMismatch", digest=network.digest(second.key.round_id)):
        settle(network, (second.key.round_id, *rest))


def test_r04_a_settlement_with_strange_seats_is_refused(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network), range(4))
    close_commits(network, facts)
    round_id, past, (seats, *shown), consensus = settlement(
        network, facts, reveals.values()
    ).arguments()
    for stranger in (4, 5, 31, 32, 255):
        with reverts("NotCommitted", seat=stranger):
            settle(network, (round_id, past, (seats | 1 << stranger, *shown), consensus))


@pytest.mark.parametrize("part", ["salts", "scores", "consensus"])
@pytest.mark.parametrize("change", [-2, -1, 1, 2])
def test_r04_a_settlement_of_another_length_is_refused(
    network: BareNetwork, part: str, change: int
) -> None:
    facts, reveals = finished(network)
    round_id, past, (seats, salts, scores), consensus = settlement(
        network, facts, reveals.values()
    ).arguments()
    given = {"salts": salts, "scores": scores, "consensus": consensus}
    length = len(given[part])
    extra = (bytes(32),) * change if part == "salts" else bytes(max(change, 0))
    given[part] = given[part][:change] if change < 0 else given[part] + extra
    with reverts("WrongLength", length=length + change, expected=length):
        settle(
            network,
            (round_id, past, (seats, given["salts"], given["scores"]), given["consensus"]),
        )


@pytest.mark.parametrize("score", [ONE + 1, 2**14, 2**15 - 1])
@pytest.mark.parametrize("item", [0, 15, 16, 19])
def test_r04_a_score_above_one_is_not_settled(network: BareNetwork, item: int, score: int) -> None:
    """The highest score of a median could be raised without moving the consensus."""
    arguments = raised(network, 20, item, score)
    with reverts("ScoreAboveOne"):
        settle(network, (*arguments, pack(np.full(20, 5, dtype=np.uint16))))


def raised(network: BareNetwork, items: int, item: int, score: int) -> tuple[Any, ...]:
    """Return all but the consensus to settle three seats: 3, 5, and ONE but for one `score`."""
    facts = drawn(network, sizes=(items,), panel_size=3)
    rows = np.array([[3], [5], [ONE]], dtype=np.uint16).repeat(items, axis=1)
    rows[2, item] = score
    facts, reveals = committed(network, facts, rows=rows)
    shown = (0b111, tuple(reveals[i].salt for i in range(3)), pack(rows))
    return facts.key.round_id, history(facts, 0b111).as_tuple(), shown


@pytest.mark.parametrize("score", [2**15, 2**16 - 1])
def test_r04_no_carry_between_scores_makes_a_score_above_one_pass(
    network: BareNetwork, score: int
) -> None:
    """From 2¹⁵ on a score spills into its neighbour: no consensus at all is then right."""
    arguments = raised(network, 4, 2, score)
    for agreed in (3, 4, 5, 6, ONE, score):
        consensus = pack(np.array([5, 5, agreed, 5], dtype=np.uint16))
        with pytest.raises(Reverted) as refused:
            settle(network, (*arguments, consensus))
        assert refused.value.name in ("ScoreAboveOne", "WrongConsensus")


# What the chain checks of the consensus


@pytest.mark.parametrize("present", [3, 4, 5])
@pytest.mark.parametrize("rule", Rule)
def test_r15_a_consensus_off_by_one_unit_in_one_item_is_refused(
    network: BareNetwork, rule: Rule, present: int
) -> None:
    items = 18
    facts = drawn(network, (items,), rule=rule, trim=2_100 if rule is Rule.TRIMMED_MEAN else 0)
    facts, reveals = committed(network, facts, range(present))
    close_commits(network, facts)
    result = settlement(network, facts, reveals.values())
    *rest, right = result.arguments()
    values = np.frombuffer(right, dtype=">u2").astype(np.int64)
    for i in range(len(values)):
        for unit in (-1, 1):
            wrong = values.copy()
            wrong[i] += unit
            assert wrong.min() >= 0
            with reverts("WrongConsensus", firstItem=i % items // 16 * 16):
                settle(network, (*rest, wrong.astype(">u2").tobytes()))
    settle(network, (*rest, right))
    assert network.digest(facts.key.round_id) == result.digest(SETTLER, network.now)


@pytest.mark.parametrize("rule", Rule)
def test_r15_one_value_for_all_items_is_no_consensus(network: BareNetwork, rule: Rule) -> None:
    facts, reveals = committed(network, drawn(network, rule=rule))
    *rest, right = settlement(network, facts, reveals.values()).arguments()
    for lie in (0, 1, ONE, ONE + 1, 2**15, 2**16 - 1):
        wrong = pack(np.full(len(right) // 2, lie, dtype=np.uint16))
        with reverts("WrongConsensus", firstItem=0):
            settle(network, (*rest, wrong))
    settle(network, (*rest, right))


@pytest.mark.parametrize("size", [3, 4, 8])
@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("score", [0, 1, ONE - 1, ONE, None])
def test_r09_ties_and_even_panels_settle_to_the_bits_of_the_core(
    network: BareNetwork, score: int | None, rule: Rule, size: int
) -> None:
    """`None`: half the panel says that nothing is right, the other half that everything is."""
    facts = drawn(network, (17,), rule=rule, panel_size=size)
    if score is None:
        column = np.where(np.arange(size) % 2, ONE, 0).astype(np.uint16)
    else:
        column = np.full(size, score, dtype=np.uint16)
    rows = column[:, np.newaxis].repeat(17, axis=1)
    facts, reveals = committed(network, facts, rows=rows)
    result = settled(network, facts, reveals.values())
    assert network.digest(facts.key.round_id) == result.digest(SETTLER, network.now)
    if score is not None:
        assert result.consensus == pack(rows[0])
        assert set(result.deviations) == {0}


@pytest.mark.parametrize("rule", Rule)
def test_r09_the_order_of_commits_and_reveals_does_not_matter(rule: Rule) -> None:
    ends = []
    for order in ((0, 1, 2, 3, 4), (4, 2, 0, 3, 1)):
        network = staffed(rounds=replace(ROUNDS, cost_weight=0))  # being late costs nothing
        facts, reveals = committed(network, drawn(network, rule=rule), order)
        for seat in order[:3]:
            facts = network.reveal_on_chain(facts, reveals[seat])
        result = settled(network, facts, [reveals[seat] for seat in order])
        trusts = network.trusts(facts.draw.panel, DOMAIN)
        credits = [network.rounds("creditOf", owner) for owner in network.nodes.values()]
        ends.append((facts.draw.panel, result.consensus, credits, trusts))
    assert ends[0] == ends[1]
    assert len(set(ends[0][2])) > 3


def test_r09_a_panel_at_the_floor_of_trust_still_weighs(network: BareNetwork) -> None:
    harsh = replace(REGISTRY.trust, floor=1_000, loss=1_000_000, spread=0, tolerance=0)
    network = staffed(evaluators=3, registry=replace(REGISTRY, trust=harsh))
    for _ in range(3):
        facts = drawn(network, (30,), panel_size=3, rule=Rule.TRUST_WEIGHTED_MEAN)
        facts, reveals = committed(network, facts)
        result = settled(network, facts, reveals.values())
    assert {seat.trust for seat in facts.draw.panel} == {1_000}
    exact = opinions(facts).sum(axis=0, dtype=int)
    assert result.consensus == pack(((2 * exact + 3) // 6).astype(np.uint16))


# What the chain checks of the past


@pytest.mark.parametrize(
    "lie",
    [
        *("requester", "fee", "rule", "oracle", "cost", "seed", "trust", "owner"),
        *("time", "order", "salt", "score"),
    ],
)
def test_r16_a_settlement_with_an_altered_past_is_refused(network: BareNetwork, lie: str) -> None:
    facts, reveals = finished(network)
    opening, draw, commits, shown = facts.opening, facts.draw, list(facts.commits), dict(reveals)
    terms, seat = opening.terms, draw.panel[0]
    if lie == "requester":
        opening = replace(opening, requester=STRANGER)
    elif lie == "fee":
        terms = replace(terms, settlement_fee=terms.settlement_fee + 1)
    elif lie == "rule":
        terms = replace(terms, rule=Rule.MEAN)
    elif lie == "oracle":
        terms = replace(terms, oracle=SETTLER)
    elif lie == "cost":
        cheap = replace(opening.batches[0], cost=0)
        opening = replace(opening, batches=(cheap, *opening.batches[1:]))
    elif lie == "seed":
        draw = replace(draw, seed=keccak(draw.seed))
    elif lie == "trust":
        draw = replace(draw, panel=(replace(seat, trust=1_000), *draw.panel[1:]))
    elif lie == "owner":
        draw = replace(draw, panel=(replace(seat, owner=STRANGER), *draw.panel[1:]))
    elif lie == "time":
        commits[4] = replace(commits[4], committed_at=commits[0].committed_at)
    elif lie == "order":
        commits.reverse()
    elif lie == "salt":
        shown[0] = replace(shown[0], salt=keccak(shown[0].salt))
    else:
        shown[0] = replace(shown[0], scores=pack(opinions(facts)[1]))
    opening = replace(opening, terms=terms)
    told = consistent(DrawnRound(facts.key, opening, draw, tuple(commits), 0), shown)
    with reverts("HistoryMismatch", digest=network.digest(facts.key.round_id)):
        settle(network, settlement(network, told, shown.values()).arguments())
    settled(network, facts, reveals.values())


def consistent(facts: DrawnRound, reveals: dict[int, Reveal]) -> DrawnRound:
    """Return facts whose commitments are those of `reveals`, so that the core settles them."""
    commits = []
    for commit in facts.commits:
        shown = reveals[commit.seat]
        node_id = facts.draw.panel[commit.seat].node_id
        hashed = commitment(facts.key, node_id, shown.salt, shown.scores)
        commits.append(replace(commit, commitment=hashed))
    return replace(facts, commits=tuple(commits))


def test_r16_a_past_with_parts_missing_or_repeated_is_refused(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network), range(4))
    reveal_deadline(network, facts)
    three = [reveals[i] for i in range(3)]
    round_id, past, *shown = settlement(network, facts, three).arguments()
    opening, seed, panel, commits, commitments = past
    assert len(commitments) == 1

    def attempt(**lies: Any) -> None:
        parts = {"panel": panel, "commits": commits, "commitments": commitments} | lies
        settle(network, (round_id, (opening, seed, *parts.values()), *shown))

    for length in (0, 4 * 28, 5 * 28 - 1, 6 * 28):
        with reverts("WrongLength", length=length, expected=5 * 28):
            attempt(panel=(panel * 2)[:length])
    for length in (0, 18, 23, 25, 30):
        with reverts("WrongLength", length=length, expected=24):
            attempt(commits=(commits * 2)[:length])
    with reverts("HistoryMismatch"):
        attempt(panel=panel[28:56] + panel[:28] + panel[56:])
    with reverts("AlreadyCommitted", seat=0):
        attempt(commits=commits[:6] * 4)
    for stranger in (4, 5, 32, 255):
        with reverts("NotCommitted", seat=stranger):
            attempt(commits=commits[:18] + bytes([stranger]) + commits[19:])
    with reverts("WrongLength", length=0, expected=1):
        attempt(commitments=())
    with reverts("HistoryMismatch"):
        attempt(commitments=(keccak(b"another"),))
    with reverts("HistoryMismatch"):  # at second zero a seat may be told again, and to no avail
        attempt(commits=commits[:1] + bytes(5) + commits[:18])
    attempt()


# What is left, and what it costs


def test_r08_a_closed_round_leaves_only_its_digest(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network, panel_size=9))
    round_id = facts.key.round_id
    assert network.rounds("seatOf", round_id, 8) == facts.draw.panel[8].node_id
    result = settled(network, facts, reveals.values())
    assert network.state(round_id) == RoundState(Phase.CLOSED, 0, 0, 0, 0, 0, 0)
    assert [network.rounds("seatOf", round_id, seat) for seat in range(9)] == [0] * 9
    assert network.digest(round_id) == result.digest(SETTLER, network.now)
