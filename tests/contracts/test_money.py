"""R10 and R11: money comes in whole and goes out once, to the wei, whatever the token does."""

from __future__ import annotations

from collections import Counter
from enum import IntEnum

import numpy as np
import pytest
from eth_utils import to_checksum_address

from oracle.core.cancellation import cancel, cancel_undrawn
from oracle.core.consensus import Rule
from oracle.core.facts import Role
from oracle.core.phases import HASH_HORIZON, cancellable_at, reveals_close_at
from oracle.core.units import ONE
from tests.contracts.bare_network import BareNetwork
from tests.contracts.parameters import REGISTRY, SINK, STAKE
from tests.contracts.rounds import (
    REQUESTER,
    SETTLER,
    STRANGER,
    batches,
    close_commits,
    committed,
    drawn,
    opened,
    opinions,
    owner_of,
    reverts,
    settled,
    staffed,
    terms,
)

MAX_BUDGET = 2**128 - 1
DEPOSIT = terms().deposit


class Temper(IntEnum):
    """How the hostile token transfers, in the order of the contract."""

    HONEST = 0
    REFUSING = 1
    IDLE = 2


@pytest.fixture
def hostile() -> BareNetwork:
    """Deploy and register as `network` does, with a token that can be turned against its users."""
    return staffed(token="HostileToken")


def credits(network: BareNetwork) -> Counter[str]:
    """Return what everybody can withdraw."""
    accounts = {REQUESTER, SETTLER, STRANGER, *network.nodes.values(), network.token.address}
    return Counter({one: network.rounds("creditOf", one) for one in accounts})


def stakes(network: BareNetwork) -> int:
    """Return the sum of all stakes."""
    return sum(network.registry("nodeOf", node_id)[5] for node_id in network.nodes)


def check_books(network: BareNetwork, escrowed: int) -> None:
    """Require that both contracts hold exactly what they owe."""
    held, owed = network.token("balanceOf", network.rounds.address), credits(network).total()
    assert held == owed + escrowed
    held = network.token("balanceOf", network.registry.address)
    assert held == stakes(network) + network.registry("slashedBalance")


def withdraw_all(network: BareNetwork) -> None:
    """Pay everybody what they can withdraw."""
    for owner, amount in credits(network).items():
        if amount > 0:
            before = network.token("balanceOf", owner)
            network.rounds("withdraw", owner, sender=STRANGER)
            assert network.token("balanceOf", owner) == before + amount


# R10: conservation and solvency


def test_r10_both_contracts_can_pay_all_they_owe_after_every_step(network: BareNetwork) -> None:
    check_books(network, 0)
    round_id, opening = opened(network)
    check_books(network, DEPOSIT)
    lapsing_id, lapsing = opened(network)
    check_books(network, 2 * DEPOSIT)
    network.pass_blocks(3)
    facts = network.draw(round_id, opening)
    failing = drawn(network)
    check_books(network, 3 * DEPOSIT)
    facts, reveals = committed(network, facts, [0, 1, 2])
    failing, _ = committed(network, failing, [0, 1, 2])
    check_books(network, 3 * DEPOSIT)
    close_commits(network, failing)
    facts = network.reveal_on_chain(facts, reveals[1])
    check_books(network, 3 * DEPOSIT)
    network.pass_time_to(reveals_close_at(network.rounds_parameters, failing.draw.drawn_at))
    settled(network, facts, reveals.values())
    check_books(network, 2 * DEPOSIT)
    withdraw_all(network)
    check_books(network, 2 * DEPOSIT)
    network.pass_time_to(cancellable_at(network.rounds_parameters, failing.draw.drawn_at))
    network.rounds("cancel", *cancel(failing).arguments)
    check_books(network, DEPOSIT)
    network.pass_blocks(HASH_HORIZON)
    lapsed = cancel_undrawn(network.key(lapsing_id), lapsing)
    network.rounds("cancelUndrawn", *lapsed.arguments)
    check_books(network, 0)
    network.registry("sweepSlashes")
    check_books(network, 0)
    withdraw_all(network)
    assert network.token("balanceOf", network.rounds.address) == 0


@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize(
    ("inference_budget", "evaluator_budget", "settlement_fee"),
    [
        (0, 25, 0),
        (1, 26, 1),
        (10**18 + 1, 10**18 + 3, 10**18 + 7),
        (MAX_BUDGET, MAX_BUDGET, MAX_BUDGET),
    ],
)
def test_r10_rewards_fee_and_refund_are_the_deposit_to_the_wei(
    network: BareNetwork,
    rule: Rule,
    inference_budget: int,
    evaluator_budget: int,
    settlement_fee: int,
) -> None:
    facts = drawn(
        network,
        rule=rule,
        inference_budget=inference_budget,
        evaluator_budget=evaluator_budget,
        settlement_fee=settlement_fee,
    )
    facts, reveals = committed(network, facts)
    assert credits(network).total() == 0
    settled(network, facts, reveals.values())
    paid = credits(network)
    assert paid.total() == inference_budget + evaluator_budget + settlement_fee
    assert paid[SETTLER] == settlement_fee
    check_books(network, 0)


@pytest.mark.parametrize("score", [0, ONE])
def test_r10_nothing_is_created_when_everybody_earns_the_most_or_nothing(
    network: BareNetwork, score: int
) -> None:
    facts = drawn(network)
    rows = np.full_like(opinions(facts), score)
    facts, reveals = committed(network, facts, rows=rows)
    settled(network, facts, reveals.values())
    assert credits(network).total() == facts.opening.terms.deposit
    check_books(network, 0)


def test_r10_a_cancelled_round_returns_the_whole_deposit_to_the_requester_alone(
    network: BareNetwork,
) -> None:
    facts, _ = committed(network, drawn(network), [0])
    close_commits(network, facts)
    network.rounds("cancel", *cancel(facts).arguments)
    assert +credits(network) == Counter({REQUESTER: facts.opening.terms.deposit})
    check_books(network, 0)


# R11: payouts are pulled


def test_r11_anybody_may_trigger_a_payment_but_only_its_account_gets_it(
    network: BareNetwork,
) -> None:
    facts, reveals = committed(network, drawn(network))
    settled(network, facts, reveals.values())
    before = network.token("balanceOf", REQUESTER)
    due = network.rounds("creditOf", REQUESTER)
    network.rounds("withdraw", REQUESTER, sender=STRANGER)
    assert network.token("balanceOf", REQUESTER) == before + due
    assert network.token("balanceOf", STRANGER) == 0


def test_r11_nothing_is_paid_twice_or_to_whom_nothing_is_due(network: BareNetwork) -> None:
    facts, reveals = committed(network, drawn(network))
    settled(network, facts, reveals.values())
    network.rounds("withdraw", SETTLER)
    for account in (SETTLER, STRANGER, network.rounds.address):
        with reverts("NothingDue"):
            network.rounds("withdraw", account)


def test_r11_a_blocked_owner_harms_only_itself(hostile: BareNetwork) -> None:
    facts, reveals = committed(hostile, drawn(hostile))
    blocked = facts.draw.panel[0].owner
    hostile.token("setBlocked", blocked, True)
    settled(hostile, facts, reveals.values())
    due = hostile.rounds("creditOf", blocked)
    assert due > 0
    with reverts("Error", reason="blocked"):
        hostile.rounds("withdraw", blocked)
    for owner, amount in credits(hostile).items():
        if amount > 0 and owner != blocked:
            hostile.rounds("withdraw", owner)
    hostile.token("setBlocked", blocked, False)
    hostile.rounds("withdraw", blocked)
    check_books(hostile, 0)


def test_r11_a_blocked_requester_or_settler_cannot_stop_a_settlement_or_a_cancellation(
    hostile: BareNetwork,
) -> None:
    facts, reveals = committed(hostile, drawn(hostile))
    failing = drawn(hostile)
    for account in (REQUESTER, SETTLER):
        hostile.token("setBlocked", account, True)
    settled(hostile, facts, reveals.values())
    close_commits(hostile, failing)
    hostile.rounds("cancel", *cancel(failing).arguments, sender=SETTLER)
    check_books(hostile, 0)


def test_r11_a_blocked_sink_delays_only_the_sweep(hostile: BareNetwork) -> None:
    facts = drawn(hostile)
    close_commits(hostile, facts)
    hostile.token("setBlocked", SINK, True)
    hostile.rounds("cancel", *cancel(facts).arguments)
    with reverts("Error", reason="blocked"):
        hostile.registry("sweepSlashes")
    assert hostile.registry("slashedBalance") == 5 * REGISTRY.no_commit_slash
    check_books(hostile, 0)


# R11: tokens that do not deliver


@pytest.mark.parametrize(("fee", "received"), [(1, DEPOSIT - DEPOSIT // 10_000), (10_000, 0)])
def test_r11_a_deposit_that_a_fee_was_taken_of_is_refused(
    hostile: BareNetwork, fee: int, received: int
) -> None:
    hostile.token("setFee", fee)
    with reverts("TransferShortfall", received=received, expected=DEPOSIT):
        opened(hostile)
    check_books(hostile, 0)


def test_r11_a_stake_that_a_fee_was_taken_of_is_refused(hostile: BareNetwork) -> None:
    slashed = silent_panel(hostile)
    hostile.fund(STRANGER)
    hostile.token("setFee", 100)
    with reverts("TransferShortfall", received=STAKE - STAKE // 100, expected=STAKE):
        hostile.registry("register", Role.EVALUATOR, STRANGER, sender=STRANGER)
    due = REGISTRY.no_commit_slash
    with reverts("TransferShortfall", received=due - due // 100, expected=due):
        hostile.registry("topUp", slashed, sender=STRANGER)
    check_books(hostile, 0)


@pytest.mark.parametrize(
    ("temper", "error"),
    [(Temper.REFUSING, "SafeERC20FailedOperation"), (Temper.IDLE, "TransferShortfall")],
)
def test_r11_a_token_that_moves_nothing_opens_and_registers_nothing(
    hostile: BareNetwork, temper: Temper, error: str
) -> None:
    hostile.fund(STRANGER)
    hostile.token("setTemper", temper)
    with reverts(error):
        opened(hostile)
    with reverts(error):
        hostile.registry("register", Role.EVALUATOR, STRANGER, sender=STRANGER)
    assert hostile.rounds("roundCount") == 0
    check_books(hostile, 0)


def test_r11_a_payment_that_the_token_refuses_stays_due(hostile: BareNetwork) -> None:
    facts, reveals = committed(hostile, drawn(hostile))
    settled(hostile, facts, reveals.values())
    due = hostile.rounds("creditOf", REQUESTER)
    hostile.token("setTemper", Temper.REFUSING)
    with reverts("SafeERC20FailedOperation"):
        hostile.rounds("withdraw", REQUESTER)
    assert hostile.rounds("creditOf", REQUESTER) == due


# R11: calls back in the middle of a transfer


def silent_panel(network: BareNetwork) -> int:
    """Cancel a round that nobody commits to, and return the id of a node that was slashed."""
    facts = drawn(network)
    close_commits(network, facts)
    network.rounds("cancel", *cancel(facts).arguments)
    return facts.draw.panel[0].node_id


def as_token(network: BareNetwork, data: bytes, contract: str) -> None:
    """Let the token itself call a contract."""
    network.token("execute", getattr(network, contract).address, data)


def check_calls(network: BareNetwork, succeeded: bool) -> None:
    """Require that the token called back once, with this outcome."""
    assert (network.token("calls"), network.token("succeeded")) == (1, succeeded)


def test_r11_withdrawing_again_while_withdrawing_pays_once(hostile: BareNetwork) -> None:
    silent_panel(hostile)
    opened(hostile)  # there is somebody else's money to take
    hostile.token("arm", hostile.rounds.address, hostile.rounds.encode("withdraw", REQUESTER))
    before, due = hostile.token("balanceOf", REQUESTER), hostile.rounds("creditOf", REQUESTER)
    hostile.rounds("withdraw", REQUESTER)
    check_calls(hostile, succeeded=False)
    assert hostile.token("balanceOf", REQUESTER) == before + due
    check_books(hostile, DEPOSIT)


def test_r11_withdrawing_while_opening_cannot_pass_for_a_deposit(hostile: BareNetwork) -> None:
    silent_panel(hostile)
    hostile.token("arm", hostile.rounds.address, hostile.rounds.encode("withdraw", REQUESTER))
    with reverts("TransferShortfall", received=0, expected=DEPOSIT):
        opened(hostile)
    check_books(hostile, 0)


def test_r11_opening_while_opening_cannot_count_one_deposit_twice(hostile: BareNetwork) -> None:
    token = to_checksum_address(hostile.token.address)
    hostile.token("mint", token, DEPOSIT)
    approval = hostile.token.encode("approve", hostile.rounds.address, DEPOSIT)
    hostile.token("execute", token, approval)
    agreed, rows = terms(), batches(hostile)
    nested = hostile.rounds.encode(
        "open",
        agreed.as_tuple(),
        [batch.as_tuple() for batch in rows],
        [receipt(hostile, batch.node_id, batch.as_tuple(), token) for batch in rows],
        "uri",
    )
    hostile.token("arm", hostile.rounds.address, nested)
    with reverts("TransferShortfall", received=2 * DEPOSIT, expected=DEPOSIT):
        opened(hostile)
    check_books(hostile, 0)


def receipt(network: BareNetwork, node_id: int, batch: tuple[object, ...], requester: str) -> bytes:
    """Return a receipt for a requester of its own."""
    digest = network.registry("receiptDigest", batch, requester, terms().workload_hash)
    return bytes(network.operator(node_id).unsafe_sign_hash(digest).signature)


def token_joins(network: BareNetwork) -> bytes:
    """Give the token means to register, and return the call."""
    network.token("mint", network.token.address, 2 * STAKE)
    approval = network.token.encode("approve", network.registry.address, 2 * STAKE)
    network.token("execute", network.token.address, approval)
    return network.registry.encode("register", Role.EVALUATOR, STRANGER)


def test_r11_registering_while_registering_cannot_count_one_stake_twice(
    hostile: BareNetwork,
) -> None:
    hostile.fund(STRANGER)
    hostile.token("arm", hostile.registry.address, token_joins(hostile))
    with reverts("TransferShortfall", received=2 * STAKE, expected=STAKE):
        hostile.registry("register", Role.EVALUATOR, STRANGER, sender=STRANGER)
    check_books(hostile, 0)


def test_r11_topping_up_while_topping_up_lists_a_node_once(hostile: BareNetwork) -> None:
    node_id = silent_panel(hostile)
    token_joins(hostile)
    population = hostile.registry("populationAt", hostile.number)
    hostile.token("arm", hostile.registry.address, hostile.registry.encode("topUp", node_id))
    hostile.registry("topUp", node_id, sender=owner_of(node_id))
    check_calls(hostile, succeeded=False)
    assert hostile.registry("populationAt", hostile.number) == population + 1
    check_books(hostile, 0)


def test_r11_withdrawing_a_stake_again_while_withdrawing_pays_once(hostile: BareNetwork) -> None:
    as_token(hostile, token_joins(hostile), "registry")
    node_id = hostile.registry("nodeCount")
    hostile.nodes[node_id] = hostile.token.address
    as_token(hostile, hostile.registry.encode("exit", node_id), "registry")
    hostile.pass_blocks(1, REGISTRY.exit_delay)
    call = hostile.registry.encode("withdrawStake", node_id)
    hostile.token("arm", hostile.registry.address, call)
    as_token(hostile, call, "registry")
    check_calls(hostile, succeeded=False)
    assert hostile.token("balanceOf", hostile.token.address) == 2 * STAKE
    check_books(hostile, 0)


def test_r11_sweeping_again_while_sweeping_pays_once(hostile: BareNetwork) -> None:
    silent_panel(hostile)
    hostile.token("arm", hostile.registry.address, hostile.registry.encode("sweepSlashes"))
    hostile.registry("sweepSlashes")
    check_calls(hostile, succeeded=False)
    assert hostile.token("balanceOf", SINK) == 5 * REGISTRY.no_commit_slash
    check_books(hostile, 0)
