"""Commitments and reveals, as whoever wants to copy, peek, repeat or smuggle would try them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from eth_utils import keccak

from oracle.core.commitment import commitment
from oracle.core.digest import commit_step, fold, replay
from oracle.core.facts import Commit, CommitProof, DrawnRound, Reveal
from oracle.core.history import commit_proof
from oracle.core.phases import commits_close_at, reveals_close_at
from oracle.core.units import ONE, pack
from tests.contracts.bare_network import BareNetwork, account
from tests.contracts.harness import CALLER
from tests.contracts.parameters import ROUNDS
from tests.contracts.rounds import (
    STRANGER,
    close_commits,
    committed,
    drawn,
    opened,
    opinions,
    reverts,
    settlement,
)

WORD = 32


def commit_as(network: BareNetwork, facts: DrawnRound, seat: int, hashed: bytes) -> DrawnRound:
    """Commit a seat to a hash, whatever it is of."""
    operator = network.operator(facts.draw.panel[seat].node_id).address
    network.rounds("commit", facts.key.round_id, seat, hashed, sender=operator)
    return replace(facts, commits=(*facts.commits, Commit(seat, network.now, hashed)))


def reveal(network: BareNetwork, facts: DrawnRound, shown: Reveal) -> None:
    network.reveal_on_chain(facts, shown)


def test_r01_a_copied_commitment_cannot_be_revealed(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network), [0])
    facts = commit_as(network, facts, 1, facts.commits[0].commitment)
    close_commits(network, facts)

    with reverts("HistoryMismatch"):
        reveal(network, facts, replace(reveals[0], seat=1))
    reveal(network, facts, reveals[0])


def test_r01_a_copied_commitment_cannot_be_settled(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network), [0, 1, 2])
    honest = settlement(network, facts, reveals.values())
    facts = commit_as(network, facts, 3, facts.commits[0].commitment)
    close_commits(network, facts)
    network.pass_time_to(reveals_close_at(ROUNDS, facts.draw.drawn_at))

    round_id, history, (_, salts, scores), consensus = honest.arguments()
    row = reveals[0].scores
    copied = (0b1111, (*salts, salts[0]), scores + row)
    full = settlement(network, facts, reveals.values()).arguments()[1]
    assert full != history
    with reverts("HistoryMismatch"):
        network.rounds("settle", round_id, (*full[:4], ()), copied, consensus * 2)


@pytest.mark.parametrize("bound", ["chain", "contract", "round", "node", "salt"])
def test_r01_a_commitment_bound_to_anything_else_cannot_be_revealed(
    network: BareNetwork, bound: str
) -> None:
    facts = drawn(network)
    shown = network.reveal_of(facts, 0, opinions(facts)[0])
    key, node_id, salt = facts.key, facts.draw.panel[0].node_id, shown.salt
    if bound == "chain":
        key = replace(key, chain_id=key.chain_id + 1)
    elif bound == "contract":
        key = replace(key, contract=network.registry.address)
    elif bound == "round":
        key = replace(key, round_id=key.round_id + 1)
    elif bound == "node":
        node_id = facts.draw.panel[1].node_id
    else:
        salt = keccak(salt)
    facts = commit_as(network, facts, 0, commitment(key, node_id, salt, shown.scores))
    close_commits(network, facts)

    with reverts("HistoryMismatch"):
        reveal(network, facts, shown)


def test_r01_a_zero_commitment_is_refused(network: BareNetwork) -> None:
    facts = drawn(network)
    with reverts("ZeroCommitment"):
        commit_as(network, facts, 0, bytes(32))


def test_r01_a_seat_commits_once(network: BareNetwork) -> None:
    facts, _ = committed(network, drawn(network), [2])
    for hashed in (facts.commits[0].commitment, keccak(text="second thoughts")):
        with reverts("AlreadyCommitted", seat=2):
            commit_as(network, facts, 2, hashed)


def test_r01_only_the_operator_of_the_seat_commits(network: BareNetwork) -> None:
    facts = drawn(network)
    node_id = facts.draw.panel[0].node_id
    others = [
        STRANGER,
        facts.draw.panel[0].owner,
        network.operator(facts.draw.panel[1].node_id).address,
    ]
    for caller in others:
        with reverts("NotOperator", nodeId=node_id, caller=caller):
            network.rounds("commit", facts.key.round_id, 0, keccak(b"x"), sender=caller)


@pytest.mark.parametrize("seat", [5, 7, 8, 31, 32, 255, 256, 2**40, 2**256 - 1])
def test_r04_a_seat_that_is_not_there_neither_commits_nor_reveals(
    network: BareNetwork, seat: int
) -> None:
    facts, reveals = committed(network, drawn(network))
    operator = network.operator(facts.draw.panel[0].node_id).address
    with reverts("UnknownSeat", seat=seat):
        network.rounds("commit", facts.key.round_id, seat, keccak(b"x"), sender=operator)
    proof = commit_proof(facts, 0).as_tuple()
    with reverts("UnknownSeat", seat=seat):
        network.rounds(
            "reveal", facts.key.round_id, seat, proof, reveals[0].salt, reveals[0].scores
        )


@pytest.mark.parametrize("function", ["commit", "reveal"])
def test_r02_a_round_that_is_not_drawn_takes_no_scores(network: BareNetwork, function: str) -> None:
    round_id, _ = opened(network)
    for unknown, phase in ((round_id, 1), (round_id + 1, 0), (0, 0)):
        with reverts("WrongPhase", roundId=unknown, phase=phase):
            if function == "commit":
                network.rounds("commit", unknown, 0, keccak(b"x"))
            else:
                network.rounds("reveal", unknown, 0, (0, bytes(32), ()), bytes(32), b"")


def test_r02_nothing_is_revealed_settled_or_cancelled_while_somebody_may_commit(
    network: BareNetwork,
) -> None:
    facts, reveals = committed(network, drawn(network), [0, 1, 2, 3])
    closes_at = commits_close_at(ROUNDS, facts.draw.drawn_at)
    network.pass_time_to(closes_at - 1)
    settle = settlement(network, facts, reveals.values()).arguments()

    with reverts("CommitsOpen", closesAt=closes_at):
        reveal(network, facts, reveals[0])
    with reverts("CommitsOpen", closesAt=closes_at):
        network.rounds("settle", *settle)
    with reverts("CommitsOpen", closesAt=closes_at):
        network.rounds("cancel", *settle[:2])

    network.pass_blocks(1, 1)
    reveal(network, facts, reveals[0])


def test_r02_no_commit_lands_in_the_closing_second(network: BareNetwork) -> None:
    facts = drawn(network)
    closes_at = commits_close_at(ROUNDS, facts.draw.drawn_at)
    network.pass_blocks(1, closes_at - 1 - network.now)
    facts, _ = committed_now(network, facts, 0)
    for second in (closes_at, closes_at + 1):
        network.pass_blocks(1, second - network.now)
        with reverts("CommitsClosed", closedAt=closes_at):
            committed_now(network, facts, 1)


def committed_now(network: BareNetwork, facts: DrawnRound, seat: int) -> tuple[DrawnRound, Reveal]:
    shown = network.reveal_of(facts, seat, opinions(facts)[seat])
    return network.commit(facts, shown), shown


def test_r02_once_all_have_committed_reveals_begin_and_nobody_can_commit(
    network: BareNetwork,
) -> None:
    facts, reveals = committed(network, drawn(network))
    assert network.now < commits_close_at(ROUNDS, facts.draw.drawn_at)
    facts = network.reveal_on_chain(facts, reveals[0])
    for seat in range(5):
        with reverts("AlreadyCommitted", seat=seat):
            commit_as(network, facts, seat, keccak(b"a better one"))


def test_r02_no_reveal_lands_at_the_deadline(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network))
    deadline = reveals_close_at(ROUNDS, facts.draw.drawn_at)
    network.pass_time_to(deadline - 1)
    facts = network.reveal_on_chain(facts, reveals[0])
    network.pass_blocks(1, 1)
    with reverts("RevealsClosed", closedAt=deadline):
        reveal(network, facts, reveals[1])


@pytest.mark.parametrize("length", [0, 1, 2, 31, 32, 33, 8_192])
def test_r03_the_contract_hashes_what_the_core_hashes(network: BareNetwork, length: int) -> None:
    scores = bytes(i % 251 for i in range(length))
    for round_id, node_id in ((1, 1), (2**256 - 1, 2**32 - 1)):
        salt = keccak(text=f"{round_id}")
        hashed = network.rounds("commitment", round_id, node_id, salt, scores)
        assert hashed == commitment(network.key(round_id), node_id, salt, scores)


def word(number: int) -> bytes:
    return number.to_bytes(WORD)


def moved_scores(call: bytes, scores: bytes) -> bytes:
    """Return a `reveal` call whose scores lie at the end, where the canonical ones still are."""
    head, rest = call[: 4 + 4 * WORD], call[4 + 5 * WORD :]
    offset = len(call) - 4
    return head + word(offset) + rest + word(len(scores)) + scores


def test_r03_scores_moved_within_the_calldata_are_the_scores_that_count(
    network: BareNetwork,
) -> None:
    facts, reveals = committed(network, drawn(network))
    right = reveals[0].scores
    wrong = bytes(len(right))
    proof = commit_proof(facts, 0).as_tuple()

    def call(canonical: bytes, moved: bytes) -> bytes:
        arguments = (facts.key.round_id, 0, proof, reveals[0].salt, canonical)
        return moved_scores(network.rounds.encode("reveal", *arguments), moved)

    with reverts("HistoryMismatch"):
        network.rounds.send(call(right, wrong))
    with reverts("WrongLength", length=len(right) - 1, expected=len(right)):
        network.rounds.send(call(right, right[:-1]))
    with reverts(""):  # the words of the length lie beyond the end of the calldata
        network.rounds.send(call(right, right)[: -len(right) - 1])
    network.rounds.send(call(wrong, right))
    assert network.state(facts.key.round_id).revealed == 1


def test_r03_scores_cut_off_by_the_end_of_the_calldata_are_refused(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network))
    proof = commit_proof(facts, 0).as_tuple()
    call = network.rounds.encode(
        "reveal", facts.key.round_id, 0, proof, reveals[0].salt, reveals[0].scores
    )
    assert call.endswith(bytes(WORD - len(reveals[0].scores)))
    cut = len(call) - WORD + len(reveals[0].scores)
    with reverts(""):
        network.rounds.send(call[: cut - 1])
    # What pads the scores is not part of them.
    network.rounds.send(call[:cut] + b"\xff" * (len(call) - cut))


def test_r03_a_time_with_dirty_bits_is_refused(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network))
    proof = commit_proof(facts, 0).as_tuple()
    call = network.rounds.encode(
        "reveal", facts.key.round_id, 0, proof, reveals[0].salt, reveals[0].scores
    )
    at = call.index(word(facts.commits[0].committed_at))
    with reverts(""):
        network.rounds.send(call[:at] + b"\1" + call[at + 1 :])
    network.rounds.send(call)


def test_r03_bytes_after_a_settlement_change_nothing(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network))
    result = settlement(network, facts, reveals.values())
    call = network.rounds.encode("settle", *result.arguments())
    network.rounds.send(call + b"\xff" * 100)
    assert network.digest(facts.key.round_id) == result.digest(CALLER, network.now)


def test_r03_scores_of_a_settlement_moved_to_the_end_are_hashed_and_counted_alike(
    network: BareNetwork,
) -> None:
    facts, reveals = committed(network, drawn(network))
    result = settlement(network, facts, reveals.values())
    call = network.rounds.encode("settle", *result.arguments())
    scores = b"".join(reveals[seat].scores for seat in range(5))
    start = 4 + int.from_bytes(call[4 + 2 * WORD : 4 + 3 * WORD])  # of `reveals`
    at = start + 2 * WORD  # its third field points to the scores
    assert call[start + int.from_bytes(call[at : at + WORD]) + WORD :].startswith(scores)

    def moved(shown: bytes) -> bytes:
        tail = word(len(shown)) + shown
        return call[:at] + word(len(call) - start) + call[at + WORD :] + tail

    lie = bytearray(scores)
    lie[1] ^= 1
    with reverts("HistoryMismatch"):
        network.rounds.send(moved(bytes(lie)))
    network.rounds.send(moved(scores))
    assert network.digest(facts.key.round_id) == result.digest(CALLER, network.now)


def test_r04_a_reveal_with_a_score_above_one_is_refused(network: BareNetwork) -> None:
    facts = drawn(network)
    rows = opinions(facts)
    for seat in range(5):
        rows[seat, seat] = (ONE + 1, 2**14, 2**15, 2**16 - 1, ONE)[seat]
    facts, reveals = committed(network, facts, rows=rows)
    for seat in range(4):
        with reverts("ScoreAboveOne"):
            reveal(network, facts, reveals[seat])
    reveal(network, facts, reveals[4])


@pytest.mark.parametrize("change", [-2, -1, 1, 2])
def test_r04_a_reveal_of_another_length_is_refused(network: BareNetwork, change: int) -> None:
    facts = drawn(network)
    needed = 2 * facts.opening.items
    scores = bytes(needed + change)
    node_id = facts.draw.panel[0].node_id
    facts = commit_as(network, facts, 0, commitment(facts.key, node_id, bytes(32), scores))
    close_commits(network, facts)
    with reverts("WrongLength", length=needed + change, expected=needed):
        reveal(network, facts, Reveal(0, bytes(32), scores))


def test_r04_only_what_was_committed_is_revealed_and_only_once(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network), [0, 1])
    close_commits(network, facts)
    with reverts("NotCommitted", seat=2):
        proof = commit_proof(facts, 0).as_tuple()
        network.rounds("reveal", facts.key.round_id, 2, proof, reveals[0].salt, reveals[0].scores)
    facts = network.reveal_on_chain(facts, reveals[1])
    with reverts("AlreadyRevealed", seat=1):
        reveal(network, facts, reveals[1])
    facts = network.reveal_on_chain(facts, reveals[0])
    assert network.state(facts.key.round_id).revealed == 0b11


@pytest.mark.parametrize("forged", ["time", "before", "dropped", "added", "exchanged"])
def test_r16_a_forged_proof_of_a_commitment_is_refused(network: BareNetwork, forged: str) -> None:
    facts, reveals = committed(network, drawn(network))
    proof = commit_proof(facts, 1)
    before, after = proof.digest_before, proof.steps_after
    lies = {
        "time": replace(proof, committed_at=proof.committed_at + 1),
        "before": replace(proof, digest_before=keccak(before)),
        "dropped": replace(proof, steps_after=after[:-1]),
        "added": replace(proof, steps_after=(*after, after[-1])),
        "exchanged": replace(proof, steps_after=(after[1], after[0], *after[2:])),
    }
    with reverts("HistoryMismatch", digest=network.digest(facts.key.round_id)):
        network.rounds(
            "reveal",
            facts.key.round_id,
            1,
            lies[forged].as_tuple(),
            reveals[1].salt,
            reveals[1].scores,
        )


def test_r16_scores_nobody_committed_to_cannot_be_proved_by_another_log(
    network: BareNetwork,
) -> None:
    """The step of the draw, or of another seat, cannot pass for the seat's own."""
    facts, reveals = committed(network, drawn(network))
    other = commit_proof(facts, 0)
    first = replay(facts.key, facts.opening, facts.draw, ())
    assert other.digest_before == first
    own_step = commit_step(facts.commits[1])
    assert fold(fold(first, commit_step(facts.commits[0])), own_step) != first
    for proof in (other, CommitProof(0, first, tuple(map(commit_step, facts.commits)))):
        with reverts("HistoryMismatch"):
            network.rounds(
                "reveal",
                facts.key.round_id,
                1,
                proof.as_tuple(),
                reveals[1].salt,
                reveals[1].scores,
            )


def test_r07_a_new_operator_commits_and_the_old_one_does_not(network: BareNetwork) -> None:
    facts = drawn(network)
    seat = facts.draw.panel[0]
    new = account("new operator").address
    network.registry("rotateOperator", seat.node_id, new, sender=seat.owner)
    shown = network.reveal_of(facts, 0, opinions(facts)[0])
    with reverts("NotOperator", nodeId=seat.node_id):
        network.commit(facts, shown)
    hashed = commitment(facts.key, seat.node_id, shown.salt, shown.scores)
    network.rounds("commit", facts.key.round_id, 0, hashed, sender=new)


def test_r07_a_rotation_neither_blocks_a_reveal_nor_allows_another(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network))
    seat = facts.draw.panel[0]
    new = account("new operator").address
    network.registry("rotateOperator", seat.node_id, new, sender=seat.owner)

    proof = commit_proof(facts, 0).as_tuple()
    other = pack(np.zeros(facts.opening.items, dtype=np.uint16))
    with reverts("HistoryMismatch"):
        network.rounds("reveal", facts.key.round_id, 0, proof, reveals[0].salt, other, sender=new)
    network.rounds(
        "reveal",
        facts.key.round_id,
        0,
        proof,
        reveals[0].salt,
        reveals[0].scores,
        sender=STRANGER,
    )
    assert network.state(facts.key.round_id).revealed == 1


def test_r07_a_node_that_left_after_the_draw_still_commits_and_reveals(
    network: BareNetwork,
) -> None:
    facts = drawn(network)
    seat = facts.draw.panel[0]
    network.registry("exit", seat.node_id, sender=seat.owner)
    facts, reveals = committed(network, facts)
    facts = network.reveal_on_chain(facts, reveals[0])
    assert network.state(facts.key.round_id).revealed == 1
