"""
Receipts: an inference node's signed word for its outputs and their cost.

A round counts a batch only with the receipt of the node's operator over exactly that batch, for
that requester and workload. This module signs; `NodeRegistry.checkReceipts` checks. Section 3 of
docs/protocol.md.
"""

from __future__ import annotations

from eth_account.messages import encode_typed_data

from oracle.chain.deployment import Deployment
from oracle.chain.keys import Signer
from oracle.core.facts import Batch

_TYPES = {
    "Receipt": [
        {"name": "nodeId", "type": "uint32"},
        {"name": "requester", "type": "address"},
        {"name": "workloadHash", "type": "bytes32"},
        {"name": "items", "type": "uint16"},
        {"name": "cost", "type": "uint16"},
        {"name": "outputsHash", "type": "bytes32"},
    ]
}


def sign_receipt(
    signer: Signer, deployment: Deployment, batch: Batch, requester: str, workload_hash: bytes
) -> bytes:
    """Return the operator's 65-byte EIP-712 signature of `batch` for one requester and workload."""
    message = encode_typed_data(
        domain_data={
            "name": "Proof of Quality",
            "version": "1",
            "chainId": deployment.chain_id,
            "verifyingContract": deployment.registry.address,
        },
        message_types=_TYPES,
        message_data={
            "nodeId": batch.node_id,
            "requester": requester,
            "workloadHash": workload_hash,
            "items": batch.items,
            "cost": batch.cost,
            "outputsHash": batch.outputs_hash,
        },
    )
    return bytes(signer.sign_message(message).signature)
