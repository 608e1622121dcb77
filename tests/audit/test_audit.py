"""A true log passes; a log that was tampered with, in any way, does not."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from deploy.artifacts import load
from oracle.audit.replay import replay
from oracle.audit.report import Report
from oracle.chain.logs import EventDecoder, Log
from tests.audit.conftest import Recorded

RANDOM_TAMPERINGS = 400
KINDS = (
    "NodeRegistered",
    "OperatorRotated",
    "StakeToppedUp",
    "NodeExited",
    "StakeWithdrawn",
    "Slashed",
    "TrustUpdated",
    "SlashesSwept",
    "RoundOpened",
    "PanelDrawn",
    "ScoresCommitted",
    "ScoresRevealed",
    "RoundSettled",
    "RewardCredited",
    "RoundCancelled",
    "Withdrawn",
    "Transfer",
)


def audit(recorded: Recorded, logs: Sequence[Log]) -> Report:
    return replay(recorded.deployment, logs, recorded.reader)


def places(recorded: Recorded) -> dict[str, list[int]]:
    """Where in the recorded logs each kind of event is."""
    decoders = {
        recorded.deployment.registry.address: EventDecoder(load("NodeRegistry").abi),
        recorded.deployment.rounds.address: EventDecoder(load("QualityRounds").abi),
    }
    transfer = EventDecoder(
        [
            {
                "type": "event",
                "name": "Transfer",
                "inputs": [
                    {"name": "from", "type": "address", "indexed": True},
                    {"name": "to", "type": "address", "indexed": True},
                    {"name": "value", "type": "uint256", "indexed": False},
                ],
            }
        ]
    )
    contracts = {address[2:].lower() for address in decoders}
    found: dict[str, list[int]] = {}
    for index, log in enumerate(recorded.logs):
        event = decoders.get(log.address, transfer).decode(log)
        if event is None:
            continue
        if event.name == "Transfer" and not any(
            topic[12:].hex() in contracts for topic in log.topics[1:]
        ):
            continue  # a transfer between others
        found.setdefault(event.name, []).append(index)
    return found


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


def test_a_true_log_has_no_mismatch_and_every_kind_of_event(recorded: Recorded) -> None:
    report = audit(recorded, recorded.logs)
    assert report.mismatches == ()
    assert set(places(recorded)) == set(KINDS)
    assert report.comparisons > 1_000


def test_without_a_chain_at_hand_a_true_log_has_no_mismatch_either(recorded: Recorded) -> None:
    assert replay(recorded.deployment, recorded.logs, None).mismatches == ()


def test_the_same_log_gives_the_same_bytes_with_amounts_as_strings(recorded: Recorded) -> None:
    first, second = (json.dumps(audit(recorded, recorded.logs).to_json()) for _ in range(2))
    assert first == second
    assert all(isinstance(row["amount"], str) for row in json.loads(first)["payouts"])


def test_every_round_pays_out_exactly_its_deposit(recorded: Recorded) -> None:
    report = audit(recorded, recorded.logs)
    for summary in report.rounds:
        if summary.ended_in is not None:
            paid = sum(each.amount for each in report.payouts if each.round == summary.round)
            assert paid == summary.deposit


@pytest.mark.parametrize("kind", KINDS)
def test_r16_a_dropped_log_is_noticed(recorded: Recorded, kind: str) -> None:
    for index in places(recorded)[kind]:
        logs = recorded.logs[:index] + recorded.logs[index + 1 :]
        assert audit(recorded, logs).mismatches, recorded.logs[index]


@pytest.mark.parametrize("kind", KINDS)
def test_r16_a_repeated_log_is_noticed(recorded: Recorded, kind: str) -> None:
    for index in places(recorded)[kind][:5]:
        logs = recorded.logs[: index + 1] + recorded.logs[index:]
        assert audit(recorded, logs).mismatches


@pytest.mark.parametrize("kind", KINDS)
def test_r16_an_altered_log_is_noticed_in_every_word(recorded: Recorded, kind: str) -> None:
    index = places(recorded)[kind][-1]
    log = recorded.logs[index]
    for word in range(bits_of(log) // 256):
        for bit in (0, 131, 255):
            logs = list(recorded.logs)
            logs[index] = flipped(log, 256 * word + bit)
            assert audit(recorded, logs).mismatches or _means_the_same(logs[index], log)


def test_r16_exchanged_logs_are_noticed(recorded: Recorded) -> None:
    relevant = sorted(index for indices in places(recorded).values() for index in indices)
    for index in relevant[:-1:3]:
        logs = list(recorded.logs)
        logs[index], logs[index + 1] = logs[index + 1], logs[index]
        assert audit(recorded, logs).mismatches


def test_r16_random_tampering_is_noticed(recorded: Recorded) -> None:
    rng = random.Random(16)
    relevant = [index for indices in places(recorded).values() for index in indices]
    for _ in range(RANDOM_TAMPERINGS):
        index = rng.choice(relevant)
        log = recorded.logs[index]
        logs = list(recorded.logs)
        bit = rng.randrange(bits_of(log))
        logs[index] = flipped(log, bit)
        assert audit(recorded, logs).mismatches or _means_the_same(logs[index], log), (bit, log)


def test_a_wrong_payout_is_named_with_round_node_amounts_and_transaction(
    recorded: Recorded,
) -> None:
    index = places(recorded)["RewardCredited"][0]
    log = recorded.logs[index]
    amount = int.from_bytes(log.data[-32:])
    logs = list(recorded.logs)
    logs[index] = replace(log, data=log.data[:-32] + (amount + 1).to_bytes(32))
    [mismatch] = audit(recorded, logs).mismatches
    assert mismatch.field == "RewardCredited.amount"
    assert (mismatch.round, mismatch.node) == (1, int.from_bytes(log.topics[2]))
    assert (mismatch.expected, mismatch.found) == (str(amount), str(amount + 1))
    assert mismatch.transaction == "0x" + log.transaction_hash.hex()


def test_a_wrong_consensus_in_a_log_is_named(recorded: Recorded) -> None:
    index = places(recorded)["RoundSettled"][0]
    log = recorded.logs[index]
    decoder = EventDecoder(load("QualityRounds").abi)
    event = decoder.decode(log)
    assert event is not None
    consensus = event.args["consensus"]
    wrong = bytes([consensus[0], consensus[1] ^ 1]) + consensus[2:]
    logs = list(recorded.logs)
    logs[index] = replace(log, data=log.data.replace(consensus, wrong))
    fields = {mismatch.field for mismatch in audit(recorded, logs).mismatches}
    assert fields == {"RoundSettled.consensus"}


def _means_the_same(altered: Log, log: Log) -> bool:
    """Whether a flipped bit lies in padding that ABI decoding passes over."""
    for name in ("NodeRegistry", "QualityRounds"):
        decoder = EventDecoder(load(name).abi)
        event = decoder.decode(log)
        if event is not None:
            try:
                same = decoder.decode(altered)
            except Exception:
                return False
            return same is not None and same.args == event.args
    return False
