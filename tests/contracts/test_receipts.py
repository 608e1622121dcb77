"""R14: a receipt holds for one batch, requester and registry, and only its operator makes it."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum, auto
from typing import Any

import pytest
from eth_account import Account
from eth_utils import keccak, to_checksum_address

from deploy.artifacts import load
from oracle.chain.deployment import DeployedContract, Deployment
from oracle.chain.keys import Signer
from oracle.chain.receipts import sign_receipt
from oracle.core.facts import Batch, Role, Terms
from tests.contracts.bare_network import CHAIN_ID, BareNetwork, account
from tests.contracts.harness import ARTIFACTS, Contract
from tests.contracts.parameters import REGISTRY, ROUNDS
from tests.contracts.rounds import (
    REQUESTER,
    STRANGER,
    WRITERS,
    batches,
    owner_of,
    reverts,
    terms,
)

HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
ORDER = 2 * HALF_ORDER + 1
TERMS = terms()
NODE = WRITERS[0]


class Temper(IntEnum):
    """How a wallet answers, in the order of the contract."""

    HONEST = 0
    TRUE = auto()
    SHORT = auto()
    DIRTY = auto()
    SILENT = auto()
    WRITING = auto()
    REVERTING = auto()


def deployment(network: BareNetwork) -> Deployment:
    """Return what a node signs its receipts for."""
    registry, rounds = (
        DeployedContract(to_checksum_address(contract.address), bytes(32), b"")
        for contract in (network.registry, network.rounds)
    )
    return Deployment(CHAIN_ID, 0, network.token.address, registry, rounds, REGISTRY, ROUNDS)


def operator(node_id: int) -> Signer:
    """Return the hot key of a node."""
    return Signer(Account.from_key(account(f"operator {node_id}").key))


def sign(network: BareNetwork, batch: Batch, requester: str = REQUESTER) -> bytes:
    """Return the receipt of a batch by its node."""
    signer = operator(batch.node_id)
    return sign_receipt(signer, deployment(network), batch, requester, TERMS.workload_hash)


def open_with(
    network: BareNetwork,
    rows: tuple[Batch, ...],
    receipts: list[bytes],
    sender: str = REQUESTER,
    agreed: Terms = TERMS,
) -> Any:
    """Open a round with these receipts, whatever they are."""
    plain = [batch.as_tuple() for batch in rows]
    return network.rounds("open", agreed.as_tuple(), plain, receipts, "uri", sender=sender)


def malleated(signature: bytes) -> bytes:
    """Return the other signature of the same message by the same key."""
    r, s, v = signature[:32], int.from_bytes(signature[32:64]), signature[64]
    return r + (ORDER - s).to_bytes(32) + bytes([55 - v])


def test_r14_the_receipts_of_the_right_operators_open_a_round(network: BareNetwork) -> None:
    rows = batches(network)
    assert open_with(network, rows, [sign(network, batch) for batch in rows]) == 1


@pytest.mark.parametrize(
    "changed",
    ["chain", "registry", "requester", "workload", "node", "items", "cost", "outputs"],
)
def test_r14_a_receipt_for_anything_else_is_refused(network: BareNetwork, changed: str) -> None:
    [batch] = batches(network, [3])
    here = deployment(network)
    elsewhere = replace(here.registry, address=here.rounds.address)
    there, other, requester, workload = here, batch, REQUESTER, TERMS.workload_hash
    match changed:
        case "chain":
            there = replace(here, chain_id=CHAIN_ID + 1)
        case "registry":
            there = replace(here, registry=elsewhere)
        case "requester":
            requester = STRANGER
        case "workload":
            workload = keccak(workload)
        case "node":
            other = replace(batch, node_id=batch.node_id + 1)
        case "items":
            other = replace(batch, items=batch.items + 1)
        case "cost":
            other = replace(batch, cost=batch.cost - 1)
        case "outputs":
            other = replace(batch, outputs_hash=keccak(batch.outputs_hash))
    receipt = sign_receipt(operator(batch.node_id), there, other, requester, workload)
    with reverts("InvalidReceipt", nodeId=batch.node_id):
        open_with(network, (batch,), [receipt])


def test_r14_another_requester_cannot_use_a_receipt(network: BareNetwork) -> None:
    [batch] = batches(network, [3])
    receipt = sign(network, batch)
    network.fund(STRANGER)
    with reverts("InvalidReceipt", nodeId=batch.node_id):
        open_with(network, (batch,), [receipt], sender=STRANGER)
    assert open_with(network, (batch,), [receipt]) == 1


def test_r14_a_malleated_signature_is_refused(network: BareNetwork) -> None:
    [batch] = batches(network, [3])
    receipt = sign(network, batch)
    twin = malleated(receipt)
    digest = network.registry("receiptDigest", batch.as_tuple(), REQUESTER, TERMS.workload_hash)
    # The curve accepts both; the registry only the one with the lower s.
    for signature in (receipt, twin):
        assert recovered(digest, signature) == operator(batch.node_id).address
    with reverts("InvalidReceipt", nodeId=batch.node_id):
        open_with(network, (batch,), [twin])


def recovered(digest: bytes, signature: bytes) -> str:
    """Return who made a signature, by an implementation that is not the contract's."""
    return str(Account._recover_hash(digest, signature=signature))


@pytest.mark.parametrize("shape", ["empty", "zeros", "short", "long", "compact", "parity"])
def test_r14_a_signature_of_another_shape_is_refused(network: BareNetwork, shape: str) -> None:
    [batch] = batches(network, [3])
    right = sign(network, batch)
    compact = int.from_bytes(right[32:64]) | (right[64] - 27) << 255
    wrong = {
        "empty": b"",
        "zeros": bytes(65),
        "short": right[:64],
        "long": right + b"\0",
        "compact": right[:32] + compact.to_bytes(32),
        "parity": right[:64] + bytes([right[64] - 27]),
    }
    with reverts("InvalidReceipt", nodeId=batch.node_id):
        open_with(network, (batch,), [wrong[shape]])


def test_r14_nobody_but_the_current_operator_signs(network: BareNetwork) -> None:
    [batch] = batches(network, [3])
    old = sign(network, batch)
    by_owner = sign_receipt(
        Signer(account(f"owner {batch.node_id}")),
        deployment(network),
        batch,
        REQUESTER,
        TERMS.workload_hash,
    )
    with reverts("InvalidReceipt"):
        open_with(network, (batch,), [by_owner])
    network.registry("rotateOperator", batch.node_id, STRANGER, sender=batch.owner)
    with reverts("InvalidReceipt"):
        open_with(network, (batch,), [old])
    new = sign_receipt(
        Signer(account("stranger")), deployment(network), batch, REQUESTER, TERMS.workload_hash
    )
    assert open_with(network, (batch,), [new]) == 1


def test_r14_every_batch_has_a_receipt_of_its_own_in_its_place(network: BareNetwork) -> None:
    rows = batches(network)
    first, second = (sign(network, batch) for batch in rows)
    with reverts("InvalidReceipt", nodeId=rows[0].node_id):
        open_with(network, rows, [second, first])
    with reverts("InvalidReceipt", nodeId=rows[1].node_id):
        open_with(network, rows, [first, first])
    for receipts in ([], [first], [first, second, second]):
        with reverts("ReceiptCountMismatch", receipts=len(receipts), batches=2):
            open_with(network, rows, receipts)


def test_r14_a_batch_belongs_to_an_inference_node_that_has_not_left(network: BareNetwork) -> None:
    [batch] = batches(network, [3])
    impostors = [
        replace(batch, owner=STRANGER),
        replace(batch, node_id=1, owner=owner_of(1)),
        replace(batch, node_id=99),
        replace(batch, node_id=0, owner="0x" + 40 * "0"),
    ]
    for impostor in impostors:
        receipt = sign(network, impostor)
        with reverts("NotInferenceNode", nodeId=impostor.node_id):
            open_with(network, (impostor,), [receipt])
    receipt = sign(network, batch)
    network.registry("exit", batch.node_id, sender=batch.owner)
    with reverts("NotInferenceNode", nodeId=batch.node_id):
        open_with(network, (batch,), [receipt])


# Operators that are contracts


def wallet_operator(network: BareNetwork, temper: Temper) -> Batch:
    """Return a batch of a node whose operator is a wallet with the key of its former operator."""
    wallet = Contract(network.evm, load("Wallet", ARTIFACTS), operator(NODE).address, temper)
    network.registry("rotateOperator", NODE, wallet.address, sender=owner_of(NODE))
    return network.batch(NODE, 3)


def test_r14_a_wallet_signs_by_its_key(network: BareNetwork) -> None:
    batch = wallet_operator(network, Temper.HONEST)
    assert open_with(network, (batch,), [sign(network, batch)]) == 1


def test_r14_a_wallet_refuses_what_its_key_did_not_sign(network: BareNetwork) -> None:
    batch = wallet_operator(network, Temper.HONEST)
    for wrong in (b"", sign(network, replace(batch, cost=1)), sign(network, batch, STRANGER)):
        with reverts("InvalidReceipt", nodeId=NODE):
            open_with(network, (batch,), [wrong])


@pytest.mark.parametrize("temper", [temper for temper in Temper if temper is not Temper.HONEST])
def test_r14_a_wallet_with_any_other_answer_signs_nothing(
    network: BareNetwork, temper: Temper
) -> None:
    batch = wallet_operator(network, temper)
    with reverts("InvalidReceipt", nodeId=NODE):
        open_with(network, (batch,), [sign(network, batch)])


def test_r14_an_operator_without_code_or_key_signs_nothing(network: BareNetwork) -> None:
    # What ecrecover answers for a broken signature is zero, which can be no operator.
    network.fund(STRANGER)
    with reverts("ZeroOperator"):
        network.registry("register", Role.INFERENCE, "0x" + 40 * "0", sender=STRANGER)
    with reverts("ZeroOperator"):
        network.registry("rotateOperator", NODE, "0x" + 40 * "0", sender=owner_of(NODE))
