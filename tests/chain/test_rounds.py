"""Whole rounds on the real contracts, by both transports: what is read hashes to their digests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from eth_abi import encode
from eth_utils import keccak
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.types import Nonce
from web3.utils import get_create_address

from deploy.artifacts import Artifact, load
from oracle.chain import calls, devnet_rpc, rpc
from oracle.chain.calls import Call
from oracle.chain.deployment import DeployedContract, Deployment
from oracle.chain.devnet import Devnet
from oracle.chain.devnet_server import serve
from oracle.chain.errors import RevertDecoder, Reverted
from oracle.chain.follower import Follower
from oracle.chain.keys import Signer
from oracle.chain.logs import EventDecoder, read_logs
from oracle.chain.receipts import sign_receipt
from oracle.chain.rounds import Cancelled, LogMissing, Settled, history_of, round_history
from oracle.chain.state import State, UnknownNode
from oracle.chain.transactions import Transactor
from oracle.core.cancellation import cancel, cancel_undrawn
from oracle.core.commitment import commitment
from oracle.core.consensus import Rule
from oracle.core.digest import opening_digest, replay
from oracle.core.facts import Batch, Phase, Reveal, Role, RoundKey, RoundState, Terms
from oracle.core.history import commit_proof
from oracle.core.panel import draw_panel, draw_seed
from oracle.core.parameters import RegistryParameters, RoundsParameters, TrustParameters
from oracle.core.phases import HASH_HORIZON
from oracle.core.settlement import settle
from oracle.core.units import TRUST_ONE, pack

EVALUATORS = 5
REQUESTER = 0
INFERENCE = EVALUATORS + 1
STAKE = 10**18
WINDOW = 600
DOMAIN = b"qa".ljust(32, b"\0")
WORKLOAD = sha256(b"the workload").digest()
ITEMS = 20
NOBODY = "0x" + 40 * "0"


@dataclass(frozen=True, slots=True)
class Network:
    """A deployment with an inference node and evaluators: account i owns and operates node i."""

    devnet: Devnet
    web3: Web3
    deployment: Deployment
    reverts: RevertDecoder

    def sender(self, account: int) -> Transactor:
        signer = Signer(self.devnet.accounts[account])
        return Transactor(self.web3, signer, self.reverts, timeout=5, poll=0.01)

    def send(self, account: int, call: Call) -> None:
        self.sender(account).transact(call.to, call.data)

    def send_to_rounds(self, account: int, function: str, *arguments: Any) -> None:
        self.send(account, calls.rounds(self.deployment, function, *arguments))

    def state(self) -> State:
        return State(self.web3, self.deployment)

    def key(self, round_id: int = 1) -> RoundKey:
        return RoundKey(self.deployment.chain_id, self.deployment.rounds.address, round_id)

    def open(self) -> None:
        """Open a round of two batches by one inference node, one of them costly."""
        owner = self.devnet.accounts[INFERENCE].address
        batches = [
            Batch(INFERENCE, owner, 12, 1_000, sha256(b"a").digest()),
            Batch(INFERENCE, owner, ITEMS - 12, 9_999, sha256(b"b").digest()),
        ]
        terms = Terms(
            DOMAIN, Rule.TRUST_WEIGHTED_MEAN, 0, 4, 3, NOBODY, WORKLOAD, 10**18 + 1, 10**18, 10**15
        )
        requester, node = (
            Signer(self.devnet.accounts[account]) for account in (REQUESTER, INFERENCE)
        )
        receipts = [
            sign_receipt(node, self.deployment, batch, requester.address, WORKLOAD)
            for batch in batches
        ]
        self.send_to_rounds(
            REQUESTER,
            "open",
            terms.as_tuple(),
            [batch.as_tuple() for batch in batches],
            receipts,
            "ipfs://workload",
        )

    def draw(self) -> None:
        opening = round_history(self.web3, self.deployment, 1).opening
        self.send_to_rounds(REQUESTER, "draw", 1, opening.as_tuple())

    def commit(self, reveals: Sequence[Reveal]) -> None:
        draw = round_history(self.web3, self.deployment, 1).draw
        assert draw is not None
        for reveal in reveals:
            node = draw.panel[reveal.seat].node_id
            promise = commitment(self.key(), node, reveal.salt, reveal.scores)
            self.send_to_rounds(node, "commit", 1, reveal.seat, promise)


def reveals_of(seats: Sequence[int]) -> list[Reveal]:
    """Return a reveal a seat, whose scores lie close to each other but are not the same."""
    rng = np.random.default_rng(7)
    base = rng.integers(500, 9_500, ITEMS)
    return [
        Reveal(
            seat,
            keccak(text=f"salt {seat}"),
            pack((base + rng.integers(-300, 300, ITEMS)).astype(np.uint16)),
        )
        for seat in seats
    ]


@pytest.fixture(scope="module", params=["in process", "over HTTP"])
def deployed(request: pytest.FixtureRequest, mock_token: Artifact) -> Iterator[Network]:
    devnet = Devnet()
    if request.param == "in process":
        yield deploy_network(devnet, devnet_rpc.connect(devnet), mock_token)
        return
    with serve(devnet, port=0) as url:
        yield deploy_network(devnet, rpc.connect(url), mock_token)


@pytest.fixture
def network(deployed: Network) -> Iterator[Network]:
    snapshot = deployed.devnet.snapshot()
    yield deployed
    deployed.devnet.revert(snapshot)


def deploy_network(devnet: Devnet, chain: Web3, mock_token: Artifact) -> Network:
    """Deploy token and contracts and register the nodes, each as its own account."""
    accounts = devnet.accounts
    registry_artifact, rounds_artifact = load("NodeRegistry"), load("QualityRounds")
    reverts = RevertDecoder(registry_artifact.abi, rounds_artifact.abi, mock_token.abi)
    deployer = Transactor(chain, Signer(accounts[0]), reverts, timeout=5, poll=0.01)
    trust = TrustParameters(5_000, 20_000, 200, 15_000, 20, 100_000, TRUST_ONE)
    nodes = RegistryParameters(STAKE, 100_000, STAKE // 10, STAKE // 5, accounts[0].address, trust)
    terms = RoundsParameters(0, WINDOW, WINDOW, WINDOW, 5, 10_000, 1_000, 9_000)

    def deploy(artifact: Artifact, arguments: bytes = b"") -> Any:
        receipt = deployer.transact(None, artifact.bytecode + arguments)
        assert receipt is not None
        return chain.eth.contract(receipt["contractAddress"], abi=artifact.abi)

    token = deploy(mock_token)
    nonce = chain.eth.get_transaction_count(accounts[0].address)
    future = get_create_address(accounts[0].address, Nonce(nonce + 1))
    registry_arguments = encode(
        [
            "address",
            "address",
            "(uint96,uint40,uint96,uint96,address,"
            "(uint32,uint32,uint16,uint32,uint16,uint32,uint32))",
        ],
        [token.address, future, nodes.as_tuple()],
    )
    registry = deploy(registry_artifact, registry_arguments)
    rounds_arguments = encode(
        ["address", "address", "(uint64,uint40,uint40,uint40,uint128,uint16,uint16,uint16)"],
        [token.address, registry.address, terms.as_tuple()],
    )
    rounds = deploy(rounds_artifact, rounds_arguments)
    deployment = Deployment(
        chain_id=chain.eth.chain_id,
        start_block=chain.eth.block_number - 1,
        token=token.address,
        registry=DeployedContract(
            registry.address, keccak(chain.eth.get_code(registry.address)), registry_arguments
        ),
        rounds=DeployedContract(
            rounds.address, keccak(chain.eth.get_code(rounds.address)), rounds_arguments
        ),
        registry_parameters=nodes,
        rounds_parameters=terms,
    )
    network = Network(devnet, chain, deployment, reverts)
    for account in range(INFERENCE + 1):
        spender = rounds if account == REQUESTER else registry
        mint = token.encode_abi("mint", args=(accounts[account].address, 100 * STAKE))
        network.send(account, Call(token.address, bytes.fromhex(mint[2:])))
        network.send(account, calls.token(deployment, "approve", spender.address, 100 * STAKE))
    for account in range(1, INFERENCE + 1):
        role = Role.INFERENCE if account == INFERENCE else Role.EVALUATOR
        operator = accounts[account].address
        network.send(account, calls.registry(deployment, "register", role, operator))
    return network


def test_a_round_that_was_never_opened_has_no_history(network: Network) -> None:
    network.open()
    with pytest.raises(LogMissing, match="no RoundOpened log of round 2") as caught:
        round_history(network.web3, network.deployment, 2)
    assert (caught.value.round_id, caught.value.event) == (2, "RoundOpened")
    assert network.state().round(2) == RoundState(Phase.NONE, 0, 0, 0, 0, 0, 0)


def test_a_round_that_is_not_drawn_cannot_be_settled(network: Network) -> None:
    network.open()
    with pytest.raises(LogMissing, match="no PanelDrawn log of round 1"):
        round_history(network.web3, network.deployment, 1).drawn()


def test_a_node_that_was_never_registered_is_unknown(network: Network) -> None:
    with pytest.raises(UnknownNode, match="no node 7") as caught:
        network.state().node(INFERENCE + 1)
    assert caught.value.node_id == INFERENCE + 1


def test_what_the_contract_refuses_is_said_with_its_values(network: Network) -> None:
    network.open()
    network.draw()
    facts = round_history(network.web3, network.deployment, 1).drawn()
    height = network.web3.eth.block_number
    with pytest.raises(Reverted) as caught:
        network.send_to_rounds(REQUESTER, "cancel", *cancel(facts).arguments)
    assert caught.value.name == "CommitsOpen"
    assert caught.value.arguments == {"closesAt": facts.draw.drawn_at + WINDOW}
    assert str(facts.draw.drawn_at + WINDOW) in str(caught.value)
    node, stranger = facts.draw.panel[0].node_id, network.devnet.accounts[INFERENCE].address
    with pytest.raises(Reverted, match=f"operator of node {node} ") as caught:
        network.send_to_rounds(INFERENCE, "commit", 1, 0, b"\1" * 32)
    assert caught.value.name == "NotOperator"
    assert caught.value.arguments["nodeId"] == node
    assert caught.value.arguments["caller"].lower() == stranger.lower()
    assert network.web3.eth.block_number == height


def test_a_lost_log_changes_the_digest(network: Network) -> None:
    network.open()
    network.draw()
    network.commit(reveals_of(range(4)))
    facts = round_history(network.web3, network.deployment, 1).drawn()
    digest = network.state().digest(1)
    for lost in range(4):
        commits = facts.commits[:lost] + facts.commits[lost + 1 :]
        assert replay(facts.key, facts.opening, facts.draw, commits) != digest


def test_the_parameters_on_chain_are_those_of_the_deployment(network: Network) -> None:
    state = network.state()
    assert state.registry_parameters() == network.deployment.registry_parameters
    assert state.rounds_parameters() == network.deployment.rounds_parameters


def test_nodes_are_read_with_their_trust_and_the_list_in_its_order(network: Network) -> None:
    state = network.state()
    assert state.node_count() == INFERENCE
    assert state.evaluators() == tuple(range(1, EVALUATORS + 1))
    for node_id in range(1, INFERENCE + 1):
        node = state.node(node_id)
        account = network.devnet.accounts[node_id].address
        role = Role.INFERENCE if node_id == INFERENCE else Role.EVALUATOR
        assert (node.node_id, node.role, node.stake) == (node_id, role, STAKE)
        assert (node.owner, node.operator, node.exitable_at) == (account, account, 0)
        assert node.position == (node_id if role is Role.EVALUATOR else 0)
        assert state.trust(node_id, DOMAIN) == TRUST_ONE
    assert (state.slashed_balance(), state.round_count()) == (0, 0)


def test_a_state_stays_at_its_block(network: Network) -> None:
    before = network.state()
    network.send(1, calls.registry(network.deployment, "exit", 1))
    assert before.evaluators() == (1, 2, 3, 4, 5)
    assert before.node(1).exitable_at == 0
    after = network.state()
    assert after.evaluators() == (5, 2, 3, 4)
    assert after.node(1).exitable_at > 0
    assert State(network.web3, network.deployment, before.block).evaluators() == (1, 2, 3, 4, 5)


def test_a_state_can_be_pinned_to_the_hash_of_a_block(network: Network) -> None:
    before = network.state()
    block_hash = bytes(network.web3.eth.get_block(before.block)["hash"])
    network.open()
    pinned = State(
        network.web3,
        network.deployment,
        before.block,
        pin={"blockHash": "0x" + block_hash.hex()},
    )
    assert (pinned.round_count(), network.state().round_count()) == (0, 1)
    lost = State(network.web3, network.deployment, 1, pin={"blockHash": "0x" + "99" * 32})
    with pytest.raises(Web3Exception, match="not found"):
        lost.round_count()


def test_the_followers_view_says_of_each_step_what_the_contract_says(network: Network) -> None:
    follower = Follower(network.web3, network.deployment)
    reveals = reveals_of(range(4))

    def reveal() -> None:
        proof = commit_proof(round_history(network.web3, network.deployment, 1).drawn(), 2)
        shown = reveals[2]
        network.send_to_rounds(
            REQUESTER, "reveal", 1, 2, proof.as_tuple(), shown.salt, shown.scores
        )

    for step in (
        network.open,
        network.draw,
        lambda: network.commit(reveals[:3]),
        lambda: network.commit(reveals[3:]),
        reveal,
    ):
        step()
        view = follower.advance()
        assert view.running == (1,)
        assert view.round(1) == view.state().round(1)
        assert view.history(1) == round_history(network.web3, network.deployment, 1)
    facts = view.history(1).drawn()
    settlement = settle(facts, network.deployment.rounds_parameters, reveals)
    network.send_to_rounds(REQUESTER, "settle", *settlement.arguments())
    view = follower.advance()
    assert view.running == ()
    assert view.round(1) == view.state().round(1)
    assert isinstance(view.history(1).end, Settled)


def test_the_draw_of_the_block_before_succeeds_at_once_and_is_the_cores(network: Network) -> None:
    network.open()
    opened = network.web3.eth.block_number
    network.draw()
    history = round_history(network.web3, network.deployment, 1)
    assert history.opening.draw_block == opened
    assert history.draw is not None
    block_hash = bytes(network.web3.eth.get_block(opened)["hash"])
    seed = draw_seed(block_hash, network.deployment.rounds.address, 1)
    places = draw_panel(seed, EVALUATORS, 4, lambda place: False)
    assert history.draw.seed == seed
    assert [seat.node_id for seat in history.draw.panel] == [place + 1 for place in places]
    state = network.state()
    assert [state.seat(1, seat) for seat in range(5)] == [*(place + 1 for place in places), 0]
    assert state.round(1) == RoundState(Phase.DRAWN, opened, history.draw.drawn_at, ITEMS, 4, 0, 0)


def test_each_step_of_a_round_folds_into_the_digest_on_chain(network: Network) -> None:
    network.open()
    history = round_history(network.web3, network.deployment, 1)
    assert history.uri == "ipfs://workload"
    assert (history.draw, history.commits, history.reveals, history.end) == (None, (), (), None)
    assert history.key == network.state().key(1) == network.key()
    assert opening_digest(history.key, history.opening) == network.state().digest(1)
    network.draw()
    for count in range(4):
        facts = round_history(network.web3, network.deployment, 1).drawn()
        folded = replay(facts.key, facts.opening, facts.draw, facts.commits)
        assert folded == network.state().digest(1)
        assert facts.committed == network.state().round(1).committed == (1 << count) - 1
        network.commit(reveals_of(range(4))[count : count + 1])


def test_a_settlement_made_of_the_logs_is_accepted_and_read_back_as_computed(
    network: Network,
) -> None:
    network.open()
    network.draw()
    reveals = reveals_of([0, 1, 3])
    # Out of order, so that the order of the log and that of the seats differ.
    network.commit([reveals[2], reveals[0], reveals[1]])
    network.devnet.increase_time(WINDOW)
    history = round_history(network.web3, network.deployment, 1)
    proof = commit_proof(history.drawn(), 0)
    shown = reveals[0]
    network.send_to_rounds(REQUESTER, "reveal", 1, 0, proof.as_tuple(), shown.salt, shown.scores)
    history = round_history(network.web3, network.deployment, 1)
    assert history.reveals == (shown,)
    assert history.drawn().revealed == network.state().round(1).revealed == 1

    trusts = {seat.node_id: seat.trust for seat in history.drawn().draw.panel}
    result = settle(history.drawn(), network.deployment.rounds_parameters, reveals)
    network.send_to_rounds(INFERENCE, "settle", *result.arguments())

    state = network.state()
    end = round_history(network.web3, network.deployment, 1).end
    assert isinstance(end, Settled)
    assert end.settler == network.devnet.accounts[INFERENCE].address
    assert end.reveals == tuple(reveals)
    assert end.consensus == result.consensus
    assert end.deviations == pack(np.array(result.deviations, dtype=np.uint16))
    assert end.payments == result.payments()
    assert end.refund == result.refund == state.credit(network.devnet.accounts[0].address)
    assert end.log.block_number == state.block
    assert result.digest(end.settler, end.settled_at) == state.digest(1)
    assert state.round(1) == RoundState(Phase.CLOSED, 0, 0, 0, 0, 0, 0)
    trust = network.deployment.registry_parameters.trust
    for node_id, expected in result.new_trusts(trust, trusts).items():
        assert state.trust(node_id, DOMAIN) == expected
    absent = history.drawn().draw.panel[2].node_id
    assert state.node(absent).stake == STAKE - STAKE // 10
    assert state.slashed_balance() == STAKE // 10
    assert absent not in state.evaluators()


def test_an_undrawn_round_is_cancelled_with_what_its_log_says(network: Network) -> None:
    network.open()
    network.devnet.mine(HASH_HORIZON)
    history = round_history(network.web3, network.deployment, 1)
    result = cancel_undrawn(history.key, history.opening)
    network.send_to_rounds(REQUESTER, "cancelUndrawn", *result.arguments)
    end = round_history(network.web3, network.deployment, 1).end
    assert isinstance(end, Cancelled)
    assert end.refund == result.refund == history.opening.terms.deposit
    assert result.digest(end.cancelled_at) == network.state().digest(1)


def test_a_round_without_quorum_is_cancelled_with_what_its_log_says(network: Network) -> None:
    network.open()
    network.draw()
    network.commit(reveals_of([2]))
    network.devnet.increase_time(WINDOW)
    result = cancel(round_history(network.web3, network.deployment, 1).drawn())
    network.send_to_rounds(3, "cancel", *result.arguments)
    end = round_history(network.web3, network.deployment, 1).end
    assert isinstance(end, Cancelled)
    assert (end.refund, end.log.block_number) == (result.refund, network.web3.eth.block_number)
    assert result.digest(end.cancelled_at) == network.state().digest(1)
    for outcome in result.outcomes:
        assert network.state().node(outcome.node_id).stake == STAKE - STAKE // 10


def test_the_history_up_to_a_block_ends_there_and_rounds_do_not_mix(network: Network) -> None:
    network.open()
    network.draw()
    drawn = network.web3.eth.block_number
    network.open()
    network.commit(reveals_of([1, 0]))
    early = round_history(network.web3, network.deployment, 1, drawn)
    full = round_history(network.web3, network.deployment, 1)
    assert early.commits == ()
    assert [commit.seat for commit in full.commits] == [1, 0]
    assert replace(full, commits=()) == early
    second = round_history(network.web3, network.deployment, 2)
    assert (second.key.round_id, second.draw, second.commits) == (2, None, ())
    assert opening_digest(second.key, second.opening) == network.state().digest(2)

    # The same from one reading of all logs, as the service has them.
    decoder = EventDecoder(load("QualityRounds").abi)
    logs = read_logs(
        network.web3,
        [network.deployment.rounds.address],
        network.deployment.start_block,
        network.web3.eth.block_number,
    )
    events = [event for log in logs if (event := decoder.decode(log)) is not None]
    assert history_of(network.key(1), events) == full
    assert history_of(network.key(2), events) == second


def test_a_withdrawal_is_part_of_no_round(network: Network) -> None:
    network.open()
    network.devnet.mine(HASH_HORIZON)
    opening = round_history(network.web3, network.deployment, 1).opening
    network.send_to_rounds(REQUESTER, "cancelUndrawn", 1, opening.as_tuple())
    before = round_history(network.web3, network.deployment, 1)
    requester = network.devnet.accounts[REQUESTER].address
    assert network.state().credit(requester) == opening.terms.deposit
    network.send_to_rounds(3, "withdraw", requester)
    assert network.state().credit(requester) == 0
    assert round_history(network.web3, network.deployment, 1) == before
