"""The follower: after whatever a chain does, what is known is what a fresh start would know."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from web3.types import RPCEndpoint, RPCResponse

from oracle.chain.block_store import BlockStore
from oracle.chain.follower import FINALITY, Follower, ReorganisedPastFinality, View
from oracle.chain.logs import NodeBehind
from oracle.chain.rounds import LogMissing
from oracle.chain.rpc import RpcUnreachable
from oracle.core.facts import Phase
from tests.chain.fake_rounds import DEPLOYMENT, RoundsNode

EXAMPLES = 30
MANY_EXAMPLES = 2_000
SEED = 13


def told(view: View) -> Any:
    """Return everything that a view says."""
    ids = range(view.rounds + 2)
    return (
        view.head,
        view.finalized,
        view.rounds,
        view.running,
        [view.round(round_id) for round_id in ids],
        [view.history(round_id) for round_id in view.running],
        [view.hash_of(number) for number in range(view.head.number + 2)],
    )


def fresh(node: RoundsNode) -> Any:
    return told(Follower(node.web3, DEPLOYMENT).advance())


@pytest.fixture
def node() -> RoundsNode:
    node = RoundsNode(seed=7)
    node.extend(100)
    return node


def test_a_reorganisation_past_finality_is_told_and_told_again(
    node: RoundsNode, tmp_path: Path
) -> None:
    follower = Follower(node.web3, DEPLOYMENT, tmp_path / "chain.sqlite")
    final = follower.advance().finalized
    node.fork(FINALITY + 1, FINALITY + 2)
    with pytest.raises(ReorganisedPastFinality, match=f"Block {final} was final as 0x"):
        follower.advance()
    with pytest.raises(ReorganisedPastFinality) as caught:
        Follower(node.web3, DEPLOYMENT, tmp_path / "chain.sqlite").advance()
    assert caught.value.number == final


def test_a_node_that_is_behind_what_is_final_is_no_reorganisation(node: RoundsNode) -> None:
    follower = Follower(node.web3, DEPLOYMENT)
    follower.advance()
    whole = node.blocks
    node.blocks = whole[:20]
    with pytest.raises(NodeBehind):
        follower.advance()
    node.blocks = whole
    assert told(follower.advance()) == fresh(node)


def test_a_node_that_lags_changes_nothing(node: RoundsNode) -> None:
    follower = Follower(node.web3, DEPLOYMENT)
    view = follower.advance()
    whole = node.blocks
    node.blocks = whole[:-3]
    assert follower.advance() is view
    node.blocks = whole
    assert follower.advance() is view


def test_a_chain_that_never_rests_is_given_up_until_the_next_call(node: RoundsNode) -> None:
    class Restless(RoundsNode):
        restless = True

        def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
            if method == "eth_getLogs" and self.restless:
                self.fork(2, 3)
            return super().make_request(method, params)

    restless = Restless(seed=3)
    restless.extend(30)
    follower = Follower(restless.web3, DEPLOYMENT)
    with pytest.raises(RpcUnreachable, match="changes faster than it is read"):
        follower.advance()
    restless.restless = False
    assert told(follower.advance()) == fresh(restless)


def test_nothing_new_costs_one_request(node: RoundsNode) -> None:
    follower = Follower(node.web3, DEPLOYMENT)
    view = follower.advance()
    before = node.requests
    assert follower.advance() is view
    assert node.requests == before + 1
    node.add(0)
    before = node.requests
    follower.advance()
    assert node.requests == before + 3


def test_a_view_stays_what_it_was(node: RoundsNode) -> None:
    follower = Follower(node.web3, DEPLOYMENT)
    view = follower.advance()
    before = told(view)
    node.fork(20, 40)
    assert told(follower.advance()) != before
    assert told(view) == before


def test_rounds_that_ended_and_are_final_are_forgotten(node: RoundsNode, tmp_path: Path) -> None:
    path = tmp_path / "chain.sqlite"
    follower = Follower(node.web3, DEPLOYMENT, path)
    view = follower.advance()
    closed = [
        round_id
        for round_id in range(1, view.rounds + 1)
        if view.round(round_id).phase is Phase.CLOSED
    ]
    for _ in range(FINALITY + 1):
        node.add(0)
    view = follower.advance()
    assert closed
    for round_id in closed:
        assert view.round(round_id).phase is Phase.CLOSED
        with pytest.raises(LogMissing):
            view.history(round_id)
    with sqlite3.connect(path) as database:
        kept = {row[0] for row in database.execute("SELECT DISTINCT round FROM logs")}
        [blocks] = database.execute("SELECT count(*) FROM blocks").fetchone()
    database.close()
    assert kept == set(view.running)
    assert blocks == FINALITY + 1


def test_reading_all_again_writes_nothing_of_rounds_that_ended_and_are_final(
    node: RoundsNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(FINALITY + 1):
        node.add(0)
    written: set[int] = set()
    save = BlockStore.save

    def watched(store: BlockStore, **changes: Any) -> None:
        changes["logs"] = list(changes["logs"])
        written.update(round_id for round_id, _ in changes["logs"])
        save(store, **changes)

    monkeypatch.setattr(BlockStore, "save", watched)
    follower = Follower(node.web3, DEPLOYMENT, tmp_path / "chain.sqlite")
    follower.advance()
    follower.forget()
    view = follower.advance()
    follower.close()
    assert view.rounds > len(view.running)
    assert written == set(view.running)


def test_a_store_that_is_damaged_or_of_another_deployment_is_begun_anew(
    node: RoundsNode, tmp_path: Path
) -> None:
    path = tmp_path / "chain.sqlite"
    path.write_bytes(b"no database at all" * 100)
    follower = Follower(node.web3, DEPLOYMENT, path)
    assert told(follower.advance()) == fresh(node)
    follower.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE about SET subject = 'another'")
    database.close()
    assert told(Follower(node.web3, DEPLOYMENT, path).advance()) == fresh(node)


@pytest.mark.parametrize("depth", [1, 2, 3, 32, 63, 64])
def test_a_reorganisation_leaves_what_a_fresh_start_finds(node: RoundsNode, depth: int) -> None:
    follower = Follower(node.web3, DEPLOYMENT)
    follower.advance()
    node.fork(depth, depth)
    assert told(follower.advance())[3:] == fresh(node)[3:]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("extend"), st.integers(1, 130)),
        st.tuples(st.just("fork"), st.integers(1, FINALITY)),
        st.tuples(st.just("move while it is read"), st.integers(0, 12)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("advance"), st.just(0)),
    ),
    min_size=1,
    max_size=14,
)


def run(salt: int, steps: list[tuple[str, int]], path: Path) -> None:
    path.unlink(missing_ok=True)
    node = RoundsNode(salt)
    node.extend(5)
    follower = Follower(node.web3, DEPLOYMENT, path)
    follower.advance()
    for step, size in steps:
        if step == "extend":
            node.extend(size)
        elif step == "fork":
            # Never deeper than what the follower has seen become final.
            node.fork(min(size, node.head.number - follower.advance().finalized), size + 1)
        elif step == "move while it is read":
            depth = min(5, node.head.number - follower.advance().finalized)
            node.extend(1)
            node.trap = (size, depth)
            follower.advance()
            node.trap = None
        elif step == "restart":
            follower.close()
            follower = Follower(node.web3, DEPLOYMENT, path)
        else:
            assert told(follower.advance()) == fresh(node)
    assert told(follower.advance()) == fresh(node)
    follower.close()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(salt=st.integers(0, 2**32), steps=STEPS)
def test_whatever_the_chain_does_what_is_known_is_what_a_fresh_start_knows(
    tmp_path: Path, salt: int, steps: list[tuple[str, int]]
) -> None:
    run(salt, steps, tmp_path / "chain.sqlite")


@pytest.mark.reliability
def test_random_forks_many_times(tmp_path: Path, record_property: Any) -> None:
    @seed(SEED)
    @settings(max_examples=MANY_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(salt=st.integers(0, 2**32), steps=STEPS)
    def many(salt: int, steps: list[tuple[str, int]]) -> None:
        run(salt, steps, tmp_path / "chain.sqlite")

    many()
    record_property(
        "figure",
        {
            "name": "random chains with forks of depth 1 to 64, followed as by a fresh start",
            "value": MANY_EXAMPLES,
            "goal": MANY_EXAMPLES,
            "seed": SEED,
        },
    )
