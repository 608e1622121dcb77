"""R16: whatever changes is in a log, and the logs alone give back the whole state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pytest

from deploy.artifacts import load
from oracle.chain.logs import Event, EventDecoder, Log
from oracle.chain.rounds import Cancelled, Settled, history_of
from oracle.core.cancellation import cancel, cancel_undrawn
from oracle.core.facts import DrawnRound, Reveal, Role, RoundKey
from oracle.core.parameters import RoundsParameters
from oracle.core.phases import HASH_HORIZON, reveals_close_at
from oracle.core.settlement import settle
from oracle.core.units import ONE, TRUST_ONE
from tests.contracts.bare_network import BareNetwork, account
from tests.contracts.parameters import REGISTRY, ROUNDS, STAKE
from tests.contracts.rounds import (
    DOMAIN,
    EVALUATORS,
    REQUESTER,
    SETTLER,
    STRANGER,
    WRITERS,
    close_commits,
    committed,
    opened,
    owner_of,
    settled,
)

Result = TypeVar("Result")

DECODERS = {name: EventDecoder(load(name).abi) for name in ("NodeRegistry", "QualityRounds")}


@dataclass(slots=True)
class Story:
    """A network, all that its two contracts logged, and which call logged what, by name."""

    network: BareNetwork
    events: list[Event] = field(default_factory=list)
    by_call: dict[str, list[str]] = field(default_factory=dict)

    def tell(
        self, call: str, action: Callable[..., Result], *arguments: Any, **named: Any
    ) -> Result:
        """Do what is a single transaction, and keep its logs."""
        answer = action(*arguments, **named)
        events = [event for event in map(self._decoded, self._last_logs()) if event is not None]
        self.events += events
        self.by_call[call] = [event.name for event in events]
        return answer

    def _last_logs(self) -> list[Log]:
        result = self.network.evm.result
        assert result is not None  # there was a call
        return [
            Log(
                address=log.address,
                topics=tuple(bytes.fromhex(topic[2:]) for topic in log.topics),
                data=bytes(log.data[1]),
                block_number=self.network.number,
                block_hash=bytes(32),
                transaction_hash=bytes(32),
                log_index=i,
            )
            for i, log in enumerate(result.logs)
        ]

    def _decoded(self, log: Log) -> Event | None:
        contracts = {"NodeRegistry": self.network.registry, "QualityRounds": self.network.rounds}
        for name, contract in contracts.items():
            if log.address.lower() == contract.address.lower():
                return DECODERS[name].decode(log)
        return None


@pytest.fixture(scope="module")
def story() -> Story:
    """Everything that the contracts can do, at least once; some of it seldom happens."""
    network = BareNetwork(REGISTRY, ROUNDS)
    story = Story(network)
    network.fund(REQUESTER)
    for node_id in range(1, EVALUATORS + 3):
        network.fund(owner_of(node_id))
        role = Role.EVALUATOR if node_id <= EVALUATORS else Role.INFERENCE
        story.tell("register", network.join, role, owner_of(node_id))
    lapsing = story.tell("open", opened, network)
    absent = play_with_absent_seats(story)
    play_without_commits(story)

    registry, rounds = network.registry, network.rounds
    story.tell("topUp", registry, "topUp", absent.draw.panel[4].node_id)
    writer = WRITERS[0]
    for operator in (account("moved").address, STRANGER):
        rotation = ("rotateOperator", writer, operator)
        story.tell("rotateOperator", registry, *rotation, sender=owner_of(writer))
    for call in ("exit", "withdrawStake"):
        for node_id in (1, EVALUATORS, writer):
            story.tell(call, registry, call, node_id, sender=owner_of(node_id))
        network.pass_blocks(1, REGISTRY.exit_delay)
    story.tell("sweepSlashes", registry, "sweepSlashes")
    network.pass_blocks(HASH_HORIZON)
    undrawn = cancel_undrawn(network.key(lapsing[0]), lapsing[1])
    story.tell("cancelUndrawn", rounds, "cancelUndrawn", *undrawn.arguments)
    for one in (REQUESTER, absent.draw.panel[0].owner):
        story.tell("withdraw", rounds, "withdraw", one)
    return story


def play_with_absent_seats(story: Story) -> DrawnRound:
    """Settle a round in which seat 2 lies, seat 3 does not reveal, and seat 4 does not commit."""
    network = story.network
    round_id, opening = story.tell("open", opened, network)
    network.pass_blocks(ROUNDS.draw_delay + 1)
    facts = story.tell("draw", network.draw, round_id, opening)
    rows = np.full((5, opening.items), ONE, dtype=np.uint16)
    rows[2] = 0
    reveals: dict[int, Reveal] = {}
    for seat in range(4):
        facts, shown = story.tell("commit", committed, network, facts, [seat], rows)
        reveals |= shown
    close_commits(network, facts)
    facts = story.tell("reveal", network.reveal_on_chain, facts, reveals[2])
    network.pass_time_to(reveals_close_at(ROUNDS, facts.draw.drawn_at))
    story.tell("settle", settled, network, facts, [reveals[seat] for seat in range(3)])
    return facts


def play_without_commits(story: Story) -> None:
    """Cancel a round that nobody committed in."""
    network = story.network
    round_id, opening = story.tell("open", opened, network)
    network.pass_blocks(ROUNDS.draw_delay + 1)
    facts = story.tell("draw", network.draw, round_id, opening)
    close_commits(network, facts)
    story.tell("cancel", network.rounds, "cancel", *cancel(facts).arguments)


def test_r16_every_call_that_changes_something_logs_what_it_changed(story: Story) -> None:
    assert story.by_call == {
        "register": ["NodeRegistered"],
        "rotateOperator": ["OperatorRotated"],
        "topUp": ["StakeToppedUp"],
        "exit": ["NodeExited"],
        "withdrawStake": ["StakeWithdrawn"],
        "sweepSlashes": ["SlashesSwept"],
        "open": ["RoundOpened"],
        "draw": ["PanelDrawn"],
        "commit": ["ScoresCommitted"],
        "reveal": ["ScoresRevealed"],
        "settle": ["RoundSettled", *4 * ["RewardCredited"], *2 * ["Slashed"], "TrustUpdated"],
        "cancel": ["RoundCancelled", *5 * ["Slashed"]],
        "cancelUndrawn": ["RoundCancelled"],
        "withdraw": ["Withdrawn"],
    }


def test_r16_no_call_that_changes_something_is_missing_from_the_story(story: Story) -> None:
    changing = {
        entry["name"]
        for name in ("NodeRegistry", "QualityRounds")
        for entry in load(name).abi
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }
    assert changing == {*story.by_call, "concludeRound"}  # which only settle and cancel can call
    logged = {entry["name"] for name in DECODERS for entry in load(name).abi if is_event(entry)}
    assert logged - {"EIP712DomainChanged"} == {event.name for event in story.events}


def is_event(entry: dict[str, Any]) -> bool:
    return bool(entry["type"] == "event")


def test_r16_the_logs_give_back_every_node(story: Story) -> None:
    nodes: dict[int, dict[str, Any]] = {}
    active: list[int] = []
    slashes = 0

    def leave(node_id: int) -> None:
        """The last of the list takes the place of whoever leaves it."""
        if node_id in active:
            active[active.index(node_id)] = active[-1]
            active.pop()

    for event in story.events:
        args = event.args
        match event.name:
            case "NodeRegistered":
                nodes[args["nodeId"]] = {**args, "exitableAt": 0}
                if args["role"] == Role.EVALUATOR:
                    active.append(args["nodeId"])
            case "OperatorRotated":
                nodes[args["nodeId"]]["operator"] = args["operator"]
            case "StakeToppedUp":
                nodes[args["nodeId"]]["stake"] += args["amount"]
                active.append(args["nodeId"])
            case "NodeExited":
                nodes[args["nodeId"]]["exitableAt"] = args["exitableAt"]
                leave(args["nodeId"])
            case "Slashed":
                nodes[args["nodeId"]]["stake"] -= args["amount"]
                slashes += args["amount"]
                leave(args["nodeId"])
            case "StakeWithdrawn":
                nodes[args["nodeId"]]["stake"] -= args["amount"]
            case "SlashesSwept":
                slashes -= args["amount"]

    network = story.network
    assert network.registry("nodeCount") == len(nodes) == EVALUATORS + 2
    places = {node_id: place for place, node_id in enumerate(active, start=1)}
    for node_id, node in nodes.items():
        owner, role, position, exitable_at, operator, stake = network.registry("nodeOf", node_id)
        assert owner == node["owner"].lower()
        assert operator == node["operator"].lower()
        told = (node["role"], places.get(node_id, 0), node["exitableAt"], node["stake"])
        assert (role, position, exitable_at, stake) == told
    assert network.registry("populationAt", network.number) == len(active)
    listed = [network.registry("evaluatorAt", i, network.number) for i in range(len(active))]
    assert listed == active
    assert network.registry("slashedBalance") == slashes
    assert {node["stake"] for node in nodes.values()} >= {0, STAKE}


def test_r16_the_logs_give_back_all_trust(story: Story) -> None:
    trusts = dict.fromkeys(range(1, EVALUATORS + 3), TRUST_ONE)
    for event in story.events:
        if event.name == "TrustUpdated":
            assert event.args["domain"] == DOMAIN
            packed = event.args["trusts"]
            for i in range(0, len(packed), 8):
                trusts[int.from_bytes(packed[i : i + 4])] = int.from_bytes(packed[i + 4 : i + 8])
    assert len(set(trusts.values())) > 1
    for node_id, trust in trusts.items():
        assert story.network.registry("trustOf", node_id, DOMAIN) == trust


def test_r16_the_logs_give_back_all_credits(story: Story) -> None:
    credits: Counter[str] = Counter()
    requesters, fees = {}, {}
    for event in story.events:
        args = event.args
        match event.name:
            case "RoundOpened":
                requesters[args["roundId"]] = args["requester"]
                fees[args["roundId"]] = args["terms"]["settlementFee"]
            case "RewardCredited":
                credits[args["account"]] += args["amount"]
            case "RoundSettled":
                credits[args["settler"]] += fees[args["roundId"]]
                credits[requesters[args["roundId"]]] += args["refund"]
            case "RoundCancelled":
                credits[args["requester"]] += args["refund"]
            case "Withdrawn":
                credits[args["account"]] -= args["amount"]
    for one in (REQUESTER, SETTLER, STRANGER, *story.network.nodes.values()):
        assert story.network.rounds("creditOf", one) == credits[one]
    held = story.network.token("balanceOf", story.network.rounds.address)
    assert held == credits.total() > 0


def test_r16_the_logs_of_each_round_hash_to_its_digest(story: Story) -> None:
    network = story.network
    assert network.rounds("roundCount") == 3
    for round_id in (1, 2, 3):
        key = network.key(round_id)
        assert network.digest(round_id) == digest_of(key, story.events, ROUNDS)


def digest_of(key: RoundKey, events: list[Event], parameters: RoundsParameters) -> bytes:
    """Return the digest of a closed round, from its logs alone."""
    history = history_of(key, events)
    if isinstance(history.end, Settled):
        end = history.end
        result = settle(history.drawn(), parameters, end.reveals)
        assert (result.consensus, result.refund) == (end.consensus, end.refund)
        assert result.payments() == end.payments
        return result.digest(end.settler, end.settled_at)
    assert isinstance(history.end, Cancelled)
    if history.draw is None:
        return cancel_undrawn(key, history.opening).digest(history.end.cancelled_at)
    return cancel(history.drawn()).digest(history.end.cancelled_at)


@pytest.mark.parametrize("removed", ["PanelDrawn", "ScoresCommitted", "ScoresRevealed"])
def test_r16_a_round_whose_logs_lack_one_does_not_hash_to_its_digest(
    story: Story, removed: str
) -> None:
    key = story.network.key(2)
    assert digest_of(key, story.events, ROUNDS) == story.network.digest(2)
    at = [i for i, event in enumerate(story.events) if event.name == removed]
    at = [i for i in at if story.events[i].args["roundId"] == 2]
    assert at
    for i in at:
        try:
            digest = digest_of(key, story.events[:i] + story.events[i + 1 :], ROUNDS)
        except Exception as refused:
            assert type(refused).__name__ in ("LogMissing", "NotCommitted")
            continue
        assert digest != story.network.digest(2)
