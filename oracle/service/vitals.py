"""
What a daemon asks its node besides the contracts: is it on the right chain, up to date, and is
there gas to pay with.

This module decides which of that stands in the way of work, and tells `health` and `metrics`. It
acts on nothing, but that a node on another chain than before ends the daemon.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from web3.exceptions import Web3Exception

from oracle.chain.agreement import AgreeingProvider
from oracle.chain.follower import Block
from oracle.chain.rpc import WrongChain
from oracle.service.health import Health
from oracle.service.metrics import DaemonMetrics

if TYPE_CHECKING:
    from web3 import Web3

CHECKS = ("chain", "synced", "balance")
"""What `Vitals` reports on."""
CHAIN_ATTEMPTS = 2
"""How often the node may name another chain before it is believed, and the daemon ends."""
ETHER = 10**18


class Vitals:
    """
    The node of `web3`, which has to be on `chain_id`, and the account `address` on it.

    `gas` is what the dearest call of the daemon may use; `clock` is in seconds of unix time.
    """

    def __init__(
        self,
        web3: Web3,
        chain_id: int,
        address: str,
        *,
        gas: int,
        health: Health,
        metrics: DaemonMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._web3 = web3
        self._chain_id = chain_id
        self._address = web3.to_checksum_address(address)
        self.gas = gas
        self._health = health
        self._metrics = metrics
        self._clock = clock

    def check(self, head: Block) -> None:
        """Look at everything and report it; raise `WrongChain` and what web3 raises."""
        # One of a balancer's nodes may be astray for once; asked again, they all are.
        answers = (self._web3.eth.chain_id for _ in range(CHAIN_ATTEMPTS))
        if all((found := answer) != self._chain_id for answer in answers):
            raise WrongChain(self._chain_id, found)
        self._health.report("chain")
        if isinstance(provider := self._web3.provider, AgreeingProvider):
            left_out = sum(bool(node.left_out) for node in provider.health)
            self._metrics.nodes_left_out.set(left_out)
        self._metrics.head_block.set(head.number)
        self._metrics.head_age.set(max(0.0, self._clock() - head.timestamp))
        syncing = self._web3.eth.syncing
        self._health.report("synced", "The node is still syncing." if syncing else "")
        balance = self._web3.eth.get_balance(self._address)
        needed = self.gas * self._web3.eth.gas_price
        self._metrics.balance.set(balance / ETHER)
        self._health.report(
            "balance",
            ""
            if balance >= needed
            else f"{self._address} has {balance} wei, and one call may cost {needed} wei.",
        )

    def next_second(self, head: Block) -> int:
        """Return the second of the block after `head`, as far as the node can tell."""
        try:
            pending = self._web3.eth.get_block("pending")
        except Web3Exception:  # some nodes keep no pending block
            return head.timestamp
        return max(head.timestamp, int(pending.get("timestamp", 0)))
