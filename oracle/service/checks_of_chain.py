"""
What `poq check` asks of the chain: node, deployment, registration, and money.

This module decides what counts as wrong there. It reads only.
"""

from __future__ import annotations

import time

from oracle.core.facts import Role
from oracle.service.checking import Concern
from oracle.service.subject import (
    KeyUnfit,
    NodeUnhealthy,
    NotServing,
    Operator,
    Service,
    UnsafeChain,
)

LOCAL_CHAINS = frozenset({1337, 31337})
"""Their clock is what a test makes of it."""
OLDEST_HEAD = 120.0  # seconds
CLOCK_TOLERANCE = 15.0  # seconds
GAS: dict[Service, int] = {"oracle": 1_000_000, "evaluator": 100_000}
"""
Units a round: a draw and the settlement of 1,024 items with 5 seats; a commit and a reveal on
chain. Measured in `docs/gas.md`, rounded up.
"""


def rpc(subject: Operator) -> str:
    """Does the node answer, on the right chain?"""
    started = time.monotonic()
    height = subject.web3.eth.block_number
    taken = 1000 * (time.monotonic() - started)
    return f"Chain {subject.chain_id} at block {height}, answered in {taken:.0f} ms."


def deployment(subject: Operator) -> str:
    """Is the code on the chain the code that the file describes?"""
    from eth_utils import keccak

    for contract in (subject.deployment.registry, subject.deployment.rounds):
        code = bytes(subject.web3.eth.get_code(subject.web3.to_checksum_address(contract.address)))
        if keccak(code) != contract.code_hash:
            found = "other code" if code else "no code"
            raise UnsafeChain(
                f"There is {found} at {contract.address} on chain {subject.chain_id} than the "
                "deployment file says."
            )
    return f"QualityRounds at {subject.deployment.rounds.address} is the code that was deployed."


def sync(subject: Operator) -> str:
    """Does the node know the newest block, and do its clock and ours agree?"""
    if subject.web3.eth.syncing:
        raise NodeUnhealthy("The node is still syncing.")
    age = subject.clock() - subject.web3.eth.get_block("latest")["timestamp"]
    if subject.chain_id in LOCAL_CHAINS:
        return f"The latest block is {age:.0f} s old, on a local chain."
    if age < -CLOCK_TOLERANCE:
        raise NodeUnhealthy(f"The latest block is {-age:.0f} s ahead of this machine's clock.")
    if age > OLDEST_HEAD:
        raise NodeUnhealthy(f"The latest block is {age:.0f} s old.")
    return f"The latest block is {max(age, 0):.0f} s old."


def registered(subject: Operator) -> str | None:
    """Is the node an evaluator that can be drawn?"""
    if subject.service != "evaluator":
        return None
    node = subject.node
    unit = subject.deployment.registry_parameters.stake
    if node.role is not Role.EVALUATOR:
        raise NotServing(f"Node {node.node_id} has the role {node.role.name.lower()} for life.")
    if node.exitable_at:
        raise NotServing(f"Node {node.node_id} has left the registry for good.")
    if node.stake < unit:
        raise NotServing(f"Node {node.node_id} was slashed to {node.stake} of {unit} wei.")
    if node.position == 0:
        raise NotServing(f"Node {node.node_id} is not in the list of active evaluators.")
    return f"Node {node.node_id} is an active evaluator with its full stake."


def operator(subject: Operator) -> str | None:
    """Does this key act for the node, and not own it too?"""
    if subject.service != "evaluator" or subject.address is None:
        return None
    node = subject.node
    if node.operator != subject.address:
        raise KeyUnfit(f"The operator of node {node.node_id} is {node.operator}.")
    if node.owner == node.operator:
        raise Concern(f"Node {node.node_id}'s owner is its operator: the hot key holds the stake.")
    return f"{subject.address} is the operator of node {node.node_id}, and not its owner."


def balance(subject: Operator) -> str | None:
    """Does the balance last for the next rounds?"""
    if subject.address is None:
        return None
    eth = subject.web3.eth
    account = subject.web3.to_checksum_address(subject.address)
    held = int(eth.get_balance(account))
    base_fee = int(eth.get_block("latest").get("baseFeePerGas") or eth.gas_price)
    gas = GAS[subject.service]
    if base_fee > subject.max_fee:
        raise Concern(
            f"Gas costs {base_fee} wei a unit, above the cap of {subject.max_fee}: nothing is sent."
        )
    now, at_worst = held // (gas * max(base_fee, 1)), held // (gas * subject.max_fee)
    if now < subject.rounds:
        raise KeyUnfit(f"{account} has {held} wei: enough for {now} rounds at today's fee.")
    if at_worst < subject.rounds:
        raise Concern(
            f"{account} has {held} wei: {now} rounds at today's fee, {at_worst} at the cap."
        )
    return f"{account} has {held} wei: {at_worst} rounds even at the cap."
