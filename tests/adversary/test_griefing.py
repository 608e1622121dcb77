"""Attacks on money and gas: tokens that call back, wallets that burn, rounds made to be dear."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest
from eth_utils import keccak, to_checksum_address

from deploy.artifacts import load
from oracle.core.facts import Batch, Opening, Role
from tests.contracts.bare_network import BareNetwork
from tests.contracts.harness import ARTIFACTS, Contract
from tests.contracts.parameters import ROUNDS
from tests.contracts.rounds import (
    REQUESTER,
    SETTLER,
    STRANGER,
    WRITERS,
    batches,
    committed,
    drawn,
    opened,
    owner_of,
    reverts,
    settled,
    staffed,
    terms,
)

NODE = WRITERS[0]
DEPOSIT = terms().deposit
LONG_URI = "ipfs://" + "a" * 20_000
MOST_GAS = 2**24
"""What one transaction may use (EIP-7825)."""


class Temper(IntEnum):
    """What a hostile wallet does when it is asked, in the order of the contract."""

    YES = 0
    NO = 1
    BURNING = 2
    SWELLING = 3
    CALLING = 4


@pytest.fixture
def hostile() -> BareNetwork:
    return staffed(token="HostileToken")


def wallet_of(network: BareNetwork, temper: Temper) -> Contract:
    """Let a hostile wallet operate an inference node."""
    wallet = Contract(network.evm, load("HostileWallet", ARTIFACTS), temper)
    network.registry("rotateOperator", NODE, wallet.address, sender=owner_of(NODE))
    return wallet


def open_unsigned(network: BareNetwork, rows: tuple[Batch, ...], uri: str = "uri") -> Any:
    """Open a round with receipts that say nothing."""
    network.pass_blocks(1)
    plain = [batch.as_tuple() for batch in rows]
    receipts = [b""] * len(rows)
    return network.rounds("open", terms().as_tuple(), plain, receipts, uri, sender=REQUESTER)


# R10, R11: money


@pytest.mark.parametrize("contract", ["rounds", "registry"])
def test_r10_tokens_sent_to_a_contract_pay_for_nothing_and_are_not_paid_out(
    network: BareNetwork, contract: str
) -> None:
    """
    The attacker sends tokens to the contract first, so that its balance looks as if a deposit or a
    stake had arrived. Only what arrives during the call counts.
    """
    target = getattr(network, contract)
    network.token("mint", target.address, 10 * DEPOSIT)
    network.token("approve", target.address, 0, sender=REQUESTER)
    with reverts("ERC20InsufficientAllowance"):
        if contract == "rounds":
            opened(network)
        else:
            network.registry("register", Role.EVALUATOR, REQUESTER, sender=REQUESTER)
    for account in (REQUESTER, STRANGER, target.address):
        with reverts("NothingDue"):
            network.rounds("withdraw", account)
    with reverts("NothingDue"):
        network.registry("sweepSlashes")


def test_r11_a_round_whose_deposit_is_on_its_way_can_be_neither_drawn_nor_cancelled(
    hostile: BareNetwork,
) -> None:
    """
    The token calls back in the middle of the deposit, when the round exists and is not paid for:
    to have it refunded, or drawn. Both wait for later blocks; without a deposit there are none.
    """
    hostile.pass_blocks(1)
    opening = Opening(
        REQUESTER, hostile.number + ROUNDS.draw_delay, terms(), batches(hostile), bytes(32)
    )
    for function in ("cancelUndrawn", "draw"):
        call = hostile.rounds.encode(function, 1 + hostile.rounds("roundCount"), opening.as_tuple())
        calls = hostile.token("calls")
        hostile.token("arm", hostile.rounds.address, call)
        hostile.open(terms(), batches(hostile), REQUESTER)
        assert hostile.token("calls") == calls + 1
        assert not hostile.token("succeeded")
    assert hostile.rounds("creditOf", REQUESTER) == 0


# R14: wallets


@pytest.mark.parametrize("temper", [Temper.BURNING, Temper.NO, Temper.CALLING])
def test_r14_a_wallet_that_burns_or_calls_back_stops_only_its_own_batch(
    network: BareNetwork, temper: Temper
) -> None:
    """
    An inference node's operator is a contract that burns all gas, or wants to write, when it is
    asked for its signature. It is asked with a static call, by those who open with its batch:
    rounds with other nodes, and rounds that run, never ask it.
    """
    facts, reveals = committed(network, drawn(network, [3]))
    assert facts.opening.batches[0].node_id == NODE
    wallet_of(network, temper)
    with reverts("InvalidReceipt", nodeId=NODE):
        open_unsigned(network, (network.batch(NODE, 3),))
    settled(network, facts, reveals.values())
    assert network.rounds("creditOf", owner_of(NODE)) > 0
    other = (network.batch(WRITERS[1], 3),)
    network.open(terms(), other, REQUESTER)


def test_r14_a_wallet_with_a_megabyte_to_say_makes_its_own_opening_dearer_and_no_more(
    network: BareNetwork,
) -> None:
    """The answer of a wallet is copied no further than its first word."""
    wallet = wallet_of(network, Temper.SWELLING)
    rows = (network.batch(NODE, 3),)
    open_unsigned(network, rows)
    swollen = network.rounds.gas
    wallet("setTemper", Temper.YES)
    open_unsigned(network, rows)
    # To make a megabyte costs the wallet 2.2 million; to copy it would cost as much again.
    assert swollen - network.rounds.gas < 3_000_000


def test_r14_a_wallet_that_changes_its_mind_takes_nothing_back(network: BareNetwork) -> None:
    """
    The wallet says yes at the opening and no ever after, hoping to undo a round whose scores it
    dislikes. A receipt is asked for once; the node is paid what its outputs are worth.
    """
    wallet = wallet_of(network, Temper.YES)
    rows = (network.batch(NODE, 3),)
    round_id = open_unsigned(network, rows)
    wallet("setTemper", Temper.NO)
    network.pass_blocks(ROUNDS.draw_delay + 1)
    draw_block = network.number - 1
    opening = Opening(REQUESTER, draw_block, terms(), rows, keccak(text="uri"))
    facts, reveals = committed(network, network.draw(round_id, opening))
    settled(network, facts, reveals.values())
    assert network.rounds("creditOf", owner_of(NODE)) > 0


def test_r14_a_receipt_used_again_is_paid_for_again(network: BareNetwork) -> None:
    """
    A requester opens two rounds with one receipt. That is meant to be possible: it says what the
    outputs cost, and whoever has them judged twice pays twice, for another round of its own.
    """
    network.pass_blocks(1)
    before = network.token("balanceOf", REQUESTER)
    rows = batches(network)
    first, _ = network.open(terms(), rows, REQUESTER)
    second, _ = network.open(terms(), rows, REQUESTER)
    assert first != second
    assert network.token("balanceOf", REQUESTER) == before - 2 * DEPOSIT
    assert network.digest(first) != network.digest(second)


# R13: gas


def gas_of_a_round(network: BareNetwork, uri: str) -> tuple[int, int]:
    """Return the gas of the draw and of the settlement of a round with this uri."""
    network.pass_blocks(1)
    rows = batches(network)
    receipts = []
    for batch in rows:
        digest = network.registry(
            "receiptDigest", batch.as_tuple(), REQUESTER, terms().workload_hash
        )
        receipts.append(bytes(network.operator(batch.node_id).unsafe_sign_hash(digest).signature))
    plain = [batch.as_tuple() for batch in rows]
    round_id = network.rounds("open", terms().as_tuple(), plain, receipts, uri, sender=REQUESTER)
    opening = Opening(
        REQUESTER, network.number + ROUNDS.draw_delay, terms(), rows, keccak(text=uri)
    )
    network.pass_blocks(ROUNDS.draw_delay + 1)
    facts = network.draw(round_id, opening)
    drawing = network.rounds.gas
    facts, reveals = committed(network, facts)
    settled(network, facts, reveals.values(), SETTLER)
    return drawing, network.rounds.gas


def test_r13_a_long_uri_is_paid_for_by_its_requester_alone(network: BareNetwork) -> None:
    """
    A requester makes its round dear for whoever draws and settles it, with a uri of 20,000 bytes.
    Later calls bring its hash: they cost what they cost otherwise.
    """
    gas = []
    number, now = network.number, network.now
    for uri in (LONG_URI, ""):
        snapshot = network.evm.snapshot()
        gas.append(gas_of_a_round(network, uri))
        network.evm.revert(snapshot)
        network.number, network.now = number, now
    for long, short in zip(*gas, strict=True):
        assert abs(long - short) < 1_000


def test_r13_a_requester_that_makes_all_seats_work_for_nothing_is_refused(
    network: BareNetwork,
) -> None:
    """The largest panel and many items for no pay: the deployment's least pay stops it."""
    rows = batches(network, [500])
    for budget in (0, 31 * 500 * ROUNDS.least_evaluator_pay - 1):
        with reverts("EvaluatorBudgetTooSmall", budget=budget):
            network.open(terms(panel_size=31, evaluator_budget=budget), rows, REQUESTER)


def test_r13_a_proof_longer_than_there_are_seats_is_paid_for_by_its_sender(
    network: BareNetwork,
) -> None:
    """
    Somebody reveals with a thousand steps after the commit, to make the contract loop. The loop is
    as long as the sender's own calldata, and what it folds to is not the digest.
    """
    facts, reveals = committed(network, drawn(network))
    reveal = reveals[0]
    steps = [bytes(32)] * 1_000
    proof = (facts.commits[0].committed_at, bytes(32), steps)
    with reverts("HistoryMismatch"):
        network.rounds("reveal", facts.key.round_id, 0, proof, reveal.salt, reveal.scores)
    assert network.rounds.gas < MOST_GAS
    assert to_checksum_address(network.rounds.address) == facts.key.contract
