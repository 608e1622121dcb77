"""
What `poq check` is told: the options of a service, and what they lead to.

This module decides how the parts of an operator's set-up are found, each when it is first asked
for, and the names of what can be wrong with them. It holds no secret: a key is asked for its
address and forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from oracle.chain.deployment import Deployment, read_deployment
from oracle.chain.state import Node, State
from oracle.core.facts import Role

if TYPE_CHECKING:
    from web3 import Web3

    from oracle.chain.keys import Signer

Service = Literal["oracle", "evaluator"]


class UnsafeChain(Exception):
    """The chain is not the one that the deployment file describes."""


class NodeUnhealthy(Exception):
    """The node answers, but what it says is not the chain as it is now; or an oracle does not."""


class KeyUnfit(Exception):
    """The key can be used, but not for this, or by too many."""


class NotServing(Exception):
    """The registry does not let this node take part."""


class SettingUnusable(Exception):
    """Something on this machine cannot be used as it was named."""


class TransactionsStuck(Exception):
    """Transactions wait for longer than they should."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """
    What is to be checked. What is `None` or empty is not part of this service.

    `signer` opens the key; `secrets` are the files that only the operator may read. `max_fee` is
    the hard cap, in wei a unit of gas; `rounds` is how many the balance should last for.
    """

    service: Service
    connect: Callable[[], Web3]
    deployments: Path
    signer: Callable[[], Signer] | None = None
    secrets: tuple[Path, ...] = ()
    node_id: int | None = None
    max_fee: int
    rounds: int
    data_dir: Path | None = None
    evaluator: str | None = None
    calibrations: tuple[Path, ...] = ()
    oracle_urls: tuple[str, ...] = ()
    clock: Callable[[], float] = time.time

    @cached_property
    def web3(self) -> Web3:
        """The node, on the chain that was asked for."""
        return self.connect()

    @cached_property
    def chain_id(self) -> int:
        """The chain that the node is on."""
        return int(self.web3.eth.chain_id)

    @cached_property
    def deployment(self) -> Deployment:
        """What the file says is on this chain."""
        return read_deployment(self.deployments, self.chain_id)

    @cached_property
    def address(self) -> str | None:
        """The account of the key."""
        return None if self.signer is None else self.signer().address

    @cached_property
    def node(self) -> Node:
        """The node, as the registry has it now."""
        state = State(self.web3, self.deployment)
        if self.node_id is not None:
            return state.node(self.node_id)
        own = [
            node
            for node in map(state.node, range(1, state.node_count() + 1))
            if node.operator == self.address and node.role is Role.EVALUATOR
        ]
        if not own:
            raise NotServing(f"{self.address} operates no evaluator node.")
        return own[0]
