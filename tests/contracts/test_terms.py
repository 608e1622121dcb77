"""R8: what a deployment and an opening fix is fixed for good, and has to make sense."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from eth_utils import keccak

from deploy.artifacts import load
from oracle.core.cancellation import cancel
from oracle.core.consensus import Rule
from oracle.core.facts import Opening
from oracle.core.phases import HASH_HORIZON
from oracle.core.units import ONE, TRUST_ONE, WEIGHT_UNIT
from tests.contracts.bare_network import BareNetwork
from tests.contracts.harness import Contract, bare_evm
from tests.contracts.parameters import REGISTRY, ROUNDS, TRUST
from tests.contracts.rounds import (
    REQUESTER,
    SETTLER,
    STRANGER,
    WRITERS,
    batches,
    close_commits,
    committed,
    drawn,
    opened,
    reverts,
    settled,
    settlement,
    terms,
)

NOT_ZERO = "0x" + 40 * "1"
ZERO = "0x" + 40 * "0"

# What each contract lets anybody change, and nothing else does.
REGISTRY_ACTIONS = {
    "register",
    "rotateOperator",
    "topUp",
    "exit",
    "withdrawStake",
    "sweepSlashes",
    "concludeRound",
}
ROUNDS_ACTIONS = {
    "open",
    "draw",
    "commit",
    "reveal",
    "settle",
    "cancel",
    "cancelUndrawn",
    "withdraw",
}


# Nobody owns the contracts


@pytest.mark.parametrize(
    ("name", "actions"), [("NodeRegistry", REGISTRY_ACTIONS), ("QualityRounds", ROUNDS_ACTIONS)]
)
def test_r08_there_is_no_way_to_pause_own_fund_or_change_a_contract(
    name: str, actions: set[str]
) -> None:
    abi = load(name).abi
    entries = [entry for entry in abi if entry["type"] == "function"]
    changing = [e["name"] for e in entries if e["stateMutability"] not in ("view", "pure")]
    assert sorted(changing) == sorted(actions)
    assert not [entry for entry in abi if entry["type"] in ("fallback", "receive")]
    assert not [entry for entry in abi if entry.get("stateMutability") == "payable"]


@pytest.mark.parametrize("name", ["NodeRegistry", "QualityRounds"])
def test_r08_a_contract_cannot_become_another(name: str) -> None:
    callcode, delegatecall, selfdestruct = 0xF2, 0xF4, 0xFF
    used = set(opcodes(load(name).deployed_bytecode))
    assert not used & {callcode, delegatecall, selfdestruct}


def opcodes(code: bytes) -> Iterator[int]:
    """Yield the instructions of a contract, without what they push."""
    at = 0
    while at < len(code):
        yield code[at]
        at += 1 + max(0, code[at] - 0x5F if 0x60 <= code[at] <= 0x7F else 0)


# What can be deployed


BAD_REGISTRY: dict[str, tuple[str, dict[str, Any]]] = {
    "no stake": ("stake", {"stake": 0}),
    "no sink": ("slashSink", {"slash_sink": ZERO}),
    "a larger slash for silence": ("noCommitSlash", {"no_commit_slash": 2, "no_reveal_slash": 1}),
    "a slash above the stake": ("noRevealSlash", {"no_reveal_slash": REGISTRY.stake + 1}),
    "a tolerance above one": ("tolerance", {"trust": replace(TRUST, tolerance=ONE + 1)}),
    "no evidence": ("evidence", {"trust": replace(TRUST, evidence=0)}),
    "a floor that weighs nothing": ("floor", {"trust": replace(TRUST, floor=WEIGHT_UNIT - 1)}),
    "a floor above one": ("floor", {"trust": replace(TRUST, floor=TRUST_ONE + 1)}),
    "a cap below one": ("cap", {"trust": replace(TRUST, cap=TRUST_ONE - 1)}),
    "a cap above one": ("cap", {"trust": replace(TRUST, cap=TRUST_ONE + 1)}),
}
BAD_ROUNDS: dict[str, tuple[str, dict[str, int]]] = {
    "no commit window": ("commitWindow", {"commit_window": 0}),
    "no reveal window": ("revealWindow", {"reveal_window": 0}),
    "no settle window": ("settleWindow", {"settle_window": 0}),
    "no weight of quality": ("qualityWeight", {"quality_weight": 0}),
    "a weight of quality above one": ("qualityWeight", {"quality_weight": ONE + 1}),
    "a weight of cost above one": ("costWeight", {"cost_weight": ONE + 1}),
    "no scale of closeness": ("closenessScale", {"closeness_scale": 0}),
    "a scale of closeness above one": ("closenessScale", {"closeness_scale": ONE + 1}),
    "rounds longer than the exit delay": ("exitDelay", {"settle_window": REGISTRY.exit_delay}),
    "a draw later than the exit delay": ("exitDelay", {"draw_delay": 2**64 - 1}),
}


def field(name: str) -> bytes:
    """Return the name of a parameter as errors hold it."""
    return name.encode().ljust(32, b"\0")


@pytest.mark.parametrize("wrong", BAD_REGISTRY)
def test_r08_a_registry_with_senseless_parameters_cannot_be_deployed(wrong: str) -> None:
    name, changes = BAD_REGISTRY[wrong]
    parameters = replace(REGISTRY, **changes).as_tuple()
    with reverts("InvalidParameter", name=field(name)):
        Contract(bare_evm(), load("NodeRegistry"), NOT_ZERO, NOT_ZERO, parameters)


@pytest.mark.parametrize(
    ("name", "token", "rounds"), [("token", ZERO, NOT_ZERO), ("rounds", NOT_ZERO, ZERO)]
)
def test_r08_a_registry_knows_its_token_and_its_rounds(name: str, token: str, rounds: str) -> None:
    with reverts("InvalidParameter", name=field(name)):
        Contract(bare_evm(), load("NodeRegistry"), token, rounds, REGISTRY.as_tuple())


@pytest.mark.parametrize("wrong", BAD_ROUNDS)
def test_r08_rounds_with_senseless_parameters_cannot_be_deployed(wrong: str) -> None:
    name, changes = BAD_ROUNDS[wrong]
    with reverts("InvalidParameter", name=field(name)):
        BareNetwork(REGISTRY, replace(ROUNDS, **changes))


def test_r08_rounds_know_their_token(network: BareNetwork) -> None:
    with reverts("InvalidParameter", name=field("token")):
        Contract(
            network.evm, load("QualityRounds"), ZERO, network.registry.address, ROUNDS.as_tuple()
        )


def test_r08_the_parameters_are_those_deployed_with(network: BareNetwork) -> None:
    assert network.rounds("parameters") == ROUNDS.as_tuple()
    *plain, sink, trust = network.registry("parameters")
    expected = REGISTRY.as_tuple()
    assert (*plain, sink, trust) == (*expected[:4], expected[4].lower(), expected[5])


# What can be opened


SENSELESS: dict[str, tuple[str, dict[str, Any]]] = {
    "two seats": ("InvalidPanelSize", {"panel_size": 2}),
    "thirty-two seats": ("InvalidPanelSize", {"panel_size": 32}),
    "half of four": ("InvalidQuorum", {"panel_size": 4, "quorum": 2}),
    "half of five": ("InvalidQuorum", {"panel_size": 5, "quorum": 2}),
    "more than all": ("InvalidQuorum", {"panel_size": 5, "quorum": 6}),
    "no quorum": ("InvalidQuorum", {"quorum": 0}),
    "half trimmed": ("InvalidTrim", {"rule": Rule.TRIMMED_MEAN, "trim": ONE // 2}),
    "a trim for a mean": ("InvalidTrim", {"rule": Rule.MEAN, "trim": 1}),
    "a trim for a median": ("InvalidTrim", {"rule": Rule.MEDIAN, "trim": 1}),
    "a trim for weights": ("InvalidTrim", {"rule": Rule.TRUST_WEIGHTED_MEAN, "trim": 1}),
    "unpaid work": ("EvaluatorBudgetTooSmall", {"evaluator_budget": 24}),
}


@pytest.mark.parametrize("wrong", SENSELESS)
def test_r08_terms_that_make_no_sense_are_refused(network: BareNetwork, wrong: str) -> None:
    error, changes = SENSELESS[wrong]
    with reverts(error):
        opened(network, **changes)


def test_r08_the_extremes_that_make_sense_are_accepted(network: BareNetwork) -> None:
    extremes: list[dict[str, Any]] = [
        {"panel_size": 3, "quorum": 3, "evaluator_budget": 15},
        {"panel_size": 31, "quorum": 16, "evaluator_budget": 155},
        {"rule": Rule.TRIMMED_MEAN, "trim": ONE // 2 - 1},
        {"rule": Rule.TRIMMED_MEAN, "trim": 0},
        {"inference_budget": 0, "settlement_fee": 0},
    ]
    for changes in extremes:
        opened(network, **changes)


@pytest.mark.parametrize(
    ("sizes", "seats", "error"),
    [
        ([], 3, "InvalidBatchCount"),
        ([1] * 33, 3, "InvalidBatchCount"),
        ([1, 0, 1], 3, "EmptyBatch"),
        ([4_096, 1], 3, "RoundTooLarge"),
        ([65_535] * 32, 3, "RoundTooLarge"),
        ([1_862], 31, "RoundTooLarge"),
        ([1_861, 1], 31, "RoundTooLarge"),
    ],
)
def test_r08_a_round_of_too_much_or_too_little_is_refused(
    network: BareNetwork, sizes: list[int], seats: int, error: str
) -> None:
    with reverts(error):
        opened(network, sizes, panel_size=seats)


@pytest.mark.parametrize(("sizes", "seats"), [([128] * 32, 3), ([1_861], 31), ([1] * 32, 3)])
def test_r08_a_round_of_as_much_as_can_be_is_accepted(
    network: BareNetwork, sizes: list[int], seats: int
) -> None:
    round_id, _ = opened(network, sizes, panel_size=seats)
    assert network.state(round_id).items == sum(sizes)


def test_r08_a_cost_above_one_is_refused(network: BareNetwork) -> None:
    signed = network.batch(WRITERS[0], 3, ONE)
    network.open(terms(), (signed,), REQUESTER)
    with reverts("CostAboveOne", index=0, cost=ONE + 1):
        network.open(terms(), (network.batch(WRITERS[0], 3, ONE + 1),), REQUESTER)


def test_r08_a_requester_pays_for_its_round_itself(network: BareNetwork) -> None:
    with reverts("ERC20InsufficientAllowance"):
        network.open(terms(), batches(network), STRANGER)
    assert network.rounds("roundCount") == 0


# What is opened stays


TERMS_CHANGED: dict[str, Any] = {
    "domain": b"math".ljust(32, b"\0"),
    "rule": Rule.MEAN,
    "panel_size": 6,
    "quorum": 4,
    "oracle": SETTLER,
    "workload_hash": keccak(text="another workload"),
    "inference_budget": 10**30,
    "evaluator_budget": 10**30,
    "settlement_fee": 10**30,
}
OPENING_CHANGED: dict[str, Any] = {
    "requester": STRANGER,
    "draw_block": 2**63,
    "uri_hash": keccak(text="another uri"),
    "batches": (),
}


def changed(opening: Opening, name: str) -> Opening:
    """Return an opening that differs in one field."""
    if name in TERMS_CHANGED:
        return replace(opening, terms=replace(opening.terms, **{name: TERMS_CHANGED[name]}))
    if name == "cost":
        first, *others = opening.batches
        return replace(opening, batches=(replace(first, cost=first.cost - 1), *others))
    if name == "order":
        return replace(opening, batches=opening.batches[::-1])
    return replace(opening, **{name: OPENING_CHANGED[name]})


CHANGES = [*TERMS_CHANGED, *OPENING_CHANGED, "cost", "order"]


@pytest.mark.parametrize("name", CHANGES)
def test_r08_no_settlement_goes_by_other_terms(network: BareNetwork, name: str) -> None:
    facts, reveals = committed(network, drawn(network))
    round_id, history, *rest = settlement(network, facts, reveals.values()).arguments()
    lie = (changed(facts.opening, name).as_tuple(), *history[1:])
    with reverts("HistoryMismatch"):
        network.rounds("settle", round_id, lie, *rest, sender=SETTLER)
    settled(network, facts, reveals.values())


@pytest.mark.parametrize("name", CHANGES)
def test_r08_no_cancellation_goes_by_other_terms(network: BareNetwork, name: str) -> None:
    facts, _ = committed(network, drawn(network), [0, 1])
    close_commits(network, facts)
    round_id, history = cancel(facts).arguments
    lie = (changed(facts.opening, name).as_tuple(), *history[1:])
    with reverts("HistoryMismatch"):
        network.rounds("cancel", round_id, lie)
    network.rounds("cancel", round_id, history)


@pytest.mark.parametrize("name", CHANGES)
def test_r08_no_undrawn_round_is_cancelled_by_other_terms(network: BareNetwork, name: str) -> None:
    round_id, opening = opened(network)
    network.pass_blocks(ROUNDS.draw_delay + HASH_HORIZON + 1)
    with reverts("HistoryMismatch"):
        network.rounds("cancelUndrawn", round_id, changed(opening, name).as_tuple())
    network.rounds("cancelUndrawn", round_id, opening.as_tuple())


def test_r08_terms_hold_for_their_own_round_only(network: BareNetwork) -> None:
    rounds = [opened(network, settlement_fee=fee) for fee in (1, 2)]
    network.pass_blocks(ROUNDS.draw_delay + HASH_HORIZON + 2)
    with reverts("HistoryMismatch"):
        network.rounds("cancelUndrawn", rounds[0][0], rounds[1][1].as_tuple())
