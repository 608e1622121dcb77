"""Rounds to attack: a bare network with its nodes, and each stage of a round in one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from eth_utils import keccak

from oracle.core.consensus import Rule
from oracle.core.facts import Batch, DrawnRound, Opening, Reveal, Role, Terms
from oracle.core.parameters import RegistryParameters, RoundsParameters
from oracle.core.phases import NOBODY, commits_close_at
from oracle.core.settlement import Settlement, settle
from oracle.core.units import ONE, ScoreMatrix
from tests.contracts.bare_network import BareNetwork, account
from tests.contracts.harness import Reverted
from tests.contracts.parameters import REGISTRY, ROUNDS

EVALUATORS = 9
WRITERS = (EVALUATORS + 1, EVALUATORS + 2)
"""The ids of the inference nodes."""
REQUESTER, SETTLER, STRANGER = (
    account(name).address for name in ("requester", "settler", "stranger")
)
DOMAIN = b"qa".ljust(32, b"\0")
SIZES = (3, 2)
"""Items of the two batches that a round has unless others are given."""


def owner_of(node_id: int) -> str:
    """Return the owner of a node that `staffed` registered."""
    return account(f"owner {node_id}").address


def staffed(
    *,
    evaluators: int = EVALUATORS,
    registry: RegistryParameters = REGISTRY,
    rounds: RoundsParameters = ROUNDS,
    token: str = "MockToken",
) -> BareNetwork:
    """Return a network of evaluators, two inference nodes, and owners with one node each."""
    network = BareNetwork(registry, rounds, token)
    network.fund(REQUESTER)
    for node_id in range(1, evaluators + 3):
        network.fund(owner_of(node_id))
        role = Role.EVALUATOR if node_id <= evaluators else Role.INFERENCE
        network.join(role, owner_of(node_id))
    return network


def terms(**changes: Any) -> Terms:
    """Return terms with `changes`: the median of five seats, anybody settles, odd budgets."""
    fields: dict[str, Any] = {
        "domain": DOMAIN,
        "rule": Rule.TRUST_WEIGHTED_MEDIAN,
        "trim": 0,
        "panel_size": 5,
        "oracle": NOBODY,
        "workload_hash": keccak(text="workload"),
        "inference_budget": 10**20 + 7,
        "evaluator_budget": 10**19 + 3,
        "settlement_fee": 10**17 + 1,
    }
    fields |= changes
    fields.setdefault("quorum", fields["panel_size"] // 2 + 1)
    return Terms(**fields)


def batches(
    network: BareNetwork, sizes: Iterable[int] = SIZES, cost: int = 1_500
) -> tuple[Batch, ...]:
    """Return batches of these sizes, the inference nodes taking turns."""
    writers = [i for i in network.nodes if network.registry("nodeOf", i)[1] == Role.INFERENCE]
    return tuple(
        network.batch(node_id, size, cost)
        for node_id, size in zip(cycle(writers), sizes, strict=False)
    )


def opened(
    network: BareNetwork, sizes: Iterable[int] = SIZES, **changes: Any
) -> tuple[int, Opening]:
    """Open a round whose terms have `changes`, a block after whatever happened."""
    network.pass_blocks(1)
    return network.open(terms(**changes), batches(network, sizes), REQUESTER)


def drawn(network: BareNetwork, sizes: Iterable[int] = SIZES, **changes: Any) -> DrawnRound:
    """Open a round and draw its panel as early as possible."""
    round_id, opening = opened(network, sizes, **changes)
    network.pass_blocks(network.rounds_parameters.draw_delay + 1)
    return network.draw(round_id, opening)


def opinions(facts: DrawnRound) -> ScoreMatrix:
    """Return seats × items: scores that differ from seat to seat and from item to item."""
    seats, items = np.arange(len(facts.draw.panel)), np.arange(facts.opening.items)
    return ((3_571 * seats[:, None] + 911 * items + 7) % (ONE + 1)).astype(np.uint16)


def committed(
    network: BareNetwork,
    facts: DrawnRound,
    seats: Iterable[int] | None = None,
    rows: ScoreMatrix | None = None,
) -> tuple[DrawnRound, dict[int, Reveal]]:
    """Commit `seats` in this order, a block each, all of them unless given."""
    rows = opinions(facts) if rows is None else rows
    reveals = {}
    for seat in range(len(facts.draw.panel)) if seats is None else seats:
        network.pass_blocks(1, 7)
        reveals[seat] = network.reveal_of(facts, seat, rows[seat])
        facts = network.commit(facts, reveals[seat])
    return facts, reveals


def close_commits(network: BareNetwork, facts: DrawnRound) -> None:
    """Let the commit window end."""
    network.pass_time_to(commits_close_at(network.rounds_parameters, facts.draw.drawn_at))


def settlement(network: BareNetwork, facts: DrawnRound, reveals: Iterable[Reveal]) -> Settlement:
    """Return what the oracle computes."""
    return settle(facts, network.rounds_parameters, reveals)


def settled(
    network: BareNetwork, facts: DrawnRound, reveals: Iterable[Reveal], settler: str = SETTLER
) -> Settlement:
    """Settle now."""
    result = settlement(network, facts, reveals)
    network.rounds("settle", *result.arguments(), sender=settler)
    return result


@contextmanager
def reverts(error: str, **values: Any) -> Iterator[None]:
    """Expect exactly this error of the contracts, with at least these of its values."""
    with pytest.raises(Reverted) as caught:
        yield
    assert caught.value.name == error, caught.value
    assert {name: caught.value.arguments[name] for name in values} == values
