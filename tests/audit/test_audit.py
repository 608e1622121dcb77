"""A true log passes; one that was tampered with, in any way, does not, and the audit says where."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from eth_abi import encode
from eth_utils.abi import collapse_if_tuple
from rich.console import Console

from deploy.artifacts import load
from oracle.audit.findings import Mismatch
from oracle.audit.replay import replay
from oracle.audit.report import Report
from oracle.chain.logs import Event, EventDecoder, Log
from oracle.core.facts import unpack_panel
from tests.audit.conftest import Recorded

RANDOM_TAMPERINGS = 200
REGISTRY_KINDS = (
    "NodeRegistered",
    "OperatorRotated",
    "StakeToppedUp",
    "NodeExited",
    "StakeWithdrawn",
    "Slashed",
    "TrustUpdated",
    "SlashesSwept",
)
ROUNDS_KINDS = (
    "RoundOpened",
    "PanelDrawn",
    "ScoresCommitted",
    "ScoresRevealed",
    "RoundSettled",
    "RewardCredited",
    "RoundCancelled",
    "Withdrawn",
)
KINDS = (*REGISTRY_KINDS, *ROUNDS_KINDS, "Transfer")
ELSEWHERE = "0x" + "11" * 20

POSITIONS: dict[str, Callable[[Log], Log]] = {
    "before the deployment": lambda log: replace(log, block_number=0),
    "in an earlier block": lambda log: replace(log, block_number=log.block_number - 1),
    "in a block that is not there yet": lambda log: replace(log, block_number=10**6),
    "in a block of another hash": lambda log: replace(log, block_hash=bytes(32)),
    "in a transaction of another hash": lambda log: replace(log, transaction_hash=bytes(32)),
    "of another contract": lambda log: replace(log, address=ELSEWHERE),
    "with no topic": lambda log: replace(log, topics=()),
    "with a topic fewer": lambda log: replace(log, topics=log.topics[:-1]),
    "with a topic more": lambda log: replace(log, topics=(*log.topics, bytes(32))),
    "of an unknown kind": lambda log: replace(log, topics=(bytes(32), *log.topics[1:])),
    "with a word more": lambda log: replace(log, data=log.data + bytes(32)),
    "with data of ones": lambda log: replace(log, data=b"\xff" * max(32, len(log.data))),
}


def audit(recorded: Recorded, logs: Sequence[Log]) -> Report:
    return replay(recorded.deployment, logs, recorded.reader)


def mismatches_with(recorded: Recorded, index: int, log: Log) -> tuple[Mismatch, ...]:
    """What the audit says when this log stands in another's place."""
    logs = list(recorded.logs)
    logs[index] = log
    return audit(recorded, logs).mismatches


def places(recorded: Recorded) -> dict[str, list[int]]:
    """Where in the recorded logs each kind of event is, gifts apart from other transfers."""
    registry, rounds = load("NodeRegistry").abi, load("QualityRounds").abi
    decoders = {
        recorded.deployment.registry.address: EventDecoder(registry),
        recorded.deployment.rounds.address: EventDecoder(rounds),
    }
    called = {log.transaction_hash for log in recorded.logs if log.address in decoders}
    found: dict[str, list[int]] = {}
    for index, log in enumerate(recorded.logs):
        if log.address in decoders:
            event = decoders[log.address].decode(log)
            assert event is not None
            found.setdefault(event.name, []).append(index)
        else:
            kind = "Transfer" if log.transaction_hash in called else "gift"
            found.setdefault(kind, []).append(index)
    return found


def decoded(recorded: Recorded, kind: str, which: int = 0) -> tuple[int, Event]:
    """One log of a kind, and where it is."""
    index = places(recorded)[kind][which]
    contract = "NodeRegistry" if kind in REGISTRY_KINDS else "QualityRounds"
    event = EventDecoder(load(contract).abi).decode(recorded.logs[index])
    assert event is not None
    return index, event


def rewritten(event: Event, **changes: Any) -> Log:
    """The log with other values in fields that are not indexed, encoded as a contract would."""
    contract = "NodeRegistry" if event.name in REGISTRY_KINDS else "QualityRounds"
    [entry] = [each for each in load(contract).abi if each.get("name") == event.name]
    plain = [field for field in entry["inputs"] if not field["indexed"]]
    assert set(changes) <= {field["name"] for field in plain}
    values = [(event.args | changes)[field["name"]] for field in plain]
    return replace(event.log, data=encode([collapse_if_tuple(field) for field in plain], values))


def flipped(log: Log, bit: int) -> Log:
    """The log with one bit of its topics or data the other way round; its kind stays."""
    topics, bits = list(log.topics), 8 * 32 * (len(log.topics) - 1)
    if bit < bits:
        word, at = divmod(bit, 256)
        value = int.from_bytes(topics[word + 1]) ^ 1 << at
        topics[word + 1] = value.to_bytes(32)
        return replace(log, topics=tuple(topics))
    data = bytearray(log.data)
    data[(bit - bits) // 8] ^= 1 << bit % 8
    return replace(log, data=bytes(data))


def bits_of(log: Log) -> int:
    return 8 * (32 * (len(log.topics) - 1) + len(log.data))


@pytest.mark.parametrize("kind", [*KINDS, "gift"])
def test_r16_a_dropped_log_is_noticed(recorded: Recorded, kind: str) -> None:
    for index in places(recorded)[kind]:
        logs = recorded.logs[:index] + recorded.logs[index + 1 :]
        assert audit(recorded, logs).mismatches, recorded.logs[index]


@pytest.mark.parametrize("kind", [*KINDS, "gift"])
def test_r16_a_repeated_log_is_noticed(recorded: Recorded, kind: str) -> None:
    for index in places(recorded)[kind][:3]:
        logs = recorded.logs[: index + 1] + recorded.logs[index:]
        assert audit(recorded, logs).mismatches


@pytest.mark.parametrize("kind", [each for each in KINDS if each != "OperatorRotated"])
def test_r16_a_forged_log_is_noticed_where_one_could_be(recorded: Recorded, kind: str) -> None:
    log = recorded.logs[places(recorded)[kind][-1]]
    end = max(
        index
        for index, other in enumerate(recorded.logs)
        if other.transaction_hash == log.transaction_hash
    )
    forged = replace(log, log_index=recorded.logs[end].log_index + 1)
    logs = [*recorded.logs[: end + 1], forged, *recorded.logs[end + 1 :]]
    found = audit(recorded, logs).mismatches
    assert found
    assert "order of the logs" not in {mismatch.field for mismatch in found}


@pytest.mark.parametrize("kind", KINDS)
def test_r16_an_altered_log_is_noticed_in_every_word(recorded: Recorded, kind: str) -> None:
    index = places(recorded)[kind][-1]
    log = recorded.logs[index]
    for word in range(bits_of(log) // 256):
        for bit in (0, 255):
            assert mismatches_with(recorded, index, flipped(log, 256 * word + bit)), (word, bit)


@pytest.mark.parametrize("name", POSITIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_r16_a_log_is_noticed(recorded: Recorded, kind: str, name: str) -> None:
    index = places(recorded)[kind][0]
    assert mismatches_with(recorded, index, POSITIONS[name](recorded.logs[index]))


def test_r16_exchanged_logs_are_noticed(recorded: Recorded) -> None:
    for index in range(0, len(recorded.logs) - 1, 3):
        logs = list(recorded.logs)
        logs[index], logs[index + 1] = logs[index + 1], logs[index]
        assert audit(recorded, logs).mismatches


def test_r16_exchanged_contents_are_noticed(recorded: Recorded) -> None:
    pairs = [
        (index, index + 1)
        for index in range(len(recorded.logs) - 1)
        if recorded.logs[index].transaction_hash == recorded.logs[index + 1].transaction_hash
        and recorded.logs[index].address == recorded.logs[index + 1].address
    ]
    assert pairs
    for first, second in pairs:
        logs = list(recorded.logs)
        for at, source in ((first, second), (second, first)):
            other = recorded.logs[source]
            logs[at] = replace(recorded.logs[at], topics=other.topics, data=other.data)
        assert audit(recorded, logs).mismatches


def test_r16_random_tampering_is_noticed(recorded: Recorded) -> None:
    rng = random.Random(16)
    found = places(recorded)
    relevant = [index for kind in KINDS for index in found[kind]]
    for _ in range(RANDOM_TAMPERINGS):
        index = rng.choice(relevant)
        log = recorded.logs[index]
        bit = rng.randrange(bits_of(log))
        assert mismatches_with(recorded, index, flipped(log, bit)), (bit, log)


def test_a_rotation_that_another_one_followed_is_missed_when_it_is_gone(
    recorded: Recorded,
) -> None:
    index, event = decoded(recorded, "OperatorRotated")
    logs = recorded.logs[:index] + recorded.logs[index + 1 :]
    [mismatch] = audit(recorded, logs).mismatches
    assert mismatch.field == "operatorOf before"
    assert (mismatch.node, mismatch.expected) == (event.args["nodeId"], event.args["operator"])


def test_a_wrong_payout_is_named_with_round_node_amounts_and_transaction(
    recorded: Recorded,
) -> None:
    index, event = decoded(recorded, "RewardCredited")
    amount = event.args["amount"]
    found = mismatches_with(recorded, index, rewritten(event, amount=amount + 1))
    assert found == (
        Mismatch(
            round=1,
            seat=None,
            node=event.args["nodeId"],
            field="RewardCredited.amount",
            expected=str(amount),
            found=str(amount + 1),
            transaction="0x" + event.log.transaction_hash.hex(),
        ),
    )
    assert str(found[0]) == (
        f"round 1, node {event.args['nodeId']}: RewardCredited.amount is {amount + 1} instead of "
        f"{amount} in transaction 0x{event.log.transaction_hash.hex()}."
    )


def test_a_missing_payout_is_named_alone(recorded: Recorded) -> None:
    index, event = decoded(recorded, "RewardCredited", 1)
    logs = recorded.logs[:index] + recorded.logs[index + 1 :]
    [mismatch] = audit(recorded, logs).mismatches
    assert (mismatch.round, mismatch.node) == (1, event.args["nodeId"])
    assert (mismatch.field, mismatch.found) == ("RewardCredited", "nothing")
    assert f"amount {event.args['amount']}" in mismatch.expected


def test_a_wrong_consensus_is_named_with_its_item(recorded: Recorded) -> None:
    index, event = decoded(recorded, "RoundSettled")
    consensus = event.args["consensus"]
    right = int.from_bytes(consensus[6:8])
    wrong = consensus[:6] + (right + 1).to_bytes(2) + consensus[8:]
    [mismatch] = mismatches_with(recorded, index, rewritten(event, consensus=wrong))
    assert (mismatch.round, mismatch.field) == (1, "RoundSettled.consensus[3]")
    assert (mismatch.expected, mismatch.found) == (str(right), str(right + 1))
    assert mismatch.transaction == "0x" + event.log.transaction_hash.hex()


def test_a_wrong_deviation_is_named_with_its_seat_and_node(recorded: Recorded) -> None:
    _, drawn = decoded(recorded, "PanelDrawn")
    index, event = decoded(recorded, "RoundSettled")
    packed = event.args["deviations"]
    right = int.from_bytes(packed[4:6])
    wrong = packed[:4] + (right + 1).to_bytes(2) + packed[6:]
    [mismatch] = mismatches_with(recorded, index, rewritten(event, deviations=wrong))
    node = unpack_panel(drawn.args["panel"])[2].node_id
    assert (mismatch.round, mismatch.seat, mismatch.node) == (1, 2, node)
    assert (mismatch.expected, mismatch.found) == (str(right), str(right + 1))


def test_a_score_that_its_seat_did_not_commit_to_is_named_with_the_seat(
    recorded: Recorded,
) -> None:
    index, event = decoded(recorded, "RoundSettled")
    row = len(event.args["consensus"])
    scores = bytearray(event.args["scores"])
    scores[row + 1] ^= 1
    found = mismatches_with(recorded, index, rewritten(event, scores=bytes(scores)))
    assert (found[0].round, found[0].seat, found[0].field) == (1, 1, "RoundSettled")
    assert "committed to" in found[0].found


def test_a_wrong_trust_is_named_with_its_node(recorded: Recorded) -> None:
    index, event = decoded(recorded, "TrustUpdated", 1)
    trusts = event.args["trusts"]
    node, right = int.from_bytes(trusts[8:12]), int.from_bytes(trusts[12:16])
    wrong = trusts[:12] + (right - 1).to_bytes(4) + trusts[16:]
    [mismatch] = mismatches_with(recorded, index, rewritten(event, trusts=wrong))
    assert (mismatch.round, mismatch.node) == (event.args["roundId"], node)
    assert (mismatch.expected, mismatch.found) == (str(right), str(right - 1))


def test_a_panel_that_was_not_drawn_is_named_with_its_seat(recorded: Recorded) -> None:
    index, event = decoded(recorded, "PanelDrawn", -1)
    packed = event.args["panel"]
    present = {seat.node_id for seat in unpack_panel(packed)}
    other = next(node for node in range(1, 8) if node not in present)
    wrong = other.to_bytes(4) + packed[4:]
    found = mismatches_with(recorded, index, rewritten(event, panel=wrong))
    assert (found[0].seat, found[0].field) == (0, "PanelDrawn.panel.node_id")
    assert (found[0].expected, found[0].found) == (
        str(int.from_bytes(packed[:4])),
        str(other),
    )


def test_a_seed_that_is_not_of_the_block_is_named(recorded: Recorded) -> None:
    index, event = decoded(recorded, "PanelDrawn")
    found = mismatches_with(recorded, index, rewritten(event, seed=bytes(32)))
    assert (found[0].round, found[0].field) == (1, "PanelDrawn.seed")
    assert found[0].expected == "0x" + event.args["seed"].hex()


def test_a_slash_of_another_amount_is_named_with_its_node(recorded: Recorded) -> None:
    index, event = decoded(recorded, "Slashed")
    amount = event.args["amount"]
    [mismatch] = mismatches_with(recorded, index, rewritten(event, amount=amount - 1))
    assert (mismatch.round, mismatch.node) == (event.args["roundId"], event.args["nodeId"])
    assert (mismatch.field, mismatch.expected) == ("Slashed.amount", str(amount))


def test_without_a_chain_wrong_payouts_and_consensus_are_named_all_the_same(
    recorded: Recorded,
) -> None:
    for kind, changes in (
        ("RewardCredited", {"amount": 7}),
        ("RoundSettled", {"consensus": bytes(40)}),
        ("TrustUpdated", {"trusts": bytes(32)}),
        ("Slashed", {"amount": 7}),
    ):
        index, event = decoded(recorded, kind)
        logs = list(recorded.logs)
        logs[index] = rewritten(event, **changes)
        found = replay(recorded.deployment, logs, None).mismatches
        assert {mismatch.field.split(".")[0] for mismatch in found} == {kind}
        assert {mismatch.round for mismatch in found} == {event.args["roundId"]}


def test_a_gift_that_the_chain_does_not_know_is_noticed(recorded: Recorded) -> None:
    gift = recorded.logs[places(recorded)["gift"][0]]
    logs = [*recorded.logs, replace(gift, block_number=recorded.reader.block)]
    fields = {mismatch.field for mismatch in audit(recorded, logs).mismatches}
    assert "balance of NodeRegistry" in fields


def test_a_true_log_has_no_mismatch_and_every_kind_of_event(recorded: Recorded) -> None:
    report = audit(recorded, recorded.logs)
    assert report.mismatches == ()
    assert set(places(recorded)) == {*KINDS, "gift"}
    assert len({trust for node in report.nodes for trust in node.trusts.values()}) > 2
    assert report.comparisons > 1_000


def test_without_a_chain_at_hand_a_true_log_has_no_mismatch_either(recorded: Recorded) -> None:
    report = replay(recorded.deployment, recorded.logs, None)
    assert report.mismatches == ()
    assert not report.on_chain


def test_auditing_a_node_is_replaying_its_logs_and_reports_each_block(recorded: Recorded) -> None:
    # The fetcher compares transactions with those of the blocks, so that the replay need not.
    replayed = audit(recorded, recorded.logs)
    assert replayed.comparisons == recorded.report.comparisons + len(recorded.logs)
    assert replace(recorded.report, comparisons=replayed.comparisons) == replayed
    assert recorded.report.on_chain
    assert recorded.report.last_block == recorded.reader.block
    assert recorded.progress[-1] == (recorded.logs[-1].block_number, len(recorded.logs))
    assert list(recorded.progress) == sorted(recorded.progress)


def test_the_same_log_gives_the_same_bytes_with_amounts_as_strings(recorded: Recorded) -> None:
    first, second = (json.dumps(audit(recorded, recorded.logs).to_json()) for _ in range(2))
    assert first == second
    data = json.loads(first)
    amounts = [row["amount"] for row in data["payouts"]]
    amounts += [row[name] for row in data["nodeSummaries"] for name in ("stake", "earned")]
    assert all(isinstance(amount, str) for amount in amounts)


def test_every_round_pays_out_exactly_its_deposit(recorded: Recorded) -> None:
    report = audit(recorded, recorded.logs)
    for summary in report.rounds:
        if summary.ended_in is not None:
            paid = sum(each.amount for each in report.payouts if each.round == summary.round)
            assert paid == summary.deposit


def test_people_see_every_node_and_round_and_the_verdict(recorded: Recorded) -> None:
    index, event = decoded(recorded, "RewardCredited")
    logs = list(recorded.logs)
    logs[index] = rewritten(event, amount=7)
    for report, verdict in (
        (recorded.report, "nothing is wrong"),
        (audit(recorded, logs), "RewardCredited.amount is 7 instead of"),
    ):
        text = StringIO()
        report.show(Console(file=text, width=160))
        assert verdict in text.getvalue()
        assert all(name in text.getvalue() for name in ("trust, qa", "cancelled", "drawn"))
